//! Creates one tenant with any framework: completely, or not at all.

use std::future::pending;

use super::{in_flight::InFlight, rollback::RollbackOutcome, tenant_request::kind};
use crate::{
    actions::{
        context::RunContext, history, judge::rules, lock::Locked, notices::NoticeLog, run_state::RunState,
    },
    cause::{Cause, Kind},
    database::{Creation, ProvisionError, ProvisionRequest, template::Template},
    failure::{Cleanup, Failure, chain},
    frameworks::{MigrateError, Migrating, Project, StopPolicy},
    outcome::{ActionEvent, FailureDetails, SchemaFailure, wording},
    tenants::{
        gate::{Outcome, judge_schema},
        inspection::SchemaState,
        manifest::{Expected, Manifest},
    },
    words::duration,
};

/// Creates registry rows and schema, applies every migration, verifies. Copies the template if one exists.
pub(crate) async fn create(
    state: &RunState,
    locked: &Locked<'_>,
    new: &Creation,
    template: Option<&Template>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let context = &state.context;
    // A stale manifest must not change anything.
    context.expectation().await?;
    state.history.start(context).await;
    let migrated_by_project = template.is_none() && context.project()?.is_some();
    state.rollback.register(InFlight::Creation { new: new.clone(), migrated_by_project });
    let failed = match attempt(context, locked, new, template, on_event).await {
        Ok(()) => {
            created(state, new);
            return Ok(());
        }
        Err(failed) => failed,
    };
    let (left, why) = match failed.left {
        Some(left) => (left, None),
        None => match state.rollback.roll_back(context, locked).await {
            RollbackOutcome::Complete => {
                on_event(ActionEvent::Note(format!(
                    "`{}` was created; the error happened after the commit: {}",
                    new.schema, failed.why
                )));
                created(state, new);
                return Ok(());
            }
            outcome => left(outcome, failed.project_ran),
        },
    };
    state.rollback.forget();
    Err(failed.details(&new.schema, left, why))
}

/// The result of the cleanup, with the reason if it was incomplete.
fn left(outcome: RollbackOutcome, project_ran: bool) -> (Cleanup, Option<String>) {
    match outcome {
        RollbackOutcome::Nothing | RollbackOutcome::Complete if project_ran => {
            (Cleanup::TenantsRemoved, None)
        }
        RollbackOutcome::Nothing | RollbackOutcome::Complete => (Cleanup::Complete, None),
        RollbackOutcome::Unproven(why) => (Cleanup::Unproven, Some(why)),
        RollbackOutcome::Later(why) => (Cleanup::Deferred, Some(why)),
    }
}

fn created(state: &RunState, new: &Creation) {
    state.rollback.forget();
    state.history.record_change(Some(&new.schema), &[history::CREATED.into()]);
}

/// Why an attempt failed.
struct Failed {
    why: Cause,
    schema: Option<SchemaFailure>,
    output: Vec<String>,
    /// None until the cleanup is known.
    left: Option<Cleanup>,
    /// Code of the project has run.
    project_ran: bool,
    /// A more specific failure than a failed creation: credentials, the lock.
    failure: Option<Failure>,
}

async fn attempt(
    context: &RunContext,
    locked: &Locked<'_>,
    new: &Creation,
    template: Option<&Template>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), Failed> {
    let expectation = context.expectation().await?;
    let manifest = &expectation.manifest;
    let expected = expected(manifest, new);
    let (limits, timeout, database) =
        (context.limits()?, context.migrations()?.apply.timeout, context.database()?);
    if template.is_none() {
        locked.prepare_framework(context).await?;
    }
    if let (Some(project), None) = (context.project()?, template) {
        migrated(context, locked, project, new, on_event).await?;
        locked.check().await?;
        let finished = database.finish(locked, new, &limits).await;
        return finished.map_err(|error| Failed { project_ran: true, ..Failed::of(new, error) });
    }
    let notices = NoticeLog::new(on_event);
    let provisioning = notices.during(Some(&new.schema), limits.clone(), async |limits| {
        let request = ProvisionRequest {
            new,
            expected: &expected,
            layout: manifest.layout(),
            limits,
            verify: &|state| verified(context, manifest, &expected, state),
        };
        match template {
            Some(template) => database.copy(locked, &request, template).await,
            None => database.provision(locked, &request, &expectation.tenant).await,
        }
    });
    match limits.deadline.limit(provisioning).await {
        Ok(Err(error)) if error.why.kind == Kind::Silent && limits.deadline.has_passed() => {
            Err(Failed::because(format!("ran longer than {}", duration(timeout))))
        }
        Ok(result) => result.map_err(|error| Failed::of(new, error)),
        Err(_) => Err(Failed::because(format!("ran longer than {}", duration(timeout)))),
    }
}

/// Creates the schema and has the framework migrate it. The journal has its entry; the registry has no row yet.
async fn migrated(
    context: &RunContext,
    locked: &Locked<'_>,
    project: Project<'_>,
    new: &Creation,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), Failed> {
    let (database, manifest) = (context.database()?, &context.expectation().await?.manifest);
    let expected = expected(manifest, new);
    database.begin(locked, new, &context.limits()?).await.map_err(|error| Failed::of(new, error))?;
    locked.check().await?;
    let timeout = context.migrations()?.apply.timeout;
    let schemas = [Some(new.schema.clone())];
    let url = context.database_url(&schemas).await?;
    // Only a tenant's schema is created here, by all migrations.
    let migrating = Migrating {
        stop_policy: StopPolicy::AtOnce,
        timeout,
        shared_schema: "",
        without_time_outs: project.has_command() && manifest.creation_commits_by_itself(&manifest.tenant),
        database_url: url.as_ref(),
        recorded: None,
    };
    match project.migrate(&schemas, migrating, pending(), on_event).await.pop() {
        Some((_, Ok(()))) => {}
        Some((_, Err(MigrateError::Schema(schema, output)))) => {
            return Err(Failed {
                schema: Some(schema.clone()),
                output,
                project_ran: true,
                ..Failed::because(schema.why.to_string())
            });
        }
        // A missing program fails the creation like a program that exits with an error.
        Some((_, Err(MigrateError::Run(failure @ Failure::CommandMissing { .. })))) => {
            return Err(Failed::because(chain(&failure)));
        }
        Some((_, Err(MigrateError::Run(failure)))) => return Err(failure.into()),
        None => {
            return Err(Failed::because("the framework's program ended before the migration started"));
        }
    }
    let state = database.inspect_schema(&new.schema, &expected, manifest.layout()).await;
    let complete = state
        .map_err(|error| error.to_string())
        .and_then(|state| verified(context, manifest, &expected, &state));
    complete.map_err(|why| Failed { project_ran: true, ..Failed::because(why) })
}

/// Has the framework create a schema that is never registered, passes it to `read`, and deletes it.
pub(crate) async fn scratch<T>(
    state: &RunState,
    locked: &Locked<'_>,
    project: Project<'_>,
    new: &Creation,
    on_event: &dyn Fn(ActionEvent),
    read: impl AsyncFnOnce() -> Result<T, Failure>,
) -> Result<T, FailureDetails> {
    state.rollback.register(InFlight::Creation { new: new.clone(), migrated_by_project: true });
    let result = match migrated(&state.context, locked, project, new, on_event).await {
        Ok(()) => read().await.map_err(Failed::from),
        Err(failed) => Err(failed),
    };
    let project_ran = result.as_ref().is_err_and(|failed| failed.project_ran);
    let (left, why) = left(state.rollback.roll_back(&state.context, locked).await, project_ran);
    match (result, why) {
        (Ok(result), None) => Ok(result),
        (Ok(_), Some(why)) => Err(Failed::because(why).details(&new.schema, left, None)),
        (Err(failed), why) => {
            let left = failed.left.unwrap_or(left);
            Err(failed.details(&new.schema, left, why))
        }
    }
}

/// The gate's judgement of the tenant.
fn verified(
    context: &RunContext,
    manifest: &Manifest,
    expected: &Expected,
    state: &SchemaState,
) -> Result<(), String> {
    let verdict = judge_schema(manifest, expected, state, rules(context, 0));
    if verdict.outcome() == Outcome::Complete {
        return Ok(());
    }
    Err(format!("it was not complete after its migrations: {}", wording::sentence(verdict.findings.iter())))
}

/// The expected schema of this tenant, by its type if types are configured.
fn expected(manifest: &Manifest, new: &Creation) -> Expected {
    let kind = kind(&new.columns, manifest.type_column());
    let tables = manifest.tables_of(kind).clone();
    Expected { tables, ..manifest.tenant.clone() }
}

impl Failed {
    fn because(why: impl Into<Cause>) -> Self {
        Self {
            why: why.into(),
            schema: None,
            output: Vec::new(),
            left: None,
            project_ran: false,
            failure: None,
        }
    }

    fn of(new: &Creation, error: ProvisionError) -> Self {
        let schema = error.migration.map(|migration| SchemaFailure {
            tenant: Some(new.schema.clone()),
            migration: Some(migration),
            place: error.place,
            why: error.why.clone(),
            ..SchemaFailure::default()
        });
        let refused = || Failure::refused("the database", error.why.clone());
        let failure = error.refused.then(refused);
        Self { schema, left: error.left, failure, ..Self::because(error.why.clone()) }
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let why = chain(&failure);
        Self { failure: Some(failure), ..Self::because(why) }
    }
}

impl Failed {
    /// The failure, after the cleanup and its reason are known.
    fn details(self, tenant: &str, left: Cleanup, more: Option<String>) -> FailureDetails {
        let failure = match self.failure {
            Some(failure) if left == Cleanup::Complete || left == Cleanup::NothingCreated => failure,
            _ => {
                let why = match more {
                    Some(more) => {
                        let text = format!("{}; {more}", self.why);
                        self.why.with_text(text)
                    }
                    None => self.why,
                };
                Failure::Provisioning { tenant: tenant.to_owned(), why, left }
            }
        };
        FailureDetails { failed: self.schema.into_iter().collect(), output: self.output, ..failure.into() }
    }
}
