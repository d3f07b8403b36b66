//! Defines the valid configuration: a file per subject.

mod database;
mod gate;
mod migrations;
mod password;
mod privileges;
mod server;
mod steps;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

pub(crate) use self::{database::*, gate::*, migrations::*, password::*, privileges::*, server::*, steps::*};
use super::secret::KnownSecret;
use crate::tenants::accept::Accept;

/// A valid configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) role: Option<String>,
    pub(crate) database: Option<Database>,
    pub(crate) registry: Option<Registry>,
    pub(crate) migrations: Option<Migrations>,
    pub(crate) gate: Gate,
    /// Known findings that are accepted until a date.
    pub(crate) accepts: Vec<Accept>,
    pub(crate) lock_timeout: Duration,
    /// How long the server may be silent before a held lock counts as lost.
    pub(crate) lock_silence_timeout: Duration,
    pub(crate) steps: Vec<Step>,
    pub(crate) server: Server,
    pub(crate) log: Log,
    pub(crate) status: Status,
    pub(crate) notify: Option<Notify>,
    /// The file for metrics, for Prometheus' node exporter.
    pub(crate) metrics: Option<PathBuf>,
    /// The secrets that the file declares; `secrets()` adds those of the environment.
    pub(super) secrets: Vec<KnownSecret>,
    /// The files from which passwords and secret variables are read.
    pub(crate) secret_files: BTreeSet<PathBuf>,
}

impl Config {
    /// With the database and the secrets of another configuration, and without the registry, which is in its own database.
    pub(crate) fn with_database_of(self, other: Self) -> Self {
        let mut database = other.database;
        if let (Some(Database::Postgres(one)), Some(Database::Postgres(own))) =
            (&mut database, &self.database)
        {
            one.shared_schema.clone_from(&own.shared_schema);
        }
        let secrets = [self.secrets, other.secrets].concat();
        Self { database, registry: None, secrets, ..self }
    }
}

/// The command line's replacements for values of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) role: Option<String>,
    pub(crate) jobs: Option<usize>,
    pub(crate) cooperate: bool,
}

/// Arguments and statements may contain a secret variable's value, so they are never shown.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    )*};
}
opaque!(Project, Server, Notify, Action, Command);
