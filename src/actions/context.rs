//! Holds what every action of a run reads and none changes: configuration, database, programs, manifest.

use std::time::Duration;

use serde_json::json;
use tokio::sync::OnceCell;

use super::expectation::{self, Expectation};
use crate::{
    config::{self, Apply, Config, Migrations, Source, Transaction, secret::Secret},
    credentials,
    database::{Database, Limits},
    deadline::Deadline,
    failure::Failure,
    frameworks::{ProgramSessions, Project},
    outcome::{ActionEvent, FailureDetails},
    process::Processes,
    tenants::manifest::Manifest,
};

/// The shortest time limit for removing one tenant.
const REMOVAL: Duration = Duration::from_mins(1);

pub(crate) struct RunContext {
    /// The run's id.
    pub(crate) run: String,
    pub(crate) config: Config,
    pub(crate) processes: Processes,
    database: Option<Database>,
    expectation: OnceCell<Expectation>,
    sessions: OnceCell<ProgramSessions>,
}

impl RunContext {
    pub(crate) fn new(config: Config, processes: Processes) -> Self {
        let run = format!("{:08x}", fastrand::u32(..));
        let database =
            config.database.as_ref().map(|database| Database::new(database, config.registry.as_ref(), &run));
        Self { run, config, processes, database, expectation: OnceCell::new(), sessions: OnceCell::new() }
    }

    /// Gives the run's programs a password file, if they need one. Returns what is wrong with it.
    pub(crate) async fn provide_password_file(&self) -> Vec<String> {
        match &self.config.database {
            Some(config::Database::Postgres(database)) => credentials::provide_file(database).await,
            _ => Vec::new(),
        }
    }

    pub(crate) fn database(&self) -> Result<&Database, Failure> {
        self.database.as_ref().ok_or_else(|| lacks("[database]"))
    }

    pub(crate) fn migrations(&self) -> Result<&Migrations, Failure> {
        self.config.migrations.as_ref().ok_or_else(|| lacks("[migrations]"))
    }

    /// The migrations and tables that the code expects; read once, or derived once if `auto = true`.
    pub(crate) async fn expectation(&self) -> Result<&Expectation, Failure> {
        self.expectation.get_or_try_init(|| async { expectation::load(&self.sources()?, &log).await }).await
    }

    /// Derives the manifest of the configured files.
    pub(crate) async fn make_manifest(
        &self,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Manifest, FailureDetails> {
        expectation::make(&self.sources()?, on_event).await
    }

    /// Reads the manifest file and checks that it matches the configured migration files.
    pub(crate) async fn check_manifest(
        &self,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Manifest, FailureDetails> {
        expectation::check(&self.sources()?, on_event).await
    }

    /// The project whose framework applies the migrations; None if Portcullis itself applies them.
    pub(crate) fn project(&self) -> Result<Option<Project<'_>>, Failure> {
        match &self.migrations()?.source {
            Source::Sql { .. } => Ok(None),
            Source::External(project) => {
                Project::new(project, &self.processes, &self.run, self.sessions.get()).map(Some)
            }
        }
    }

    /// Prepares the database sessions of the project's programs, under the lock: they refuse any database except for the
    /// configured one, and have its time-outs. None if a program cannot change the database.
    pub(crate) async fn program_sessions(&self) -> Result<Option<&ProgramSessions>, Failure> {
        let Some(config::Database::Postgres(postgres)) = &self.config.database else { return Ok(None) };
        let postgres = postgres.direct.as_deref().unwrap_or(postgres);
        let name = format!("{} at {}", postgres.name, postgres.address());
        let sessions = async {
            let database = self.database()?;
            let identity = database.identity().await;
            let (question, answer) =
                identity.map_err(|error| error.into_failure("identifying the database"))?;
            let identity = json!({ "name": name, "question": question, "answer": answer }).to_string();
            let apply = &self.migrations()?.apply;
            // A pooler refuses options, and a setting of one session would apply to other clients.
            let options = (!database.behind_pooler().await).then(|| session_options(apply));
            Ok::<_, Failure>(ProgramSessions {
                identity,
                options,
                given_options: apply.given_options.clone(),
                database_url: None,
            })
        };
        self.sessions.get_or_try_init(|| sessions).await.map(Some)
    }

    /// The URL of the tenant's database for a program that migrates this tenant alone, if the tenant has its own.
    pub(crate) async fn database_url(&self, schemas: &[Option<String>]) -> Result<Option<Secret>, Failure> {
        let [Some(tenant)] = schemas else { return Ok(None) };
        let url = self.database()?.database_url(tenant).await;
        url.map_err(|error| error.into_failure("finding the tenant's database"))
    }

    pub(crate) fn limits(&self) -> Result<Limits, Failure> {
        let migrations = self.migrations()?;
        let apply = &migrations.apply;
        Ok(Limits {
            lock_timeout: apply.lock_timeout,
            statement_timeout: apply.statement_timeout,
            search_path: migrations.search_path.clone(),
            all_in_one: apply.transaction == Transaction::Schema,
            nowait: false,
            notices: None,
            deadline: Deadline::after(apply.timeout),
        })
    }

    /// The limits for removing a tenant: a short `apply.timeout` limits migrations only.
    pub(crate) fn removal_limits(&self) -> Result<Limits, Failure> {
        let limits = self.limits()?;
        Ok(Limits { deadline: limits.deadline.max(Deadline::after(REMOVAL)), ..limits })
    }

    fn sources(&self) -> Result<expectation::Sources<'_>, Failure> {
        Ok(expectation::Sources {
            migrations: self.migrations()?,
            database: self.database.as_ref(),
            project: self.project()?,
            has_registry: self.config.registry.is_some(),
        })
    }
}

/// libpq's options that set the time-outs.
fn session_options(apply: &Apply) -> String {
    let lock_timeout = format!("-c lock_timeout={}", apply.lock_timeout.as_millis());
    let statement_timeout =
        apply.statement_timeout.map(|limit| format!(" -c statement_timeout={}", limit.as_millis()));
    lock_timeout + &statement_timeout.unwrap_or_default()
}

/// The manifest is read by the first action that needs it, so the project's output belongs to no step.
fn log(event: ActionEvent) {
    match event {
        ActionEvent::Output { line, .. } => {
            tracing::info!("the project, while it prints its manifest: {line}");
        }
        ActionEvent::Note(text) => tracing::warn!("{text}"),
        _ => {}
    }
}

/// The configuration lacks a table that an action needs.
pub(super) fn lacks(needs: &'static str) -> Failure {
    Failure::ConfigLacks { what: "this".into(), needs }
}
