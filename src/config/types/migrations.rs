//! The migrations, and how they are applied.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::Privileges;
use crate::{
    config::{
        file_pattern::{FilePattern, IdTemplate},
        frameworks::reads_files,
        secret::Secret,
    },
    tenants::ledger::OwnLayout,
};

/// The migrations and how they are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Migrations {
    pub(crate) source: Source,
    pub(crate) manifest: PathBuf,
    /// Derive the manifest at start-up, for development.
    pub(crate) auto_manifest: bool,
    /// The manifest may be empty.
    pub(crate) empty_manifest: bool,
    /// Schemas in which SQL files find names after their own schema.
    pub(crate) search_path: Vec<String>,
    /// The template that a framework's new tenants are copied from; None means that the framework migrates each.
    pub(crate) template: Option<PathBuf>,
    pub(crate) apply: Apply,
}

impl Migrations {
    /// Whether the project has no tenants: another framework's files of the shared schema, and none of tenants.
    pub(crate) fn are_shared_alone(&self) -> bool {
        matches!(&self.source, Source::External(project)
            if reads_files(project.framework) && project.files.tenant.is_empty())
    }

    /// Whether Portcullis, the framework's program or a configured command applies them.
    pub(crate) fn are_applicable(&self) -> bool {
        match &self.source {
            Source::Sql { .. } => true,
            Source::External(project) => !project.run.is_empty() || !reads_files(project.framework),
        }
    }
}

/// The kind of the migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Two folders of native SQL files.
    Sql { shared: PathBuf, tenant: PathBuf },
    /// A framework's project.
    External(Project),
}

/// How to query a framework's project, and how to apply its migrations.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Project {
    pub(crate) framework: &'static str,
    /// The project's own interpreter.
    pub(crate) interpreter: String,
    /// The project's own command line; None means that the framework finds its settings in the environment.
    pub(crate) entry: Option<PathBuf>,
    /// The command that migrates one schema, given by `{schema}`; if it is empty, one program migrates many.
    pub(crate) run: Vec<String>,
    /// Added to the environment of the project's commands.
    pub(crate) env: BTreeMap<String, Secret>,
    /// Of every command of the project.
    pub(crate) privileges: Privileges,
    pub(crate) files: LedgerFiles,
}

/// The migration files of a framework that Portcullis lists without starting it, and the ledger's configured parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LedgerFiles {
    /// Folders, or files that list migrations.
    pub(crate) shared: Vec<PathBuf>,
    pub(crate) tenant: Vec<PathBuf>,
    pub(crate) layout: OwnLayout,
    /// Empty for the framework's own patterns.
    pub(crate) patterns: Vec<FilePattern>,
    pub(crate) recorded_as: Option<IdTemplate>,
    /// The ledger records only the newest migration.
    pub(crate) latest: bool,
}

impl Project {
    /// The folder that its paths are relative to.
    pub(crate) fn folder(&self) -> &Path {
        let folder = self.entry.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Apply {
    pub(crate) jobs: usize,
    /// The canary is the first wave.
    pub(crate) waves: Vec<Wave>,
    /// Replicas share the work of migrating tenants.
    pub(crate) cooperate: bool,
    /// The statements of one tenant are run for the others.
    pub(crate) replay: bool,
    pub(crate) on_tenant_failure: OnTenantFailure,
    /// The time limit for one tenant.
    pub(crate) timeout: Duration,
    pub(crate) lock_timeout: Duration,
    /// None keeps the server's setting.
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) transaction: Transaction,
    /// libpq's options for the sessions of the framework's programs, from the environment.
    pub(crate) given_options: Option<String>,
}

/// Tenants that are migrated and judged before the next ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wave {
    Tenants(Vec<String>),
    /// This share of all tenants, with the earlier waves.
    Percent(u8),
}

/// The SQL files that share a transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// Each file has its own transaction.
    #[default]
    File,
    /// All pending files of a schema share one.
    Schema,
}

/// Whether the other tenants are migrated after one has failed. The step fails in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTenantFailure {
    Stop,
    /// Stops after this number of failures, if it is given.
    Continue {
        at_most: Option<usize>,
    },
}
