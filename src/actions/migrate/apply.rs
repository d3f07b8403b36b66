//! Applies pending migrations: inspects, acquires the lock if anything is pending, inspects again, applies.

use std::collections::BTreeMap;

use super::{
    Applied, BeforeChange, Limit,
    plan::{self, WorkList},
    pool::{self, Work},
    results::Failed,
    schema::judge_broken,
    waves::{self, Waves},
};
use crate::{
    actions::{context::RunContext, judge::inspect, run_state::RunState},
    cause::Cause,
    config::{self, OnTenantFailure, Selection, Source},
    database::LockMode,
    failure::Failure,
    ordered::Ordered,
    outcome::{ActionEvent, FailureDetails, wording},
    tenants::{
        gate::{Judgement, Outcome},
        inspection::Inspection,
    },
};

/// What a command migrates.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) shared: bool,
    pub(crate) tenants: Option<&'a Selection>,
    pub(crate) waves: Option<usize>,
}

/// The migrated parts, each with its summary.
pub(crate) type Parts = Vec<(&'static str, String)>;

/// Migrates the shared schema, then the tenants; `done` receives the result of each.
pub(crate) async fn migrate(
    state: &RunState,
    Scope { shared, tenants, .. }: Scope<'_>,
    limit: Limit<'_>,
    done: &mut Parts,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    for (what, tenants) in [("shared schema", shared.then_some(None)), ("tenants", tenants.map(Some))] {
        if let Some(tenants) = tenants {
            done.push((what, apply(state, tenants, limit, on_event).await?.summary()));
        }
    }
    Ok(())
}

/// Applies to the shared schema or to every tenant.
pub(crate) async fn scope(
    state: &RunState,
    scope: config::Scope,
    before_change: BeforeChange<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Applied, FailureDetails> {
    let tenants = (scope == config::Scope::Tenants).then_some(&Selection::All);
    let limit = Limit { before_change: Some(before_change), ..Limit::default() };
    apply(state, tenants, limit, on_event).await
}

/// Applies to the selected tenants, or to the shared schema if None.
pub(crate) async fn apply(
    state: &RunState,
    tenants: Option<&Selection>,
    limit: Limit<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Applied, FailureDetails> {
    let context = &state.context;
    let settings = &context.migrations()?.apply;
    let (found, before) = inspect(context, tenants.is_none(), tenants).await?;
    let mut applied = Applied { schemas: before.verdicts().count(), ..Applied::default() };
    let (mut list, _) = work(context, &found, &before, limit.waves)?;
    // Without the lock, the work of another run can look broken. A new holder of the lock also removes what killed runs
    // left unfinished.
    if list.pending.is_empty() && list.broken.is_empty() && before.unfinished.is_empty() {
        return Ok(applied);
    }
    // Replicas share the work on all tenants; a run migrates the schemas that its command names itself.
    let together = tenants == Some(&Selection::All) && settings.cooperate && limit.approved.is_none();
    let mode = if together { LockMode::Shared } else { LockMode::Exclusive };
    let locked = state.acquire_as(mode, &|text| on_event(ActionEvent::Note(text))).await?;
    // Another run may have applied it since the first inspection.
    let (found, before) = inspect(context, tenants.is_none(), tenants).await?;
    let waves;
    (list, waves) = work(context, &found, &before, limit.waves)?;
    judge_broken(context, &locked, &mut list).await?;
    if let Some(approved) = limit.approved {
        refuse_others(context, &list, &before, approved, tenants.is_none()).await?;
    }
    let unproved = list.take_unproved(|tenant| state.rollback.unproved(tenant));
    if list.pending.is_empty() {
        let waited = locked.waited;
        drop(locked);
        if waited {
            // Other runs must not wait for the lock while this run does unrelated work.
            state.lock.release().await;
        }
        finished(list, &applied, Failed::default())?;
        return unproved.map_or(Ok(applied), |failure| Err(failure.into()));
    }
    if let Some(before_change) = limit.before_change {
        before_change().await?;
    }
    state.history.start(context).await;
    let mut failed = Failed::default();
    if list.broken.is_empty() || settings.on_tenant_failure != OnTenantFailure::Stop {
        let history = &state.history;
        failed = {
            let work = Work { pending: &list.pending, found: &found, before: &before, waves };
            pool::run(context, &locked, history, work, &mut applied, on_event).await?
        };
        if let Source::External(_) = context.migrations()?.source
            && !applied.migrations.is_empty()
        {
            locked.check().await?;
            let manifest = &context.expectation().await?.manifest;
            let others = applied.unproved();
            let (_, after) = inspect(context, tenants.is_none(), others.as_ref().or(tenants)).await?;
            failed.schemas.extend(plan::confirm(manifest, &before, &after, &mut applied));
            for (tenant, migrations) in &applied.migrations {
                let took = applied.times.get(tenant).copied().unwrap_or_default();
                history.record_migrated(tenant.as_deref(), migrations, took);
            }
        }
    }
    finished(list, &applied, failed)?;
    unproved.map_or(Ok(applied), |failure| Err(failure.into()))
}

/// The pending schemas of the first waves, or of all, and these waves.
pub(super) fn work(
    context: &RunContext,
    found: &Inspection,
    judgement: &Judgement,
    first: Option<usize>,
) -> Result<(WorkList, Waves), Failure> {
    let mut list = WorkList::from(judgement);
    let waves = waves::divide(&context.migrations()?.apply.waves, found.tenants.keys().cloned().into_set());
    let waves = waves::first(waves, first)?;
    if first.is_some() {
        list.retain(&waves.list);
    }
    Ok((list, waves))
}

/// Fails unless exactly the approved migrations are pending.
async fn refuse_others(
    context: &RunContext,
    list: &WorkList,
    before: &Judgement,
    approved: &BTreeMap<Option<String>, Vec<String>>,
    shared: bool,
) -> Result<(), Failure> {
    let manifest = &context.expectation().await?.manifest;
    let pending = |schema: &Option<String>| {
        Some((schema.clone(), plan::pending(before.verdict(schema.as_deref())?, manifest)))
    };
    let pending: BTreeMap<_, _> = list.pending.iter().filter_map(pending).into_map();
    let approved = approved.iter().filter(|(schema, _)| schema.is_none() == shared);
    if approved.eq(pending.iter()) {
        return Ok(());
    }
    let why = "the pending migrations changed while the plan was executed".into();
    Err(Failure::PlanChanged { why })
}

fn finished(list: WorkList, applied: &Applied, mut failed: Failed) -> Result<(), FailureDetails> {
    if failed.schemas.is_empty() && failed.run.is_none() && failed.wave.is_none() && list.broken.is_empty() {
        return Ok(());
    }
    if let (Some(details), true, None) = (failed.wave.take(), failed.schemas.is_empty(), &failed.run) {
        return Err(*details);
    }
    let failures = failed.schemas.iter().map(|failure| &failure.tenant).into_set();
    let not_started: Vec<&str> = list
        .pending
        .iter()
        .filter(|schema| !applied.migrations.contains_key(*schema) && !failures.contains(schema))
        .map(|schema| wording::name(schema.as_deref()))
        .collect();
    let done = (list.pending.len() > 1)
        .then(|| wording::migrated(applied.migrations.len(), list.pending.len(), &not_started));
    let unmigratable = list.broken.len();
    let judgement = list.judgement(&failed.schemas);
    let output = failed.last_lines();
    let failure = match (failed.run, &judgement) {
        (Some(failure), _) => failure,
        (None, Some(broken)) if failed.schemas.is_empty() && broken.outcome() == Outcome::Unproven => {
            let why = wording::counts(broken).to_string().into();
            Failure::Unproven { what: "nothing is pending".into(), why }
        }
        // The result is unknown, so this is not a failed migration.
        (None, _) if unmigratable == 0 && failed.schemas.iter().all(|schema| schema.why.is_connection()) => {
            let why = failed.schemas.first().map_or_else(Cause::default, |schema| schema.why.clone());
            Failure::Database { what: "migrating".into(), why }
        }
        (None, _) => Failure::MigrationFailed { failed: failed.schemas.len(), unmigratable },
    };
    Err(FailureDetails { judgement, failed: failed.schemas, output, done, ..FailureDetails::from(failure) })
}
