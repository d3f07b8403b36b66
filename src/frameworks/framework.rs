//! The interface of a framework: the rules of its ledgers and, if it has its own program, the commands of that program.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{draft::Draft, signature::Signature};
use crate::{
    config,
    failure::Failure,
    tenants::{
        ledger::{Commands, Ledger},
        manifest::Manifest,
    },
};

/// One framework. Portcullis itself applies `sql` migrations; every other framework has its own program.
pub(crate) trait Framework: fmt::Debug + Sync {
    /// The name in the configuration and in `portcullis manifest`.
    fn name(&self) -> &'static str;

    /// The ledger rules of its releases. Each manifest names one.
    fn ledgers(&'static self) -> Vec<&'static dyn Ledger>;

    /// The command that derives the manifest.
    fn make(&self) -> &'static str;

    /// The ledgers by which a database shows that it belongs to this framework.
    fn signatures(&self) -> &'static [Signature];

    /// The draft of a configuration from the files of a project; None if it is not a project of this framework.
    fn draft(&self, _folder: &Path) -> Option<Draft> {
        None
    }

    /// The interface of its own program; None if Portcullis applies the migrations itself.
    fn external(&'static self) -> Option<&'static dyn External> {
        None
    }
}

/// A framework that applies its migrations with its own program.
pub(crate) trait External: fmt::Debug + Sync {
    fn about(&self) -> FrameworkInfo;

    /// The reason why the manifest no longer matches the migrations on disk. It only reads files.
    fn staleness(&'static self, manifest: &Manifest, project: &config::Project) -> Option<String>;

    /// Whether [`External::read`] derives the manifest instead of its program.
    fn reads_files(&self) -> bool {
        false
    }

    /// Whether its command may be repeated after a lock time-out.
    fn is_atomic(&self) -> bool {
        true
    }

    /// The manifest from the files on disk, without tables. It only reads files.
    fn read(&'static self, _: &config::Project) -> Result<Manifest, Failure> {
        Err(self.lacks("migration files that can be read without its program"))
    }

    /// The command that writes the manifest to the file `output`.
    fn ask(&self, _: &config::Project, _: &str) -> Result<Vec<String>, Failure> {
        Err(self.lacks("program that derives the manifest"))
    }

    /// The command that applies the pending migrations to these schemas in turn and reports its progress on the
    /// channel. Each schema is `shared` or `tenant:NAME`, also on the channel.
    fn migrate(
        &self,
        project: &config::Project,
        schemas: &[String],
        stop_policy: StopPolicy,
    ) -> Result<Vec<String>, Failure>;

    /// The command that computes the values of a new tenant's rows; None if every value is known from the manifest.
    fn new_rows(&self, _: &config::Project) -> Option<Result<Vec<String>, Failure>> {
        None
    }

    /// The command that migrates one tenant, reports its progress as `migrate` does, and sends a recording of the
    /// statements; None if the framework cannot record them.
    fn record(&self, _: &config::Project, _tenant: &str) -> Option<Result<Vec<String>, Failure>> {
        None
    }

    /// The command that prints the SQL of pending migrations and changes nothing; `requests` is a JSON list of schemas,
    /// each with its migrations. None if the framework has none.
    fn pending_sql(&self, _: &config::Project, _requests: String) -> Option<Result<Vec<String>, Failure>> {
        None
    }

    /// The command that runs one app's migrations again for one tenant, in one transaction.
    fn replay(&self, _: &config::Project, _: &Replay<'_>) -> Result<Vec<String>, Failure> {
        Err(self.lacks("apps, whose migrations could be replayed"))
    }

    /// The command that records these migrations of one schema (None is the shared one) as applied without running them.
    fn mark_applied(
        &self,
        _project: &config::Project,
        _tenant: Option<&str>,
        _migrations: &[String],
    ) -> Result<Vec<String>, Failure> {
        let message = format!("Portcullis cannot record migrations of {}", self.about().title);
        Err(Failure::Usage { message })
    }

    /// The progress in an output line of the framework's own command.
    fn read_line<'a>(&self, line: &'a str) -> Option<Progress<'a>>;

    /// The places in the project's code that create tenants. `commands` are the words of the configured commands that
    /// create tenants.
    fn creations(&self, _: &Path, _: &[String]) -> Result<Vec<Creation>, String> {
        Ok(Vec::new())
    }

    fn lacks(&self, what: &str) -> Failure {
        Failure::Usage { message: format!("{} has no {what}", self.about().title) }
    }
}

/// Facts about a framework for messages and for the start of its program.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FrameworkInfo {
    pub(crate) title: &'static str,
    /// The interpreter of its program; empty if Portcullis starts none.
    pub(crate) interpreter: &'static str,
    /// The environment variables of its program.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// None if the framework has no apps.
    pub(crate) apps: Option<AppInfo>,
    pub(crate) commands: Commands,
}

/// Facts about a framework whose projects consist of apps, some of which belong to tenants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppInfo {
    /// The missing part of a project whose manifest has no registry.
    pub(crate) registry: &'static str,
    /// The instruction that moves an app's tables to the tenants' schemas.
    pub(crate) tenant_apps: &'static str,
}

/// The current migration of a framework's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress<'a> {
    Applying(&'a str),
    Applied(&'a str),
}

/// A place in a project's code that creates tenants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Creation {
    pub(crate) file: PathBuf,
    /// From 1.
    pub(crate) line: usize,
    /// Its file calls Portcullis or migrates explicitly, or it is a command that Portcullis itself runs and verifies.
    pub(crate) migrates: bool,
}

/// The reaction of a migrating program to a failure and to TERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopPolicy {
    /// Stops at the first failure. After TERM it finishes the current schema, whose migration may not run in a transaction.
    Stop,
    /// The same, but continues after a failure.
    Continue,
    /// Ends at once, because all its changes are removed afterwards.
    AtOnce,
}

pub(crate) struct Replay<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) app: &'a str,
    /// Tables of the app that also exist in the shared schema.
    pub(crate) copies: Vec<String>,
}

/// A path as a command-line argument.
pub(super) fn argument(path: &Path) -> Result<&str, Failure> {
    let not_text = || Failure::Usage { message: format!("`{}` is not valid UTF-8", path.display()) };
    path.to_str().ok_or_else(not_text)
}
