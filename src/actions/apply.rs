//! Applies what is pending: looks, takes the lock if there is anything to do, looks again, applies.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use tokio::time;

use super::{Stopped, Work, django::migrate, look::LOOK, record};
use crate::{
    config::{OnTenantFailure, Scope, Selection, Source},
    database::{ApplyError, MigrationFile, Schema},
    failure::Failure,
    report::event::{SchemaFailure, Stream, Trouble},
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
pub(crate) async fn scope(work: &Work, scope: Scope, say: &dyn Fn(Said)) -> Result<Applied, Trouble> {
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
) -> Result<Applied, Trouble> {
    let judgement = judgement(work, tenants).await?;
    let mut todo = Todo::from(&judgement);
    if !todo.pending.is_empty() {
        let note = |text| say(Said::Note(text));
        work.lock.hold(work, &note).await?;
        // Somebody else may have applied it between the look and the lock.
        todo = Todo::from(&self::judgement(work, tenants).await?);
    }
    let mut applied = Applied { schemas: judgement.verdicts().count(), ..Applied::default() };
    if !todo.pending.is_empty() {
        work.record.begin(work).await;
    }
    let policy = work.migrations()?.apply.on_tenant_failure;
    if todo.broken.is_empty() || policy != OnTenantFailure::Stop {
        let mut failed = apply_all(work, &todo.pending, &mut applied, say).await?;
        if let Source::Django(_) = work.migrations()?.source
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
            return Err(Trouble { output, ..trouble });
        }
    }
    if todo.broken.is_empty() {
        Ok(applied)
    } else {
        Err(trouble(Vec::new(), todo.broken, &applied, todo.pending.len()))
    }
}

/// What failed, and the last lines of each.
#[derive(Default)]
struct Failed {
    schemas: Vec<SchemaFailure>,
    output: Vec<(Option<String>, Vec<String>)>,
}

/// Of so many failed schemas the last lines are shown.
const SHOWN_SCHEMAS: usize = 4;
/// And so many lines of each, where there are several.
const SHOWN_LINES: usize = 3;

impl Failed {
    /// The last lines: all that were kept of one schema, the end of each of several, by name.
    fn shown(&mut self) -> Vec<String> {
        let output = std::mem::take(&mut self.output);
        if let [(_, lines)] = output.as_slice() {
            return lines.clone();
        }
        let several = output.iter().take(SHOWN_SCHEMAS).flat_map(|(tenant, lines)| {
            let name = tenant.as_deref().unwrap_or("the shared schema");
            let said: Vec<&String> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
            let last = &said[said.len().saturating_sub(SHOWN_LINES)..];
            last.iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
        });
        several.collect()
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
            let why = "its command succeeded, and it is still behind".into();
            failed.schemas.push(SchemaFailure { tenant, migration: None, place: None, why, dirty: false });
        } else if before.is_fresh() {
            *migrations = manifest.framework.compare(&manifest.shared, &[]).pending;
        } else {
            *migrations = before.pending().to_vec();
        }
    }
}

/// What a judgement leaves to do.
struct Todo {
    pending: Vec<Option<String>>,
    /// Schemas that must not be touched, with the reason.
    broken: BTreeMap<Option<String>, Verdict>,
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

async fn judgement(work: &Work, tenants: Option<&Selection>) -> Result<Judgement, Failure> {
    let manifest = &work.expectation().await?.manifest;
    let found = work
        .look(manifest, tenants.is_none(), tenants, LOOK)
        .await
        .map_err(|error| error.into_failure("looking for pending migrations"))?;
    Ok(work.judge(manifest, &found))
}

/// Canaries first, one by one; then the rest, some at a time.
async fn apply_all(
    work: &Work,
    pending: &[Option<String>],
    applied: &mut Applied,
    say: &dyn Fn(Said),
) -> Result<Failed, Failure> {
    let settings = &work.migrations()?.apply;
    let at_most = match settings.on_tenant_failure {
        OnTenantFailure::Stop => 1,
        OnTenantFailure::Continue { at_most } => at_most.unwrap_or(usize::MAX),
    };
    let is_canary =
        |tenant: &&Option<String>| tenant.as_ref().is_some_and(|name| settings.canary.contains(name));
    let (canaries, rest): (Vec<_>, Vec<_>) = pending.iter().partition(is_canary);
    let manifest = &work.expectation().await?.manifest;
    let mut failed = Failed::default();
    let mut done = 0;
    for (group, jobs, most) in [(canaries, 1, 1), (rest, settings.jobs.max(1), at_most)] {
        if !failed.schemas.is_empty() {
            break;
        }
        let mut results = results(work, group, jobs, say)?;
        loop {
            // Whoever waits for the lock hears how far this run is, also while it hangs at one tenant.
            let Ok(next) = time::timeout(record::EVERY, results.next()).await else {
                work.record.progress(work, done, pending.len()).await;
                continue;
            };
            let Some((tenant, result)) = next else { break };
            done += 1;
            match result {
                Ok(migrations) if migrations.is_empty() => {}
                Ok(migrations) => {
                    if matches!(work.migrations()?.source, Source::Sql { .. }) {
                        work.record.changed(tenant.as_deref(), &migrations);
                    }
                    applied.migrations.insert(tenant, migrations);
                }
                Err(Stopped::Schema(mut failure, output)) => {
                    failure.dirty |=
                        failure.migration.as_ref().is_some_and(|id| manifest.commits_by_itself(id));
                    if !output.is_empty() {
                        failed.output.push((tenant, output));
                    }
                    failed.schemas.push(failure);
                }
                Err(Stopped::Run(failure)) => return Err(failure),
            }
            if pending.len() > 1 {
                say(Said::Progress { done, total: pending.len() });
                work.record.progress(work, done, pending.len()).await;
            }
            if failed.schemas.len() >= most {
                break;
            }
        }
    }
    Ok(failed)
}

/// What became of one schema.
type Answer = (Option<String>, Result<Vec<String>, Stopped>);

/// What becomes of each of the schemas, as it comes about.
fn results<'a>(
    work: &'a Work,
    group: Vec<&'a Option<String>>,
    jobs: usize,
    say: &'a dyn Fn(Said),
) -> Result<LocalBoxStream<'a, Answer>, Failure> {
    Ok(match &work.migrations()?.source {
        Source::Sql { .. } => stream::iter(group)
            .map(async |tenant| (tenant.clone(), apply_one(work, tenant.as_deref()).await))
            .buffer_unordered(jobs)
            .boxed_local(),
        Source::Django(project) => stream::iter(migrate::shares(project, &group, jobs))
            .map(move |share| migrate::share(work, project, share, say))
            .buffer_unordered(jobs)
            .flat_map(stream::iter)
            .map(|(tenant, result)| (tenant, result.map(|()| vec!["its pending migrations".into()])))
            .boxed_local(),
    })
}

async fn apply_one(work: &Work, tenant: Option<&str>) -> Result<Vec<String>, Stopped> {
    let one = async {
        work.lock.still_held().await?;
        let expectation = work.expectation().await?;
        let (schema, files): (_, &[MigrationFile]) = match tenant {
            Some(tenant) => (Schema::Tenant(tenant.to_owned()), &expectation.tenant),
            None => (Schema::Shared, &expectation.shared),
        };
        let limits = work.limits()?;
        Ok(work.database()?.apply(&schema, files, &limits).await)
    };
    let timeout = work.migrations().map_err(Stopped::Run)?.apply.timeout;
    let failure = |error: ApplyError| SchemaFailure {
        tenant: tenant.map(str::to_owned),
        migration: error.migration,
        place: error.place,
        why: error.why,
        dirty: error.dirty,
    };
    match time::timeout(timeout, one).await {
        Ok(Ok(Ok(applied))) => Ok(applied.migrations),
        Ok(Ok(Err(error))) if error.refused => {
            Err(Stopped::Run(Failure::Refused { what: "the database".into(), why: error.why }))
        }
        Ok(Ok(Err(error))) => Err(Stopped::Schema(failure(error), Vec::new())),
        Ok(Err(fatal)) => Err(Stopped::Run(fatal)),
        Err(_) => {
            let why = format!("ran longer than {}", crate::failure::words(timeout));
            Err(Stopped::Schema(failure(ApplyError { why, ..ApplyError::default() }), Vec::new()))
        }
    }
}

fn trouble(
    failed: Vec<SchemaFailure>,
    broken: BTreeMap<Option<String>, Verdict>,
    applied: &Applied,
    total: usize,
) -> Trouble {
    let what = |number: usize| if number == 1 { "1 schema".to_owned() } else { format!("{number} schemas") };
    let mut summary = Vec::new();
    if !failed.is_empty() {
        summary.push(format!("a migration failed in {}", what(failed.len())));
    }
    if !broken.is_empty() {
        summary.push(format!("{} cannot be migrated as found", what(broken.len())));
    }
    let mut judgement =
        Judgement { shared: None, tenants: BTreeMap::new(), orphans: Vec::new(), too_few: None };
    for (tenant, verdict) in broken {
        match tenant {
            Some(name) => drop(judgement.tenants.insert(name, verdict)),
            None => judgement.shared = Some(verdict),
        }
    }
    let broken = judgement.verdicts().next().is_some();
    let summary = summary.join(", ");
    let failure = if failed.is_empty() && judgement.outcome() == Outcome::Unproven {
        Failure::Unproven { what: "nothing is pending".into(), why: summary }
    } else {
        Failure::MigrationFailed { summary }
    };
    Trouble {
        failure,
        judgement: broken.then_some(judgement),
        failed,
        output: Vec::new(),
        done: (total > 1).then(|| format!("{} of {total} schemas migrated", applied.migrations.len())),
    }
}
