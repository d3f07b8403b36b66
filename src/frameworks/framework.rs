//! What a framework is to Portcullis: its ledgers' rules and, where it has a program of its own, how that is used.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    config,
    failure::Failure,
    tenants::{
        ledger::{Commands, Ledger},
        manifest::Manifest,
    },
};

/// One framework. `sql` is applied by Portcullis itself; every other has a program of its own.
pub(crate) trait Framework: fmt::Debug + Sync {
    /// As the configuration and `portcullis manifest` name it.
    fn name(&self) -> &'static str;

    /// The rules of its releases, of which each manifest names one.
    fn ledgers(&self) -> &'static [&'static dyn Ledger];

    /// The command that makes the manifest.
    fn make(&self) -> &'static str;

    /// How its own program is used; None if Portcullis applies the migrations itself.
    fn external(&self) -> Option<&'static dyn External> {
        None
    }
}

/// A framework that applies its migrations with a program of its own.
pub(crate) trait External: fmt::Debug + Sync {
    fn about(&self) -> FrameworkInfo;

    /// Why the manifest no longer matches the migrations on disk, if it does not. Reads files and starts nothing.
    fn staleness(&self, manifest: &Manifest, project: &config::Project) -> Option<String>;

    /// The program that writes the manifest into the file `answer`.
    fn ask(&self, project: &config::Project, answer: &str) -> Result<Vec<String>, Failure>;

    /// The program that applies what is pending to these schemas, one after the other, and says on its channel how far it
    /// is. Each is `shared` or `tenant:NAME`, and named so on the channel.
    fn migrate(
        &self,
        project: &config::Project,
        schemas: &[String],
        stop_policy: StopPolicy,
    ) -> Result<Vec<String>, Failure>;

    /// The program that runs one app's migrations again for one tenant, in one transaction.
    fn replay(&self, project: &config::Project, replay: &Replay<'_>) -> Result<Vec<String>, Failure>;

    /// What a line that the framework's own command prints says of where it is.
    fn read_line<'a>(&self, line: &'a str) -> Option<Progress<'a>>;

    /// The places in the project's code that create tenants. `commands` are the words of the commands that the configuration
    /// creates tenants with.
    fn creations(&self, folder: &Path, commands: &[String]) -> Result<Vec<Creation>, String>;
}

/// Facts of a framework, for messages and for its program's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameworkInfo {
    pub(crate) title: &'static str,
    pub(crate) interpreter: &'static str,
    /// Variables that its program gets.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// What a project lacks whose manifest knows no table of tenants.
    pub(crate) registry: &'static str,
    /// How an app's tables come into the tenants' schemas.
    pub(crate) tenant_apps: &'static str,
    pub(crate) commands: Commands,
}

/// Which migration a framework's program is at.
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
    /// Its file calls Portcullis or migrates explicitly, or is a command that Portcullis itself calls and judges.
    pub(crate) migrates: bool,
}

/// What a program that migrates does after a failure, and at TERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopPolicy {
    /// Stops at the first failure. At TERM it finishes the schema that it is at: that may not run in a transaction.
    Stop,
    /// The same, and goes on after a failure.
    Continue,
    /// Ends at once: everything that it has done is removed afterwards.
    AtOnce,
}

/// What to replay.
pub(crate) struct Replay<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) app: &'a str,
    /// Tables of the app that stand in the shared schema.
    pub(crate) copies: Vec<String>,
}

/// A path as an argument.
pub(super) fn argument(path: &Path) -> Result<&str, Failure> {
    let not_text = || Failure::Usage { message: format!("`{}` is not valid UTF-8", path.display()) };
    path.to_str().ok_or_else(not_text)
}
