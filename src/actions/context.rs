//! Holds what every action of a run reads and none changes: configuration, database, programs, manifest.

use std::time::Duration;

use serde_json::json;
use tokio::sync::OnceCell;

use super::expectation::{self, Expectation};
use crate::{
    config::{self, Config, Migrations, Source, Transaction},
    database::{Database, Limits},
    deadline::Deadline,
    failure::Failure,
    frameworks::Project,
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
    identity: OnceCell<String>,
}

impl RunContext {
    pub(crate) fn new(config: Config, processes: Processes) -> Self {
        let run = format!("{:08x}", fastrand::u32(..));
        let database =
            config.database.as_ref().map(|database| Database::new(database, config.registry.as_ref(), &run));
        Self { run, config, processes, database, expectation: OnceCell::new(), identity: OnceCell::new() }
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
                let database = self.identity.get().map(String::as_str);
                Project::new(project, &self.processes, &self.run, database).map(Some)
            }
        }
    }

    /// Makes the project's programs refuse any database except for the configured one.
    pub(crate) async fn identify_database(&self) -> Result<(), Failure> {
        let (Source::External(_), Some(config::Database::Postgres(postgres))) =
            (&self.migrations()?.source, &self.config.database)
        else {
            return Ok(());
        };
        let postgres = postgres.direct.as_deref().unwrap_or(postgres);
        let name = format!("{} at {}:{}", postgres.name, postgres.host, postgres.port);
        let identity = async {
            let identity = self.database()?.identity().await;
            let (question, answer) =
                identity.map_err(|error| error.into_failure("identifying the database"))?;
            let facts = json!({ "name": name, "question": question, "answer": answer });
            Ok::<_, Failure>(facts.to_string())
        };
        self.identity.get_or_try_init(|| identity).await.map(drop)
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

/// The manifest is read by the first action that needs it, so the project's output belongs to no step.
fn log(event: ActionEvent) {
    if let ActionEvent::Output { line, .. } = event {
        tracing::info!("the project, while it prints its manifest: {line}");
    }
}

/// The configuration lacks a table that an action needs.
pub(super) fn lacks(needs: &'static str) -> Failure {
    Failure::ConfigLacks { what: "this".into(), needs }
}
