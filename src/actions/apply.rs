//! Applies what is pending: looks, takes the lock if there is anything to do, looks again, applies.

use std::collections::BTreeMap;

use super::{
    Work,
    crew::{self, Failed},
    look::LOOK,
};
use crate::{
    config::{OnTenantFailure, Scope, Selection, Source},
    database::Share,
    failure::Failure,
    frameworks::Line,
    outcome::{FailureDetails, SchemaFailure, wording},
    process::Stream,
    tenants::{
        gate::{Judgement, Outcome, Verdict},
        manifest::Manifest,
    },
};

/// What applying did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// How many schemas were looked at.
    pub(crate) schemas: usize,
    /// What was applied, by schema: a tenant's name, or None for the shared schema.
    pub(crate) migrations: BTreeMap<Option<String>, Vec<String>>,
}

/// What is heard while it goes on.
pub(crate) enum Said {
    Note(String),
    /// A line that a framework's command printed; None for the shared schema.
    Output {
        tenant: Option<String>,
        stream: Stream,
        line: String,
    },
    Progress {
        done: usize,
        total: usize,
    },
}

impl From<Line> for Said {
    fn from(Line { tenant, stream, text }: Line) -> Self {
        Self::Output { tenant, stream, line: text }
    }
}

impl Applied {
    pub(crate) fn summary(&self) -> String {
        let applied: usize = self.migrations.values().map(Vec::len).sum();
        match (applied, self.schemas) {
            (0, 0) => "no schema to migrate".into(),
            (0, 1) => "nothing pending".into(),
            (0, schemas) => format!("nothing pending in {schemas} schemas"),
            (1, _) => "1 migration applied".into(),
            (applied, _) if self.migrations.len() == 1 => format!("{applied} migrations applied"),
            (applied, _) => format!("{applied} migrations applied to {} schemas", self.migrations.len()),
        }
    }
}

/// Applies to the shared schema or to every tenant.
pub(crate) async fn scope(work: &Work, scope: Scope, say: &dyn Fn(Said)) -> Result<Applied, FailureDetails> {
    match scope {
        Scope::Shared => apply(work, None, say).await,
        Scope::Tenants => apply(work, Some(&Selection::All), say).await,
    }
}

/// Applies to the tenants selected, or to the shared schema if None.
pub(crate) async fn apply(
    work: &Work,
    tenants: Option<&Selection>,
    say: &dyn Fn(Said),
) -> Result<Applied, FailureDetails> {
    // Replicas help each other with the tenants as a whole; what somebody names is done by whoever was asked.
    let together = tenants == Some(&Selection::All) && work.migrations()?.apply.cooperate;
    let share = if together { Share::WithOthers } else { Share::Alone };
    let judgement = judgement(work, tenants).await?;
    let mut todo = Todo::from(&judgement);
    // Whoever takes the lock also takes back what killed runs have left.
    if !todo.pending.is_empty() || !judgement.unfinished.is_empty() {
        let note = |text| say(Said::Note(text));
        let waited = work.lock.hold_as(share, work, &note).await?;
        // Somebody else may have applied it between the look and the lock.
        todo = Todo::from(&self::judgement(work, tenants).await?);
        if waited && todo.pending.is_empty() {
            // The others that wait need not wait for what else this run does.
            work.lock.release().await;
        }
    }
    let mut applied = Applied { schemas: judgement.verdicts().count(), ..Applied::default() };
    if !todo.pending.is_empty() {
        work.record.begin(work).await;
    }
    let policy = work.migrations()?.apply.on_tenant_failure;
    if todo.broken.is_empty() || policy != OnTenantFailure::Stop {
        let mut failed = crew::apply_all(work, &todo.pending, share, &mut applied, say).await?;
        if let Source::External(_) = work.migrations()?.source
            && !todo.pending.is_empty()
        {
            work.lock.still_held().await?;
            let manifest = &work.expectation().await?.manifest;
            believe(manifest, &judgement, &self::judgement(work, tenants).await?, &mut applied, &mut failed);
            for (tenant, migrations) in &applied.migrations {
                work.record.changed(tenant.as_deref(), migrations);
            }
        }
        if !failed.schemas.is_empty() {
            let output = failed.shown();
            let trouble = trouble(failed.schemas, todo.broken, &applied, todo.pending.len());
            return Err(FailureDetails { output, ..trouble });
        }
    }
    if todo.broken.is_empty() {
        Ok(applied)
    } else {
        Err(trouble(Vec::new(), todo.broken, &applied, todo.pending.len()))
    }
}

/// A framework's command may succeed and leave something pending: only a second judgement says what it did.
fn believe(
    manifest: &Manifest,
    before: &Judgement,
    after: &Judgement,
    applied: &mut Applied,
    failed: &mut Failed,
) {
    for ((tenant, before), (_, after)) in before.verdicts().zip(after.verdicts()) {
        let tenant = tenant.map(str::to_owned);
        let Some(migrations) = applied.migrations.get_mut(&tenant) else { continue };
        if after.is_pending() {
            applied.migrations.remove(&tenant);
            let why = "the migrate command exited with 0, but migrations are still pending".into();
            failed.schemas.push(SchemaFailure { tenant, migration: None, place: None, why, dirty: false });
        } else if before.is_fresh() {
            *migrations = manifest.framework.compare(&manifest.shared, &[]).pending;
        } else {
            *migrations = before.pending().to_vec();
        }
    }
}

/// What a judgement leaves to do.
pub(super) struct Todo {
    pub(super) pending: Vec<Option<String>>,
    /// Schemas that must not be touched, with the reason.
    pub(super) broken: BTreeMap<Option<String>, Verdict>,
}

impl From<&Judgement> for Todo {
    fn from(judgement: &Judgement) -> Self {
        let mut todo = Self { pending: Vec::new(), broken: BTreeMap::new() };
        for (tenant, verdict) in judgement.verdicts() {
            let tenant = tenant.map(str::to_owned);
            if verdict.is_fresh() && tenant.is_none() {
                todo.pending.push(None);
            } else if !verdict.may_be_migrated() {
                todo.broken.insert(tenant, verdict.clone());
            } else if verdict.is_pending() {
                todo.pending.push(tenant);
            }
        }
        todo
    }
}

pub(super) async fn judgement(work: &Work, tenants: Option<&Selection>) -> Result<Judgement, Failure> {
    let manifest = &work.expectation().await?.manifest;
    let found = work
        .look(manifest, tenants.is_none(), tenants, LOOK)
        .await
        .map_err(|error| error.into_failure("looking for pending migrations"))?;
    Ok(work.judge(manifest, &found))
}

fn trouble(
    failed: Vec<SchemaFailure>,
    broken: BTreeMap<Option<String>, Verdict>,
    applied: &Applied,
    total: usize,
) -> FailureDetails {
    let mut judgement = Judgement {
        shared: None,
        tenants: BTreeMap::new(),
        orphans: Vec::new(),
        unfinished: Vec::new(),
        too_few: None,
    };
    for (tenant, verdict) in broken {
        match tenant {
            Some(name) => drop(judgement.tenants.insert(name, verdict)),
            None => judgement.shared = Some(verdict),
        }
    }
    let unfit = judgement.verdicts().count();
    let failure = if failed.is_empty() && judgement.outcome() == Outcome::Unproven {
        let why = wording::counts(&judgement).to_string().into();
        Failure::Unproven { what: "nothing is pending".into(), why }
    } else {
        Failure::MigrationFailed { failed: failed.len(), unfit }
    };
    FailureDetails {
        failure,
        judgement: (unfit > 0).then_some(judgement),
        failed,
        refusal: None,
        output: Vec::new(),
        done: (total > 1).then(|| format!("{} of {total} schemas migrated", applied.migrations.len())),
    }
}
