//! What steps and commands both do: look, apply, provision.

pub(crate) mod apply;
mod crew;
pub(crate) mod doctor;
pub(crate) mod expectation;
mod keeper;
pub(crate) mod lock;
pub(crate) mod look;
pub(crate) mod opening;
pub(crate) mod provision;
pub(crate) mod record;
pub(crate) mod repair;
pub(crate) mod template;
pub(crate) mod verify;

use tokio::sync::OnceCell;

use self::{
    expectation::Expectation, lock::RunLock, opening::Openings, provision::begun::Unfinished, record::Record,
};
use crate::{
    config::{self, Config},
    database::{Database, Limits},
    failure::Failure,
    frameworks::{MigrateError, Project},
    outcome::SchemaFailure,
    process::Processes,
};

/// What an action works with.
pub(crate) struct Work {
    pub(crate) run: String,
    pub(crate) config: Config,
    pub(crate) lock: RunLock,
    pub(crate) begun: Unfinished,
    pub(crate) record: Record,
    pub(crate) openings: Openings,
    database: Option<Database>,
    processes: OnceCell<Processes>,
    expectation: OnceCell<Expectation>,
}

impl Work {
    pub(crate) fn new(config: Config) -> Self {
        let run = format!("{:08x}", fastrand::u32(..));
        let database = config
            .database
            .as_ref()
            .map(|database| Database::new(database, config.registry.as_ref()).of_run(&run));
        Self {
            run,
            config,
            lock: RunLock::default(),
            begun: Unfinished::default(),
            record: Record::default(),
            openings: Openings::default(),
            database,
            processes: OnceCell::new(),
            expectation: OnceCell::new(),
        }
    }

    pub(crate) fn database(&self) -> Result<&Database, Failure> {
        self.database.as_ref().ok_or_else(|| lacks("[database]"))
    }

    /// From now on the work may start programs.
    pub(crate) fn start_with(&self, processes: Processes) {
        // It is started once; a second time would be the same reaper.
        let _ = self.processes.set(processes);
    }

    pub(crate) fn processes(&self) -> Result<&Processes, Failure> {
        let internal = || Failure::Internal { what: "no reaper runs".into() };
        self.processes.get().ok_or_else(internal)
    }

    /// The project whose framework applies the migrations; None if Portcullis itself does.
    pub(crate) fn project(&self) -> Result<Option<Project<'_>>, Failure> {
        match &self.migrations()?.source {
            config::Source::Sql { .. } => Ok(None),
            config::Source::External(project) => {
                Project::new(project, self.processes()?, &self.run).map(Some)
            }
        }
    }

    pub(crate) fn migrations(&self) -> Result<&config::Migrations, Failure> {
        self.config.migrations.as_ref().ok_or_else(|| lacks("[migrations]"))
    }

    /// What the code expects; read once, or derived once if `auto = true`.
    pub(crate) async fn expectation(&self) -> Result<&Expectation, Failure> {
        self.expectation.get_or_try_init(|| expectation::load(self)).await
    }

    pub(crate) fn limits(&self) -> Result<Limits, Failure> {
        let apply = &self.migrations()?.apply;
        Ok(Limits {
            lock_timeout: apply.lock_timeout,
            statement_timeout: apply.statement_timeout,
            gives_way: false,
        })
    }
}

/// Why one schema was not migrated: a failure of its own, with the last lines of what was said, another run, or a
/// failure that ends this one.
#[derive(Debug)]
enum Stopped {
    Schema(SchemaFailure, Vec<String>),
    /// Another run is at work on it.
    Taken,
    Run(Failure),
}

impl From<MigrateError> for Stopped {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Schema(failure, lines) => Self::Schema(failure, lines),
            MigrateError::Run(failure) => Self::Run(failure),
        }
    }
}

fn lacks(needs: &'static str) -> Failure {
    Failure::ConfigLacks { what: "this".into(), needs }
}
