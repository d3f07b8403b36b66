//! Works through schemas: canaries first, then the rest, some at a time. With other replicas, it takes those that
//! nobody else has, and looks again until nothing is left.

use std::{cell::Cell, future, time::Duration};

use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use tokio::time::{self, Instant};

use super::{
    Stopped, Work,
    apply::{Applied, Said, Todo, judgement},
    record,
};
use crate::{
    config::{OnTenantFailure, Selection, Source},
    database::{ApplyError, Limits, MigrationFile, Schema, Share},
    failure::Failure,
    frameworks::{Ending, Migrating, Project},
    outcome::SchemaFailure,
    tenants::gate::Finding,
    words::duration,
};

/// The longest pause before it looks again at tenants that other replicas have.
const PAUSE: Duration = Duration::from_secs(1);

/// What failed, and the last lines of each.
#[derive(Default)]
pub(super) struct Failed {
    pub(super) schemas: Vec<SchemaFailure>,
    pub(super) output: Vec<(Option<String>, Vec<String>)>,
}

/// Of so many failed schemas the last lines are shown.
const SHOWN_SCHEMAS: usize = 4;
/// And so many lines of each, where there are several.
const SHOWN_LINES: usize = 3;

impl Failed {
    /// The last lines: all that were kept of one schema, the end of each of several, by name.
    pub(super) fn shown(&mut self) -> Vec<String> {
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

/// Applies to all of these schemas, or as far as failures allow.
pub(super) async fn apply_all(
    work: &Work,
    pending: &[Option<String>],
    share: Share,
    applied: &mut Applied,
    say: &dyn Fn(Said),
) -> Result<Failed, Failure> {
    let settings = &work.migrations()?.apply;
    let at_most = match settings.on_tenant_failure {
        OnTenantFailure::Stop => 1,
        OnTenantFailure::Continue { at_most } => at_most.unwrap_or(usize::MAX),
    };
    let is_canary =
        |tenant: &Option<String>| tenant.as_ref().is_some_and(|name| settings.canary.contains(name));
    let (canaries, mut rest): (Vec<_>, Vec<_>) = pending.iter().cloned().partition(is_canary);
    if share == Share::WithOthers {
        // Each begins somewhere else, so that they seldom reach for the same.
        fastrand::shuffle(&mut rest);
    }
    let mut crew = Crew {
        work,
        share,
        applied,
        say,
        failed: Failed::default(),
        done: 0,
        total: pending.len(),
        last_news: Instant::now(),
    };
    if crew.total > 1 {
        (crew.say)(Said::Progress { done: 0, total: crew.total });
    }
    for (group, jobs, at_most) in [(canaries, 1, 1), (rest, settings.jobs.max(1), at_most)] {
        if crew.failed.schemas.is_empty() {
            crew.work_through(group, jobs, at_most).await?;
        }
    }
    Ok(crew.failed)
}

struct Crew<'a> {
    work: &'a Work,
    share: Share,
    applied: &'a mut Applied,
    say: &'a dyn Fn(Said),
    failed: Failed,
    done: usize,
    total: usize,
    /// When something was last seen to be done, by whomever.
    last_news: Instant,
}

impl Crew<'_> {
    /// Until nothing of the group is left, or so many have failed.
    async fn work_through(
        &mut self,
        mut group: Vec<Option<String>>,
        jobs: usize,
        at_most: usize,
    ) -> Result<(), Failure> {
        let mut said = false;
        while !group.is_empty() {
            let before = group.len();
            let taken = self.once(group, jobs, at_most).await?;
            if taken.is_empty() || self.failed.schemas.len() >= at_most {
                return Ok(());
            }
            group = self.still_pending(&taken).await?;
            if group.len() < before {
                self.last_news = Instant::now();
            } else if self.last_news.elapsed() >= self.work.config.lock_timeout {
                let after = self.work.config.lock_timeout;
                let names: Vec<&str> = group.iter().flatten().map(String::as_str).take(3).collect();
                let holder = format!("another run is at work on {}, and nothing advances", names.join(", "));
                return Err(Failure::LockTimedOut { after, holder });
            }
            if !group.is_empty() {
                if !std::mem::replace(&mut said, true) {
                    let what = match group.len() {
                        1 => "1 tenant is in the hands of another replica".to_owned(),
                        left => format!("{left} tenants are in the hands of other replicas"),
                    };
                    (self.say)(Said::Note(what));
                }
                time::sleep(PAUSE.mul_f64(0.25 + 0.75 * fastrand::f64())).await;
            }
        }
        Ok(())
    }

    /// Tries each once, and returns those that another run is at work on.
    async fn once(
        &mut self,
        group: Vec<Option<String>>,
        jobs: usize,
        at_most: usize,
    ) -> Result<Vec<Option<String>>, Failure> {
        let mut taken = Vec::new();
        let enough = Cell::new(false);
        let mut results = results(self.work, self.share, group, jobs, self.say, &enough)?;
        // SQL that runs outside a transaction would stay half done; what a framework's program had begun it finishes.
        let finishes = matches!(self.work.migrations()?.source, Source::Sql { .. });
        loop {
            // Whoever waits for the lock hears how far this run is, also while it hangs at one tenant.
            let Ok(next) = time::timeout(record::EVERY, results.next()).await else {
                self.work.record.progress(self.work, self.done, self.total).await;
                continue;
            };
            let Some((tenant, result)) = next else { return Ok(taken) };
            match result {
                Ok(migrations) if migrations.is_empty() => {}
                Ok(migrations) => {
                    if matches!(self.work.migrations()?.source, Source::Sql { .. }) {
                        self.work.record.changed(tenant.as_deref(), &migrations);
                    }
                    self.applied.migrations.insert(tenant, migrations);
                }
                Err(Stopped::Taken) => {
                    taken.push(tenant);
                    continue;
                }
                Err(Stopped::Schema(mut failure, output)) => {
                    let manifest = &self.work.expectation().await?.manifest;
                    failure.dirty |=
                        failure.migration.as_ref().is_some_and(|id| manifest.commits_by_itself(id));
                    if !output.is_empty() {
                        self.failed.output.push((tenant, output));
                    }
                    self.failed.schemas.push(failure);
                }
                Err(Stopped::Run(failure)) => return Err(failure),
            }
            self.advance(1).await;
            if self.failed.schemas.len() >= at_most {
                if !finishes {
                    return Ok(taken);
                }
                enough.set(true);
            }
        }
    }

    /// Those of them that nobody has migrated meanwhile. What another run has broken is its own to report, and the
    /// gate's.
    async fn still_pending(&mut self, taken: &[Option<String>]) -> Result<Vec<Option<String>>, Failure> {
        let names = taken.iter().flatten().cloned().collect();
        let todo = Todo::from(&judgement(self.work, Some(&Selection::Named(names))).await?);
        for (tenant, _) in todo.broken {
            let why = "another run left it so that it cannot be migrated".into();
            self.failed.schemas.push(SchemaFailure {
                tenant,
                migration: None,
                place: None,
                why,
                dirty: false,
            });
        }
        self.advance(taken.len() - todo.pending.len()).await;
        Ok(todo.pending)
    }

    async fn advance(&mut self, more: usize) {
        self.done = (self.done + more).min(self.total);
        if more > 0 && self.total > 1 {
            (self.say)(Said::Progress { done: self.done, total: self.total });
            self.work.record.progress(self.work, self.done, self.total).await;
        }
    }
}

/// What became of one schema.
type Answer = (Option<String>, Result<Vec<String>, Stopped>);

/// What becomes of each of the schemas, as it comes about.
fn results<'a>(
    work: &'a Work,
    share: Share,
    group: Vec<Option<String>>,
    jobs: usize,
    say: &'a dyn Fn(Said),
    enough: &'a Cell<bool>,
) -> Result<LocalBoxStream<'a, Answer>, Failure> {
    Ok(match &work.migrations()?.source {
        Source::Sql { .. } => stream::iter(group)
            .take_while(|_| future::ready(!enough.get()))
            .map(move |tenant| apply_one(work, share, tenant))
            .buffer_unordered(jobs)
            .boxed_local(),
        Source::External(_) => {
            let Some(project) = work.project()? else { return Ok(stream::empty().boxed_local()) };
            stream::iter(project.batches(&group, jobs))
                .map(move |schemas| apply_batch(work, project, share, schemas, say))
                .buffer_unordered(jobs)
                .flat_map(stream::iter)
                .boxed_local()
        }
    })
}

/// Applies to one batch with the project's own program. With other replicas, to those schemas that none of them has: the
/// locks are our own session's, and the heartbeat watches over them.
async fn apply_batch(
    work: &Work,
    project: Project<'_>,
    share: Share,
    schemas: Vec<Option<String>>,
    say: &dyn Fn(Said),
) -> Vec<Answer> {
    if share == Share::Alone {
        return migrated(work, project, &schemas, say).await;
    }
    let first = schemas.first().cloned().flatten();
    match claim(work, schemas).await {
        Err(failure) => vec![(first, Err(Stopped::Run(failure)))],
        Ok(Claim { ours, held, taken }) => {
            let mut answers = migrated(work, project, &ours, say).await;
            work.lock.give_tenants(held).await;
            answers.extend(taken.into_iter().map(|tenant| (tenant, Err(Stopped::Taken))));
            answers
        }
    }
}

async fn migrated(
    work: &Work,
    project: Project<'_>,
    schemas: &[Option<String>],
    say: &dyn Fn(Said),
) -> Vec<Answer> {
    let Some(first) = schemas.first() else { return Vec::new() };
    let run = async {
        work.lock.still_held().await?;
        let apply = &work.migrations()?.apply;
        let ending = match apply.on_tenant_failure {
            OnTenantFailure::Stop => Ending::Stop,
            OnTenantFailure::Continue { .. } => Ending::Continue,
        };
        let shared_schema = work.expectation().await?.manifest.shared_schema.as_deref().unwrap_or("public");
        let migrating = Migrating { ending, timeout: apply.timeout, shared_schema };
        Ok(project.migrate(schemas, migrating, future::pending(), &|line| say(line.into())).await)
    };
    match run.await {
        Err(failure) => vec![(first.clone(), Err(Stopped::Run(failure)))],
        Ok(outcomes) => outcomes
            .into_iter()
            .map(|(tenant, result)| {
                (tenant, result.map(|()| vec!["its pending migrations".into()]).map_err(Stopped::from))
            })
            .collect(),
    }
}

/// What a replica has got of a batch.
struct Claim {
    /// Pending, and locked by us.
    ours: Vec<Option<String>>,
    /// Whom we have locked.
    held: Vec<String>,
    /// Locked by others, or done by them.
    taken: Vec<Option<String>>,
}

async fn claim(work: &Work, schemas: Vec<Option<String>>) -> Result<Claim, Failure> {
    let names: Vec<String> = schemas.iter().flatten().cloned().collect();
    let had = work.lock.take_tenants(names.clone()).await?;
    let held: Vec<String> =
        names.into_iter().zip(had).filter_map(|(name, had)| had.then_some(name)).collect();
    let left = if held.is_empty() {
        Vec::new()
    } else {
        // Another replica may have finished one between the look and the lock.
        let locked = Selection::Named(held.clone());
        Todo::from(&judgement(work, Some(&locked)).await?).pending
    };
    let (ours, taken) = schemas.into_iter().partition(|schema| left.contains(schema));
    Ok(Claim { ours, held, taken })
}

async fn apply_one(work: &Work, share: Share, tenant: Option<String>) -> Answer {
    let result = apply_to(work, share, tenant.as_deref()).await;
    (tenant, result)
}

/// What the ledger says is half done, after work on it was given up. A look that fails says nothing.
async fn half_done(work: &Work, tenant: Option<&str>) -> Option<String> {
    let named = tenant.map(|name| Selection::Named(vec![name.to_owned()]));
    let judgement = judgement(work, named.as_ref()).await.ok()?;
    for (_, verdict) in judgement.verdicts() {
        for finding in &verdict.findings {
            if let Finding::Dirty { migrations } = finding {
                return migrations.first().cloned();
            }
        }
    }
    None
}

async fn apply_to(work: &Work, share: Share, tenant: Option<&str>) -> Result<Vec<String>, Stopped> {
    let one = async {
        work.lock.not_lost()?;
        let expectation = work.expectation().await?;
        let (schema, files): (_, &[MigrationFile]) = match tenant {
            Some(tenant) => (Schema::Tenant(tenant.to_owned()), &expectation.tenant),
            None => (Schema::Shared, &expectation.shared),
        };
        let limits = Limits { gives_way: share == Share::WithOthers, ..work.limits()? };
        Ok(work.database()?.apply(&schema, files, &limits).await)
    };
    let timeout = work.migrations().map_err(Stopped::Run)?.apply.timeout;
    let failure = |error: ApplyError| SchemaFailure {
        tenant: tenant.map(str::to_owned),
        migration: error.migration,
        place: error.place,
        why: error.why.into(),
        dirty: error.dirty,
    };
    match time::timeout(timeout, one).await {
        Ok(Ok(Ok(applied))) => Ok(applied.migrations),
        Ok(Ok(Err(error))) if error.taken && share == Share::WithOthers => Err(Stopped::Taken),
        Ok(Ok(Err(error))) if error.refused => {
            Err(Stopped::Run(Failure::Refused { what: "the database".into(), why: error.why.into() }))
        }
        Ok(Ok(Err(error))) => Err(Stopped::Schema(failure(error), Vec::new())),
        Ok(Err(fatal)) => Err(Stopped::Run(fatal)),
        Err(_) => {
            let why = format!("ran longer than {}", duration(timeout));
            let migration = half_done(work, tenant).await;
            let error = ApplyError { why, dirty: migration.is_some(), migration, ..ApplyError::default() };
            Err(Stopped::Schema(failure(error), Vec::new()))
        }
    }
}
