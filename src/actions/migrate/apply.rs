//! Applies pending migrations: inspects, acquires the lock if anything is pending, inspects again, applies.

use super::{
    Applied,
    plan::{self, WorkList},
    pool,
    results::Failed,
};
use crate::{
    actions::{judge::inspect, run_state::RunState},
    cause::Cause,
    config::{OnTenantFailure, Scope, Selection, Source},
    database::LockMode,
    failure::Failure,
    outcome::{ActionEvent, FailureDetails, wording},
    tenants::gate::Outcome,
};

/// Applies to the shared schema or to every tenant.
pub(crate) async fn scope(
    state: &RunState,
    scope: Scope,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Applied, FailureDetails> {
    match scope {
        Scope::Shared => apply(state, None, on_event).await,
        Scope::Tenants => apply(state, Some(&Selection::All), on_event).await,
    }
}

/// Applies to the selected tenants, or to the shared schema if None.
pub(crate) async fn apply(
    state: &RunState,
    tenants: Option<&Selection>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Applied, FailureDetails> {
    let context = &state.context;
    let settings = &context.migrations()?.apply;
    let (_, before) = inspect(context, tenants.is_none(), tenants).await?;
    let mut applied = Applied { schemas: before.verdicts().count(), ..Applied::default() };
    let mut list = WorkList::from(&before);
    // A new holder of the lock also removes what killed runs left unfinished.
    if list.pending.is_empty() && before.unfinished.is_empty() && !list.is_creating() {
        return finished(list, &applied, Failed::default()).map(|()| applied);
    }
    // Replicas share the work on all tenants; a run migrates the schemas that its command names itself.
    let together = tenants == Some(&Selection::All) && settings.cooperate;
    let mode = if together { LockMode::Shared } else { LockMode::Exclusive };
    let locked = state.acquire_as(mode, &|text| on_event(ActionEvent::Note(text))).await?;
    // Another run may have applied it since the first inspection.
    let (found, before) = inspect(context, tenants.is_none(), tenants).await?;
    list = WorkList::from(&before);
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
    state.history.start(context).await;
    let mut failed = Failed::default();
    if list.broken.is_empty() || settings.on_tenant_failure != OnTenantFailure::Stop {
        let history = &state.history;
        failed =
            pool::run(context, &locked, history, (&list.pending, &found), &mut applied, on_event).await?;
        if let Source::External(_) = context.migrations()?.source
            && !applied.migrations.is_empty()
        {
            locked.check().await?;
            let manifest = &context.expectation().await?.manifest;
            let others = applied.unproved();
            let (_, after) = inspect(context, tenants.is_none(), others.as_ref().or(tenants)).await?;
            failed.schemas.extend(plan::confirm(manifest, &before, &after, &mut applied));
            for (tenant, migrations) in &applied.migrations {
                history.record_change(tenant.as_deref(), migrations);
            }
        }
    }
    finished(list, &applied, failed)?;
    unproved.map_or(Ok(applied), |failure| Err(failure.into()))
}

fn finished(list: WorkList, applied: &Applied, mut failed: Failed) -> Result<(), FailureDetails> {
    if failed.schemas.is_empty() && failed.run.is_none() && list.broken.is_empty() {
        return Ok(());
    }
    let not_started: Vec<&str> = list
        .pending
        .iter()
        .filter(|schema| {
            !applied.migrations.contains_key(*schema)
                && !failed.schemas.iter().any(|failure| failure.tenant == **schema)
        })
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
    Err(FailureDetails { failure, judgement, failed: failed.schemas, refusal: None, output, done })
}
