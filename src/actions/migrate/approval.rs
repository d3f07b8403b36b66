//! Computes the plan of a migration without changing anything, and compares it with an approved one.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{
    Limit,
    apply::{self, Parts, Scope},
    plan::pending,
};
use crate::{
    actions::{context::RunContext, judge::inspect, run_state::RunState},
    config::{self, OnTenantFailure, Source, Transaction, Wave},
    database::{MigrationFile, sql_locks},
    failure::Failure,
    files,
    frameworks::Request,
    ordered::{self, Ordered},
    outcome::{
        ActionEvent, FailureDetails,
        migration_plan::{MigrationPlan, PlannedGroup, PlannedMigration, PlannedSql, PlannedStatement},
        plan_hash, wording,
    },
    tenants::{gate::Verdict, inspection::Inspection},
};

/// Printing the SQL of a large project takes a minute; a longer run is a hang.
const PRINTING: Duration = Duration::from_mins(5);

/// The plan for the current state of the database.
pub(crate) async fn plan(
    context: &RunContext,
    scope: Scope<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<MigrationPlan, FailureDetails> {
    let manifest = &context.expectation().await?.manifest;
    let (found, judgement) = inspect(context, scope.shared, scope.tenants).await?;
    let (mut list, _) = apply::work(context, &found, &judgement, scope.waves)?;
    // The holder of the lock removes those that a killed run left before it computes the plan again.
    list.remove(&judgement.unfinished);
    let verdicts: BTreeMap<Option<&str>, &Verdict> = judgement.verdicts().into_map();
    let mut by_state = ByState::new();
    for schema in &list.pending {
        let Some(verdict) = verdicts.get(&schema.as_deref()) else { continue };
        let kind = schema.as_ref().and_then(|tenant| found.types.get(tenant)).cloned();
        let tenants = by_state.entry((schema.is_some(), kind, pending(verdict, manifest))).or_default();
        tenants.extend(schema.clone());
    }
    let migrations = migrations(context, &by_state, on_event).await?;
    let mut groups = Vec::new();
    for (((_, kind, names), tenants), migrations) in by_state.into_iter().zip(migrations) {
        // An estimate is no reason to fail.
        let times = context.database()?.times(&names).await.unwrap_or_default();
        let measured = times.map(|times| (times.tenants, times.average()));
        groups.push(PlannedGroup { tenants, kind, migrations, measured });
    }
    // The shared schema is first; of the tenants, the largest group.
    ordered::sort_by_key(&mut groups, |group| (!group.is_shared(), std::cmp::Reverse(group.tenants.len())));
    let broken = list.broken.iter();
    let unmigratable = broken
        .map(|(schema, verdict)| (wording::name(schema.as_deref()).to_owned(), json!(verdict.findings)));
    Ok(MigrationPlan {
        release: manifest.release(),
        server: server(context, &found)?,
        settings: settings(context, scope)?,
        groups,
        unmigratable: unmigratable.into_map(),
        unfinished: judgement.unfinished,
    })
}

/// A plan for one database is not approved for another one.
fn server(context: &RunContext, found: &Inspection) -> Result<String, Failure> {
    let engine = context.database()?.capabilities().engine;
    let version = found.server.as_ref().map(|(_, version)| format!(" {version}")).unwrap_or_default();
    let database = match &context.config.database {
        Some(config::Database::Postgres(postgres)) => format!(", database {}", postgres.name),
        _ => String::new(),
    };
    Ok(format!("{engine}{version}{database}"))
}

/// The settings that decide how migrations are applied.
fn settings(context: &RunContext, scope: Scope<'_>) -> Result<Value, Failure> {
    let migrations = context.migrations()?;
    let apply = &migrations.apply;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let wave = |wave: &Wave| match wave {
        Wave::Tenants(names) => json!(names),
        Wave::Percent(percent) => json!(format!("{percent}%")),
    };
    // Only `stop` migrates nothing while a tenant is broken.
    let (on_tenant_failure, max_failures) = match apply.on_tenant_failure {
        OnTenantFailure::Stop => ("stop", Some(1)),
        OnTenantFailure::Continue { at_most } => ("continue", at_most),
    };
    Ok(json!({
        "jobs": apply.jobs,
        "waves": apply.waves.iter().map(wave).collect::<Vec<_>>(),
        "only_waves": scope.waves,
        "replay": apply.replay,
        "on_tenant_failure": on_tenant_failure,
        "max_failures": max_failures,
        "timeout_ms": milliseconds(apply.timeout),
        "lock_timeout_ms": milliseconds(apply.lock_timeout),
        "statement_timeout_ms": apply.statement_timeout.map(milliseconds),
        "one_transaction": apply.transaction == Transaction::Schema,
        "search_path": migrations.search_path,
    }))
}

/// Whether it is a tenant, its type and its pending migrations.
type State = (bool, Option<String>, Vec<String>);
/// The tenants in each state.
type ByState = BTreeMap<State, Vec<String>>;

/// The migrations of each group.
async fn migrations(
    context: &RunContext,
    by_state: &ByState,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Vec<Vec<PlannedMigration>>, FailureDetails> {
    let expectation = context.expectation().await?;
    if let Source::Sql { .. } = context.migrations()?.source {
        let has_locks = context.database()?.capabilities().server;
        let of_group = |(is_tenant, _, names): &State| {
            let files = if *is_tenant { &expectation.tenant } else { &expectation.shared };
            let of = |name: &String| files.iter().find(|file| file.name() == *name);
            names.iter().map(|name| of_file(name, of(name), has_locks)).collect()
        };
        return Ok(by_state.keys().map(of_group).collect());
    }
    context.program_sessions().await?;
    let Some(project) = context.project()? else { return Ok(Vec::new()) };
    let requests: Vec<Request<'_>> = by_state
        .iter()
        .map(|((_, _, names), tenants)| {
            (tenants.first().map(String::as_str), names.iter().map(String::as_str).collect())
        })
        .collect();
    // A program connects to one database, and a tenant's own one is another. A command of the project may do something
    // else than its framework.
    let is_known = context.database()?.capabilities().creating_programs && !project.has_command();
    let answers = if is_known {
        project.pending_sql(&requests, PRINTING, on_event).await?.unwrap_or_default()
    } else {
        Vec::new()
    };
    let of_group = |(at, (_, names)): (usize, &Request<'_>)| {
        let of_migration = |(number, name): (usize, &&str)| {
            let list = answers.get(at).and_then(|lists| lists.get(number)?.clone());
            let sql = match list {
                Some(list) => PlannedSql::Statements(list.into_iter().flat_map(of_program).collect()),
                None => PlannedSql::Unknown(project.command_line()),
            };
            let in_transaction = !expectation.manifest.commits_by_itself(name);
            PlannedMigration { name: (*name).to_owned(), in_transaction, sql }
        };
        names.iter().enumerate().map(of_migration).collect()
    };
    Ok(requests.iter().enumerate().map(of_group).collect())
}

fn of_file(name: &str, file: Option<&MigrationFile>, has_locks: bool) -> PlannedMigration {
    let statements = |file: &MigrationFile| sql_locks::statements(&file.sql, has_locks).collect();
    PlannedMigration {
        name: name.to_owned(),
        in_transaction: file.is_some_and(|file| !file.no_transaction),
        // A baseline whose replaced files are only partly applied has no file to run.
        sql: file.map_or_else(
            || PlannedSql::Unknown("none".into()),
            |file| PlannedSql::Statements(statements(file)),
        ),
    }
}

/// The statements of one text from a framework; None is code of the project.
fn of_program(sql: Option<String>) -> Vec<PlannedStatement> {
    match sql {
        Some(sql) => sql_locks::statements(&sql, true).collect(),
        None => vec![PlannedStatement { sql: None, locks: None }],
    }
}

/// An approved plan: its hash, and its document if a file was given.
pub(crate) struct Approved {
    hash: String,
    document: Option<Value>,
}

impl Approved {
    /// Reads a hash, or the file with the JSON of `--plan`.
    pub(crate) async fn read(given: &str) -> Result<Self, Failure> {
        if plan_hash::is_hash(given) {
            return Ok(Self { hash: given.to_owned(), document: None });
        }
        let wrong = |why: String| Failure::Usage {
            message: format!(
                "`{given}` is neither the hash nor a JSON file of `portcullis migrate --plan`: {why}"
            ),
        };
        let path = PathBuf::from(given);
        let read = move || files::read_now(&path, u64::MAX).and_then(files::text);
        let text = files::within(files::TIMEOUT, read).await.map_err(|error| wrong(error.to_string()))?;
        let document: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let hash = plan_hash::hash(&document);
        if document["hash"] != hash.as_str() {
            return Err(wrong("its content does not have its hash, so it was edited".into()));
        }
        Ok(Self { hash, document: Some(document) })
    }
}

/// Applies the approved plan under the lock, or refuses if the current one is another. `done` receives the results.
pub(crate) async fn execute(
    state: &RunState,
    approved: &Approved,
    scope: Scope<'_>,
    done: &mut Parts,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let plan = plan(&state.context, scope, on_event).await?;
    if plan.hash() != approved.hash {
        let why = plan_hash::differences(&approved.hash, approved.document.as_ref(), &plan.json());
        return Err(Failure::PlanChanged { why }.into());
    }
    let pending = plan.pending();
    let limit = Limit { waves: scope.waves, approved: Some(&pending), before_change: None };
    apply::migrate(state, scope, limit, done, on_event).await?;
    drop(locked);
    Ok(())
}
