//! Runs the worker pool: one wave after the other, several tenants at a time. With other replicas, it migrates
//! the tenants that no other run has locked, and inspects again until none is pending.

use std::{future, time::Duration};

use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use tokio::time::Instant;

use super::{
    Applied, MigrateError, StopRequest,
    plan::WorkList,
    replay::{ReplayGroups, Unreplayed},
    results::{Failed, Results, SchemaResult},
    schema::{apply_files, by_framework, judge_broken},
    waves::{Wave, Waves},
};
use crate::{
    actions::{
        context::RunContext, history::RunHistory, judge::inspect_named, lock::Locked, notices::NoticeLog,
    },
    config::{OnTenantFailure, Source},
    database::LockMode,
    failure::Failure,
    ordered::Ordered,
    outcome::{ActionEvent, FailureDetails, SchemaFailure},
    retry::{Pauses, Retry},
    tenants::{gate::Judgement, inspection::Inspection},
    words::count,
};

/// Before the pool inspects the tenants that other replicas have locked.
const PAUSES: Pauses = Pauses::even(Duration::from_millis(800));

/// The pending schemas, in waves.
pub(super) struct Work<'a> {
    pub(super) pending: &'a [Option<String>],
    pub(super) found: &'a Inspection,
    pub(super) before: &'a Judgement,
    pub(super) waves: Waves,
}

/// Migrates these schemas, or as many as the failure limit allows.
pub(super) async fn run(
    context: &RunContext,
    locked: &Locked<'_>,
    history: &RunHistory,
    Work { pending, found, before, waves: Waves { list: waves, total } }: Work<'_>,
    applied: &mut Applied,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Failed, Failure> {
    locked.prepare_framework(context).await?;
    let settings = &context.migrations()?.apply;
    let at_most = match settings.on_tenant_failure {
        OnTenantFailure::Stop => 1,
        OnTenantFailure::Continue { at_most } => at_most.unwrap_or(usize::MAX),
    };
    let results = Results::new(context, locked, history, applied, pending.len(), on_event);
    let groups = settings.replay.then(|| ReplayGroups::new(found));
    let mut pool = Pool { results, groups, last_advance: Instant::now() };
    let mut left = pending.to_vec();
    for (wave, number) in waves.into_iter().zip(1..) {
        let mut group: Vec<_> = left.extract_if(.., |schema| wave.contains(schema.as_ref())).collect();
        let untouched = group.is_empty() || wave.tenants.is_empty();
        if !untouched && total > 2 {
            let text = format!("wave {number} of {total}: {} to migrate", count(group.len(), "tenant"));
            on_event(ActionEvent::Note(text));
        }
        if locked.mode() == LockMode::Shared {
            // Each replica starts at another tenant, so that two rarely try the same.
            fastrand::shuffle(&mut group);
        }
        let (jobs, at_most) = if wave.is_named { (1, 1) } else { (settings.jobs.max(1), at_most) };
        if let Err(failure) = pool.migrate_group(group, jobs, at_most).await {
            pool.results.failed.run = Some(failure);
        } else if pool.results.failed.schemas.is_empty() && number < total {
            match judged(context, &wave, before, untouched).await {
                Ok(judgement) => pool.results.failed.wave = gate(judgement, number, total),
                Err(failure) => pool.results.failed.run = Some(failure),
            }
        }
        let Failed { schemas, run, wave, .. } = &pool.results.failed;
        if !schemas.is_empty() || run.is_some() || wave.is_some() {
            break;
        }
    }
    Ok(pool.results.failed)
}

/// The judgement of a wave. Nothing has changed in a wave without pending migrations.
async fn judged(
    context: &RunContext,
    wave: &Wave,
    before: &Judgement,
    untouched: bool,
) -> Result<Judgement, Failure> {
    if untouched {
        let verdict = |tenant: &String| Some((tenant.clone(), before.tenants.get(tenant)?.clone()));
        return Ok(before.of_tenants(wave.tenants.iter().filter_map(verdict).into_map()));
    }
    inspect_named(context, &wave.tenants.iter().cloned().collect::<Vec<_>>()).await
}

/// The failure of a wave that is not complete.
fn gate(judgement: Judgement, number: usize, total: usize) -> Option<Box<FailureDetails>> {
    let details = FailureDetails::unless_complete(judgement).err()?;
    let done =
        format!("wave {number} of {total} is not complete: the tenants of later waves were not migrated");
    Some(Box::new(FailureDetails { done: Some(done), ..details }))
}

struct Pool<'a> {
    results: Results<'a>,
    /// None if the framework migrates every tenant.
    groups: Option<ReplayGroups>,
    /// When a schema was last completed, by any run.
    last_advance: Instant,
}

impl Pool<'_> {
    /// Migrates until the group is empty or the failure limit is reached.
    async fn migrate_group(
        &mut self,
        mut group: Vec<Option<String>>,
        jobs: usize,
        at_most: usize,
    ) -> Result<(), Failure> {
        let mut noted = false;
        let mut retry = Retry::new(PAUSES);
        while !group.is_empty() {
            let before = group.len();
            let mut locked_by_others = Vec::new();
            if let Some(groups) = &self.groups {
                let replay = groups.replay(&mut self.results, group, jobs, at_most);
                Unreplayed { left: group, locked_by_others } = replay.await?;
            }
            if self.results.failed.schemas.len() < at_most {
                locked_by_others.extend(self.try_each(group, jobs, at_most).await?);
            }
            if locked_by_others.is_empty() || self.results.failed.schemas.len() >= at_most {
                return Ok(());
            }
            group = self.still_pending(&locked_by_others).await?;
            let time_limit = self.results.context.config.lock_timeout;
            if group.len() < before {
                self.last_advance = Instant::now();
            } else if self.last_advance.elapsed() >= time_limit {
                let names: Vec<&str> = group.iter().flatten().map(String::as_str).take(3).collect();
                let holder = format!("another run is migrating {} and makes no progress", names.join(", "));
                return Err(Failure::LockTimedOut { after: time_limit, holder });
            }
            if !group.is_empty() {
                if !std::mem::replace(&mut noted, true) {
                    let text = format!("other replicas are migrating {}", count(group.len(), "tenant"));
                    (self.results.on_event)(ActionEvent::Note(text));
                }
                retry.pause().await;
            }
        }
        Ok(())
    }

    /// Tries each schema once, and returns those that another run has locked. After too many failures, no further
    /// schema is started, but those in progress are finished and counted.
    async fn try_each(
        &mut self,
        group: Vec<Option<String>>,
        jobs: usize,
        at_most: usize,
    ) -> Result<Vec<Option<String>>, Failure> {
        let stop = StopRequest::default();
        let Results { context, locked, on_event, .. } = self.results;
        let notices = NoticeLog::new(on_event);
        let results = results(context, locked, group, jobs, (on_event, &notices), &stop)?;
        Ok(self.results.collect(results, &stop, at_most).await?.locked_by_others)
    }

    /// The schemas that no run has migrated yet. A schema that another run broke is reported by that run and by the
    /// gate.
    async fn still_pending(&mut self, tried: &[Option<String>]) -> Result<Vec<Option<String>>, Failure> {
        let names: Vec<String> = tried.iter().flatten().cloned().collect();
        let mut list = WorkList::from(&inspect_named(self.results.context, &names).await?);
        judge_broken(self.results.context, self.results.locked, &mut list).await?;
        for (tenant, _) in list.broken {
            let why = "another run left it in a state that cannot be migrated".into();
            let failure = SchemaFailure { tenant, why, ..SchemaFailure::default() };
            self.results.failed.schemas.push(failure);
        }
        self.results.advance(tried.len() - list.pending.len()).await;
        Ok(list.pending)
    }
}

/// Reports how long the migration of one schema took.
fn report_time(
    schema: Option<&String>,
    result: &Result<Vec<String>, MigrateError>,
    took: Duration,
    on_event: &dyn Fn(ActionEvent),
) {
    let failed = match result {
        Ok(migrations) if migrations.is_empty() => return,
        Ok(_) => false,
        Err(MigrateError::Schema(..)) => true,
        Err(_) => return,
    };
    on_event(ActionEvent::Migrated { schema: schema.cloned(), took, failed });
}

/// The results of the schemas, in the order of completion.
fn results<'a>(
    context: &'a RunContext,
    locked: &'a Locked<'a>,
    group: Vec<Option<String>>,
    jobs: usize,
    (on_event, notices): (&'a dyn Fn(ActionEvent), &'a NoticeLog<'a>),
    stop: &'a StopRequest,
) -> Result<LocalBoxStream<'a, SchemaResult>, Failure> {
    Ok(match &context.migrations()?.source {
        Source::Sql { .. } => stream::iter(group)
            .take_while(|_| future::ready(!stop.is_requested()))
            .map(move |tenant| async move {
                let started = Instant::now();
                let result = apply_files(context, locked, notices, tenant.as_deref()).await;
                let took = started.elapsed();
                report_time(tenant.as_ref(), &result, took, on_event);
                (tenant, result, took)
            })
            .buffer_unordered(jobs)
            .boxed_local(),
        Source::External(_) => {
            let Some(project) = context.project()? else {
                return Ok(stream::empty().boxed_local());
            };
            stream::iter(project.batches(&group, jobs))
                .take_while(|_| future::ready(!stop.is_requested()))
                .map(move |schemas| async move {
                    let results = by_framework(context, locked, project, schemas, stop, on_event, None).await;
                    // The time of one schema in a batch is not known.
                    if let [(schema, result, took)] = results.as_slice() {
                        report_time(schema.as_ref(), result, *took, on_event);
                    }
                    results
                })
                .buffer_unordered(jobs)
                .flat_map(stream::iter)
                .boxed_local()
        }
    })
}
