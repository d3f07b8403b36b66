//! Migrates one schema, or one batch with the framework.

use std::time::Duration;

use tokio::time::Instant;

use super::{MigrateError, StopRequest, plan::WorkList, results::SchemaResult};
use crate::{
    actions::{
        blockers,
        context::RunContext,
        judge::{inspect, inspect_named},
        lock::Locked,
        notices::NoticeLog,
    },
    cause::Kind,
    config::{OnTenantFailure, Selection},
    database::{ApplyEnd, ApplyError, DatabaseLock, Limits, LockMode, MigrationFile, Schema},
    failure::Failure,
    frameworks::{self, Migrating, Project, RecordingSlot, SchemaOutcome, StopPolicy},
    outcome::{ActionEvent, SchemaFailure},
    retry::{Pauses, Retry},
    tenants::gate::Finding,
    words::duration,
};

/// The number of attempts of a command after a deadlock or a lock time-out.
pub(in crate::actions) const ATTEMPTS: u32 = 3;
/// Longer than the transactions of most sessions.
pub(in crate::actions) const PAUSES: Pauses =
    Pauses { first: Duration::from_secs(1), longest: Duration::from_secs(4) };

/// Has the framework migrate one batch; with other replicas, only the schemas that no other run has locked. The locks
/// belong to the lock's session and are covered by its heartbeat.
pub(super) async fn by_framework(
    context: &RunContext,
    locked: &Locked<'_>,
    project: Project<'_>,
    schemas: Vec<Option<String>>,
    stop: &StopRequest,
    on_event: &dyn Fn(ActionEvent),
    recorded: Option<&RecordingSlot>,
) -> Vec<SchemaResult> {
    let started = Instant::now();
    let migrated =
        async |schemas| migrated(context, locked, project, schemas, stop, on_event, recorded).await;
    let (results, others) = if locked.mode() == LockMode::Exclusive {
        (migrated(&schemas).await, Vec::new())
    } else {
        let first = schemas.first().cloned().flatten();
        match claim(context, locked, schemas).await {
            Err(failure) => (vec![(first, Err(MigrateError::Run(failure)))], Vec::new()),
            Ok(Claim { claimed, held, others }) => {
                let results = migrated(&claimed).await;
                locked.release_tenants(held);
                (results, others)
            }
        }
    };
    let share = started.elapsed() / u32::try_from(results.len()).unwrap_or(u32::MAX).max(1);
    let results = results.into_iter().map(|(schema, result)| (schema, result, share));
    let others = others.into_iter().map(|schema| (schema, Err(MigrateError::LockedByOther), Duration::ZERO));
    results.chain(others).collect()
}

async fn migrated(
    context: &RunContext,
    locked: &Locked<'_>,
    project: Project<'_>,
    schemas: &[Option<String>],
    stop: &StopRequest,
    on_event: &dyn Fn(ActionEvent),
    recorded: Option<&RecordingSlot>,
) -> Vec<(Option<String>, Result<Vec<String>, MigrateError>)> {
    let Some(first) = schemas.first() else { return Vec::new() };
    // A run of another registry may have the same database as a tenant.
    let _database_lock = match first {
        Some(tenant) if project.has_command() => match lock_database(context, tenant).await {
            Ok(lock) => lock,
            Err(error) => return vec![(first.clone(), Err(error))],
        },
        _ => None,
    };
    let run = async {
        locked.check().await?;
        let apply = &context.migrations()?.apply;
        let stop_policy = match apply.on_tenant_failure {
            OnTenantFailure::Stop => StopPolicy::Stop,
            OnTenantFailure::Continue { .. } => StopPolicy::Continue,
        };
        let manifest = &context.expectation().await?.manifest;
        let shared_schema = manifest.shared_schema.as_deref().unwrap_or("public");
        // Portcullis's own program for Django does this for each statement.
        let without_time_outs = project.has_command() && leaves_transaction(context, schemas).await?;
        let url = context.database_url(schemas).await?;
        let migrating = Migrating {
            stop_policy,
            timeout: apply.timeout,
            shared_schema,
            without_time_outs,
            database_url: url.as_ref(),
            recorded,
        };
        let mut retry = Retry::new(PAUSES).at_most(ATTEMPTS);
        loop {
            let outcomes = project.migrate(schemas, migrating, stop.requested(), on_event).await;
            let is_repeatable = project.is_repeatable() && !without_time_outs && !stop.is_requested();
            if !is_repeatable || !is_locked(&outcomes) || !retry.pause().await {
                return Ok(outcomes);
            }
            let attempt = retry.attempt();
            let text = format!("another session holds a lock; attempt {attempt} of {ATTEMPTS} follows");
            on_event(ActionEvent::Note(text));
            locked.check().await?;
        }
    };
    let (outcomes, blockers) = blockers::watch(context, run, on_event).await;
    let outcomes = match outcomes {
        Err(failure) => return vec![(first.clone(), Err(MigrateError::Run(failure)))],
        Ok(outcomes) => outcomes.into_iter(),
    };
    // A configured command has no code.
    let with_blockers = |error: frameworks::MigrateError| {
        let mut error = MigrateError::from(error);
        if let MigrateError::Schema(SchemaFailure { tenant, why, .. }, _) = &mut error
            && matches!(why.kind, Kind::Locked | Kind::Other)
        {
            why.text = blockers.add_to(std::mem::take(&mut why.text), tenant.as_deref());
        }
        error
    };
    let migrated = |()| vec!["its pending migrations".into()];
    outcomes.map(|(tenant, result)| (tenant, result.map(migrated).map_err(with_blockers))).collect()
}

async fn lock_database(context: &RunContext, tenant: &str) -> Result<Option<DatabaseLock>, MigrateError> {
    let locked = context.database().map_err(MigrateError::Run)?.lock_database(tenant).await;
    let limits = context.limits().map_err(MigrateError::Run)?;
    locked.map_err(|error| failed(Some(tenant), &limits, error))
}

/// Whether the only schema of a batch failed because of another session's lock.
fn is_locked(outcomes: &[SchemaOutcome]) -> bool {
    let [(_, Err(frameworks::MigrateError::Schema(failure, _)))] = outcomes else { return false };
    failure.why.kind == Kind::Locked
}

/// Whether a pending migration does not run in a transaction. It may build an index concurrently, and after a failure it
/// must not be repeated.
async fn leaves_transaction(context: &RunContext, schemas: &[Option<String>]) -> Result<bool, Failure> {
    let manifest = &context.expectation().await?.manifest;
    if manifest.not_atomic.is_empty() {
        return Ok(false);
    }
    let tenants = Selection::Named(schemas.iter().flatten().cloned().collect());
    let (_, judgement) = inspect(context, schemas.contains(&None), Some(&tenants)).await?;
    let leaves = judgement.verdicts().any(|(tenant, verdict)| {
        let expected = if tenant.is_some() { &manifest.tenant } else { &manifest.shared };
        let leaves = |migration: &String| manifest.commits_by_itself(migration);
        verdict.pending().iter().any(leaves)
            || (verdict.is_fresh() && manifest.creation_commits_by_itself(expected))
    });
    Ok(leaves)
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

/// Judges the broken tenants again while this run has their locks. Those that another run has locked may only look
/// broken, because it is migrating them: they count as pending.
pub(super) async fn judge_broken(
    context: &RunContext,
    locked: &Locked<'_>,
    list: &mut WorkList,
) -> Result<(), Failure> {
    let names: Vec<String> = list.broken.keys().flatten().cloned().collect();
    if locked.mode() == LockMode::Exclusive || names.is_empty() {
        return Ok(());
    }
    let free = locked.acquire_tenants(names.clone()).await?;
    let (held, others): (Vec<_>, Vec<_>) = names.into_iter().zip(free).partition(|(_, free)| *free);
    let held: Vec<String> = held.into_iter().map(|(name, _)| name).collect();
    let judged = if held.is_empty() { Ok(None) } else { inspect_named(context, &held).await.map(Some) };
    locked.release_tenants(held);
    list.broken.retain(|schema, _| schema.is_none());
    if let Some(judgement) = judged? {
        list.extend(WorkList::from(&judgement));
    }
    list.pending.extend(others.into_iter().map(|(name, _)| Some(name)));
    Ok(())
}

pub(super) async fn apply_files(
    context: &RunContext,
    locked: &Locked<'_>,
    notices: &NoticeLog<'_>,
    tenant: Option<&str>,
) -> Result<Vec<String>, MigrateError> {
    let limits = limits(context, locked).map_err(MigrateError::Run)?;
    let applying = notices.during(tenant, limits.clone(), async |limits| {
        locked.not_lost()?;
        let expectation = context.expectation().await?;
        let (schema, files): (_, &[MigrationFile]) = match tenant {
            Some(tenant) => (Schema::Tenant(tenant.to_owned()), &expectation.tenant),
            None => (Schema::Shared, &expectation.shared),
        };
        Ok(context.database()?.apply(locked, &schema, files, limits).await)
    });
    let timeout = context.migrations().map_err(MigrateError::Run)?.apply.timeout;
    // The last statement has the same limit and may reach it first.
    let out_of_time = |error: &ApplyError| error.why.kind == Kind::Silent && limits.deadline.has_passed();
    match limits.deadline.limit(applying).await {
        Ok(Ok(Ok(applied))) => Ok(applied.migrations),
        Ok(Ok(Err(error))) if !out_of_time(&error) => Err(failed(tenant, &limits, error)),
        Ok(Err(failure)) => Err(MigrateError::Run(failure)),
        Ok(Ok(Err(_))) | Err(_) => {
            let why = format!("ran longer than {}", duration(timeout));
            let migration = half_done(context, tenant).await;
            let end = if migration.is_some() { ApplyEnd::Dirty } else { ApplyEnd::Failed };
            let error = ApplyError { why: why.into(), end, migration, ..ApplyError::default() };
            Err(failed(tenant, &limits, error))
        }
    }
}

/// The limits of one schema. With other replicas, a schema that one of them has locked is not waited for.
pub(super) fn limits(context: &RunContext, locked: &Locked<'_>) -> Result<Limits, Failure> {
    Ok(Limits { nowait: locked.mode() == LockMode::Shared, ..context.limits()? })
}

pub(super) fn failed(tenant: Option<&str>, limits: &Limits, error: ApplyError) -> MigrateError {
    match error.end {
        ApplyEnd::HeldByOther if limits.nowait => MigrateError::LockedByOther,
        ApplyEnd::Refused => MigrateError::Run(Failure::refused("the database", error.why)),
        end => {
            let failure = SchemaFailure {
                tenant: tenant.map(str::to_owned),
                migration: error.migration,
                place: error.place,
                why: error.why,
                dirty: end == ApplyEnd::Dirty,
                ..SchemaFailure::default()
            };
            MigrateError::Schema(failure, Vec::new())
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
