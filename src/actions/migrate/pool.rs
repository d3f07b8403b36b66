//! Runs the worker pool: canaries first, then the other tenants, several at a time. With other replicas, it migrates
//! the tenants that no other run has locked, and inspects again until none is pending.

use std::{future, time::Duration};

use futures_util::{StreamExt, stream, stream::LocalBoxStream};
use tokio::time::{self, Instant};

use super::{Applied, MigrateError, StopRequest, plan::WorkList};
use crate::{
    actions::{
        blockers,
        context::RunContext,
        history::{self, RunHistory},
        judge::{inspect, inspect_named},
        lock::Locked,
    },
    cause::Kind,
    config::{OnTenantFailure, Selection, Source},
    database::{ApplyEnd, ApplyError, Limits, LockMode, MigrationFile, Schema},
    failure::Failure,
    frameworks::{self, Migrating, Project, StopPolicy},
    outcome::{ActionEvent, SchemaFailure},
    tenants::gate::Finding,
    words::{count, duration},
};

/// The longest pause before the pool inspects the tenants that other replicas have locked.
const PAUSE: Duration = Duration::from_secs(1);

/// The unit of progress.
const MIGRATED: &str = "tenants migrated";

/// The failures of the pool.
#[derive(Default)]
pub(super) struct Failed {
    pub(super) schemas: Vec<SchemaFailure>,
    /// The last lines of output, by schema.
    output: Vec<(Option<String>, Vec<String>)>,
    /// A failure of the whole run, which ended the remaining work.
    pub(super) run: Option<Failure>,
}

/// The number of failed schemas whose last lines are shown.
const SHOWN_SCHEMAS: usize = 4;
/// The number of lines shown for each, if several failed.
const SHOWN_LINES: usize = 3;

impl Failed {
    /// The last lines: all lines of a single schema, or the end of each of several, with its name.
    pub(super) fn last_lines(&mut self) -> Vec<String> {
        let output = std::mem::take(&mut self.output);
        if let [(_, lines)] = output.as_slice() {
            return lines.clone();
        }
        let several = output.iter().take(SHOWN_SCHEMAS).flat_map(|(tenant, lines)| {
            let name = tenant.as_deref().unwrap_or("the shared schema");
            let lines: Vec<&String> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
            let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            last.iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
        });
        several.collect()
    }
}

/// Migrates these schemas, or as many as the failure limit allows.
pub(super) async fn run(
    context: &RunContext,
    locked: &Locked<'_>,
    history: &RunHistory,
    pending: &[Option<String>],
    applied: &mut Applied,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Failed, Failure> {
    locked.prepare_framework(context).await?;
    let settings = &context.migrations()?.apply;
    let at_most = match settings.on_tenant_failure {
        OnTenantFailure::Stop => 1,
        OnTenantFailure::Continue { at_most } => at_most.unwrap_or(usize::MAX),
    };
    let is_canary =
        |tenant: &Option<String>| tenant.as_ref().is_some_and(|name| settings.canary.contains(name));
    let (canaries, mut rest): (Vec<_>, Vec<_>) = pending.iter().cloned().partition(is_canary);
    if locked.mode() == LockMode::Shared {
        // Each replica starts at another tenant, so that two rarely try the same.
        fastrand::shuffle(&mut rest);
    }
    let mut pool = Pool {
        context,
        locked,
        history,
        applied,
        on_event,
        failed: Failed::default(),
        done: 0,
        total: pending.len(),
        last_advance: Instant::now(),
    };
    if pool.total > 1 {
        on_event(ActionEvent::Progress { done: 0, total: pool.total, what: MIGRATED });
    }
    for (group, jobs, at_most) in [(canaries, 1, 1), (rest, settings.jobs.max(1), at_most)] {
        if pool.failed.schemas.is_empty()
            && let Err(failure) = pool.migrate_group(group, jobs, at_most).await
        {
            pool.failed.run = Some(failure);
            break;
        }
    }
    Ok(pool.failed)
}

struct Pool<'a> {
    context: &'a RunContext,
    locked: &'a Locked<'a>,
    history: &'a RunHistory,
    applied: &'a mut Applied,
    on_event: &'a dyn Fn(ActionEvent),
    failed: Failed,
    done: usize,
    total: usize,
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
        while !group.is_empty() {
            let before = group.len();
            let locked_by_others = self.try_each(group, jobs, at_most).await?;
            if locked_by_others.is_empty() || self.failed.schemas.len() >= at_most {
                return Ok(());
            }
            group = self.still_pending(&locked_by_others).await?;
            let time_limit = self.context.config.lock_timeout;
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
                    (self.on_event)(ActionEvent::Note(text));
                }
                time::sleep(PAUSE.mul_f64(0.25 + 0.75 * fastrand::f64())).await;
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
        let mut locked_by_others = Vec::new();
        let mut ended = Ok(());
        let stop = StopRequest::default();
        let Self { context, locked, on_event, .. } = *self;
        let is_sql = matches!(context.migrations()?.source, Source::Sql { .. });
        let mut results = results(context, locked, group, jobs, on_event, &stop)?;
        loop {
            // Progress is also written while one tenant hangs, because waiting runs read it.
            let Ok(next) = time::timeout(history::EVERY, results.next()).await else {
                self.history.record_progress(context, self.done, self.total).await;
                continue;
            };
            let Some((tenant, result)) = next else { break };
            match result {
                Ok(migrations) if migrations.is_empty() => {}
                Ok(migrations) => {
                    if is_sql {
                        self.history.record_change(tenant.as_deref(), &migrations);
                    }
                    self.applied.migrations.insert(tenant, migrations);
                }
                Err(MigrateError::LockedByOther) => {
                    locked_by_others.push(tenant);
                    continue;
                }
                Err(MigrateError::Schema(mut failure, output)) => {
                    let manifest = &context.expectation().await?.manifest;
                    failure.dirty |=
                        failure.migration.as_ref().is_some_and(|id| manifest.commits_by_itself(id));
                    if !output.is_empty() {
                        self.failed.output.push((tenant, output));
                    }
                    self.failed.schemas.push(failure);
                }
                Err(MigrateError::Run(failure)) => {
                    ended = ended.and(Err(failure));
                    stop.request();
                    continue;
                }
            }
            self.advance(1).await;
            if self.failed.schemas.len() >= at_most {
                stop.request();
            }
        }
        ended.map(|()| locked_by_others)
    }

    /// The schemas that no run has migrated yet. A schema that another run broke is reported by that run and by the
    /// gate.
    async fn still_pending(&mut self, tried: &[Option<String>]) -> Result<Vec<Option<String>>, Failure> {
        let names: Vec<String> = tried.iter().flatten().cloned().collect();
        let list = WorkList::from(&inspect_named(self.context, &names).await?);
        for (tenant, _) in list.broken {
            let why = "another run left it in a state that cannot be migrated".into();
            let failure = SchemaFailure { tenant, why, ..SchemaFailure::default() };
            self.failed.schemas.push(failure);
        }
        self.advance(tried.len() - list.pending.len()).await;
        Ok(list.pending)
    }

    async fn advance(&mut self, more: usize) {
        self.done = (self.done + more).min(self.total);
        if more > 0 && self.total > 1 {
            let (done, total) = (self.done, self.total);
            (self.on_event)(ActionEvent::Progress { done, total, what: MIGRATED });
            self.history.record_progress(self.context, self.done, self.total).await;
        }
    }
}

/// The result of one schema.
type SchemaResult = (Option<String>, Result<Vec<String>, MigrateError>);

/// The results of the schemas, in the order of completion.
fn results<'a>(
    context: &'a RunContext,
    locked: &'a Locked<'a>,
    group: Vec<Option<String>>,
    jobs: usize,
    on_event: &'a dyn Fn(ActionEvent),
    stop: &'a StopRequest,
) -> Result<LocalBoxStream<'a, SchemaResult>, Failure> {
    Ok(match &context.migrations()?.source {
        Source::Sql { .. } => stream::iter(group)
            .take_while(|_| future::ready(!stop.is_requested()))
            .map(move |tenant| async move {
                let result = apply_files(context, locked, tenant.as_deref()).await;
                (tenant, result)
            })
            .buffer_unordered(jobs)
            .boxed_local(),
        Source::External(_) => {
            let Some(project) = context.project()? else {
                return Ok(stream::empty().boxed_local());
            };
            stream::iter(project.batches(&group, jobs))
                .take_while(|_| future::ready(!stop.is_requested()))
                .map(move |schemas| by_framework(context, locked, project, schemas, stop, on_event))
                .buffer_unordered(jobs)
                .flat_map(stream::iter)
                .boxed_local()
        }
    })
}

/// Has the framework migrate one batch; with other replicas, only the schemas that no other run has locked. The locks
/// belong to the lock's session and are covered by its heartbeat.
async fn by_framework(
    context: &RunContext,
    locked: &Locked<'_>,
    project: Project<'_>,
    schemas: Vec<Option<String>>,
    stop: &StopRequest,
    on_event: &dyn Fn(ActionEvent),
) -> Vec<SchemaResult> {
    if locked.mode() == LockMode::Exclusive {
        return migrated(context, locked, project, &schemas, stop, on_event).await;
    }
    let first = schemas.first().cloned().flatten();
    match claim(context, locked, schemas).await {
        Err(failure) => vec![(first, Err(MigrateError::Run(failure)))],
        Ok(Claim { claimed, held, others }) => {
            let mut results = migrated(context, locked, project, &claimed, stop, on_event).await;
            locked.release_tenants(held);
            results.extend(others.into_iter().map(|tenant| (tenant, Err(MigrateError::LockedByOther))));
            results
        }
    }
}

async fn migrated(
    context: &RunContext,
    locked: &Locked<'_>,
    project: Project<'_>,
    schemas: &[Option<String>],
    stop: &StopRequest,
    on_event: &dyn Fn(ActionEvent),
) -> Vec<SchemaResult> {
    let Some(first) = schemas.first() else { return Vec::new() };
    let run = async {
        locked.check().await?;
        let apply = &context.migrations()?.apply;
        let stop_policy = match apply.on_tenant_failure {
            OnTenantFailure::Stop => StopPolicy::Stop,
            OnTenantFailure::Continue { .. } => StopPolicy::Continue,
        };
        let manifest = &context.expectation().await?.manifest;
        let shared_schema = manifest.shared_schema.as_deref().unwrap_or("public");
        let migrating = Migrating { stop_policy, timeout: apply.timeout, shared_schema };
        Ok(project.migrate(schemas, migrating, stop.requested(), on_event).await)
    };
    let (outcomes, blockers) = blockers::watch(context, run, on_event).await;
    let outcomes = match outcomes {
        Err(failure) => return vec![(first.clone(), Err(MigrateError::Run(failure)))],
        Ok(outcomes) => outcomes.into_iter(),
    };
    let with_blockers = |error: frameworks::MigrateError| {
        let mut error = MigrateError::from(error);
        if let MigrateError::Schema(SchemaFailure { tenant, why, .. }, _) = &mut error
            && why.kind == Kind::Locked
        {
            why.text = blockers.add_to(std::mem::take(&mut why.text), tenant.as_deref());
        }
        error
    };
    let migrated = |()| vec!["its pending migrations".into()];
    outcomes.map(|(tenant, result)| (tenant, result.map(migrated).map_err(with_blockers))).collect()
}

/// The part of a batch that a replica has claimed.
struct Claim {
    /// Pending and locked by this run.
    claimed: Vec<Option<String>>,
    /// Locked by this run, whether or not migrations are pending.
    held: Vec<String>,
    /// Locked or completed by other runs.
    others: Vec<Option<String>>,
}

async fn claim(
    context: &RunContext,
    locked: &Locked<'_>,
    schemas: Vec<Option<String>>,
) -> Result<Claim, Failure> {
    let names: Vec<String> = schemas.iter().flatten().cloned().collect();
    let free = locked.acquire_tenants(names.clone()).await?;
    let held: Vec<String> =
        names.into_iter().zip(free).filter_map(|(name, free)| free.then_some(name)).collect();
    let pending = if held.is_empty() {
        Vec::new()
    } else {
        // Another replica may have completed one between the inspection and the lock.
        WorkList::from(&inspect_named(context, &held).await?).pending
    };
    let (claimed, others) = schemas.into_iter().partition(|schema| pending.contains(schema));
    Ok(Claim { claimed, held, others })
}

async fn apply_files(
    context: &RunContext,
    locked: &Locked<'_>,
    tenant: Option<&str>,
) -> Result<Vec<String>, MigrateError> {
    let nowait = locked.mode() == LockMode::Shared;
    let limits = Limits { nowait, ..context.limits().map_err(MigrateError::Run)? };
    let applying = async {
        locked.not_lost()?;
        let expectation = context.expectation().await?;
        let (schema, files): (_, &[MigrationFile]) = match tenant {
            Some(tenant) => (Schema::Tenant(tenant.to_owned()), &expectation.tenant),
            None => (Schema::Shared, &expectation.shared),
        };
        Ok(context.database()?.apply(locked, &schema, files, &limits).await)
    };
    let timeout = context.migrations().map_err(MigrateError::Run)?.apply.timeout;
    let failed = |error: ApplyError| {
        let failure = SchemaFailure {
            tenant: tenant.map(str::to_owned),
            migration: error.migration,
            place: error.place,
            why: error.why,
            dirty: error.end == ApplyEnd::Dirty,
            ..SchemaFailure::default()
        };
        MigrateError::Schema(failure, Vec::new())
    };
    // The last statement has the same limit and may reach it first.
    let out_of_time = |error: &ApplyError| error.why.kind == Kind::Silent && limits.deadline.has_passed();
    match limits.deadline.limit(applying).await {
        Ok(Ok(Ok(applied))) => Ok(applied.migrations),
        Ok(Ok(Err(error))) if error.end == ApplyEnd::HeldByOther && nowait => {
            Err(MigrateError::LockedByOther)
        }
        Ok(Ok(Err(error))) if error.end == ApplyEnd::Refused => {
            Err(MigrateError::Run(Failure::Refused { what: "the database".into(), why: error.why }))
        }
        Ok(Ok(Err(error))) if !out_of_time(&error) => Err(failed(error)),
        Ok(Err(failure)) => Err(MigrateError::Run(failure)),
        Ok(Ok(Err(_))) | Err(_) => {
            let why = format!("ran longer than {}", duration(timeout));
            let migration = half_done(context, tenant).await;
            let end = if migration.is_some() { ApplyEnd::Dirty } else { ApplyEnd::Failed };
            Err(failed(ApplyError { why: why.into(), end, migration, ..ApplyError::default() }))
        }
    }
}

/// The migration that the ledger shows as half applied after a time-out. None also if the ledger is unreadable.
async fn half_done(context: &RunContext, tenant: Option<&str>) -> Option<String> {
    let named = tenant.map(|name| Selection::Named(vec![name.to_owned()]));
    let (_, judgement) = inspect(context, named.is_none(), named.as_ref()).await.ok()?;
    let mut findings = judgement.verdicts().flat_map(|(_, verdict)| &verdict.findings);
    findings.find_map(|finding| match finding {
        Finding::Dirty { migrations } => migrations.first().cloned(),
        _ => None,
    })
}
