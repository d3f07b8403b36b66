//! Every way in which Portcullis can fail: the words, the stable identifier, the hint and the exit code.
//!
//! It prints nothing and imports nothing of ours: everything else may depend on it.

use std::{io, path::PathBuf, time::Duration};

use crate::words;

/// One failure that ends the program, or would end it if its step did not say `on_failure = "warn"`.
///
/// One variant per thing that an operator would do differently. Messages are lower case and do not hold
/// their cause: [`std::error::Error::source`] does.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{message}")]
    Usage { message: String },

    #[error("cannot find the configuration file `{path}`")]
    ConfigMissing { path: PathBuf },
    #[error("cannot read the configuration file `{path}`")]
    ConfigUnreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `rendered` shows every problem at its place, ready to print.
    #[error("`{path}` has {count} problem{}", if *count == 1 { "" } else { "s" })]
    ConfigInvalid { path: PathBuf, count: usize, rendered: String },
    #[error("{what} needs `{needs}` in the configuration")]
    ConfigLacks { what: String, needs: &'static str },

    #[error("there is no manifest at `{path}`")]
    ManifestMissing { path: PathBuf, make: String },
    #[error("the manifest `{path}` is stale: {why}")]
    ManifestStale { path: PathBuf, why: String, make: String },
    #[error("cannot read the manifest `{path}`: {why}")]
    ManifestInvalid { path: PathBuf, why: String, make: String },
    #[error("cannot use the template `{path}`: {why}")]
    TemplateUnusable { path: PathBuf, why: String },
    #[error("cannot read the migrations in `{path}`: {why}")]
    MigrationsUnreadable { path: PathBuf, why: String },

    #[error("{what} was not there after {}: {last}", words::duration(*after))]
    WaitTimedOut { what: String, after: Duration, last: String },
    #[error("{what} refused us for good: {why}")]
    Refused { what: String, why: String },

    #[error("{summary}")]
    Incomplete { summary: String },
    #[error("{summary}")]
    MigrationFailed { summary: String },
    #[error("`{app}` cannot be replayed for `{tenant}`: {why}")]
    NotReplayable { app: String, tenant: String, why: String, todo: String },
    #[error("cannot prove that {what}: {why}")]
    Unproven { what: String, why: String },

    #[error("the lock was not had in {}: {holder}", words::duration(*after))]
    LockTimedOut { after: Duration, holder: String },
    #[error("the lock was lost: {why}")]
    LockLost { why: String },

    #[error("cannot provision `{tenant}`: {why} ({})", left.words())]
    Provisioning { tenant: String, why: String, left: Left },
    #[error("cannot delete `{tenant}`: {why}")]
    Deleting { tenant: String, why: String },

    #[error("`{program}` {ended}")]
    CommandFailed { program: String, ended: String },
    #[error("cannot start `{program}`: {why}")]
    CommandMissing { program: String, why: String },
    #[error("the SQL failed: {why}")]
    SqlFailed { why: String },
    #[error("{what} ran longer than {}", words::duration(*after))]
    TimedOut { what: String, after: Duration },
    #[error("{what} failed: {why}")]
    Database { what: String, why: String },

    #[error("cannot find the server `{program}`")]
    ServerNotFound { program: String },
    #[error("cannot execute the server `{program}`")]
    ServerNotExecutable {
        program: String,
        #[source]
        source: io::Error,
    },

    #[error("ended by {} {doing}", signal_name(*signal))]
    Interrupted { signal: i32, doing: String },

    #[error("internal error: {what}")]
    Internal { what: String },
}

/// What a provisioning that failed has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// What it had made is removed again.
    Nothing,
    /// It had made nothing yet.
    AsItWas,
    /// It could not be removed now; the journal proves whose it is, and the next run that takes the lock removes it.
    Later,
    /// Something stands there that it cannot prove to be its own.
    Unproved,
}

impl Left {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Left::Nothing => "rolled back",
            Left::AsItWas => "nothing was changed",
            Left::Later => "not rolled back yet: the next run that takes the lock does it",
            Left::Unproved => "not rolled back: authorship unproved",
        }
    }
}

impl Failure {
    /// The process's exit code, as `docs/exit-codes.md` lists them.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Incomplete { .. } | Failure::MigrationFailed { .. } | Failure::NotReplayable { .. } => 1,
            Failure::Usage { .. } => 64,
            Failure::WaitTimedOut { .. } => 69,
            Failure::Internal { .. } => 70,
            Failure::Provisioning { .. } | Failure::Deleting { .. } => 73,
            Failure::Unproven { .. } | Failure::Database { .. } => 74,
            Failure::LockTimedOut { .. } | Failure::LockLost { .. } => 75,
            Failure::Refused { .. } => 77,
            Failure::ConfigMissing { .. }
            | Failure::ConfigUnreadable { .. }
            | Failure::ConfigInvalid { .. }
            | Failure::ConfigLacks { .. }
            | Failure::ManifestMissing { .. }
            | Failure::ManifestStale { .. }
            | Failure::ManifestInvalid { .. }
            | Failure::TemplateUnusable { .. }
            | Failure::MigrationsUnreadable { .. } => 78,
            Failure::CommandFailed { .. } | Failure::CommandMissing { .. } | Failure::SqlFailed { .. } => 79,
            Failure::TimedOut { .. } => 124,
            Failure::ServerNotExecutable { .. } => 126,
            Failure::ServerNotFound { .. } => 127,
            Failure::Interrupted { signal, .. } => u8::try_from(128 + signal).unwrap_or(128),
        }
    }

    /// A stable name for this way to fail, which tells it from the server's own exit codes.
    pub(crate) fn id(&self) -> &'static str {
        match self {
            Failure::Usage { .. } => "usage",
            Failure::ConfigMissing { .. } => "config-missing",
            Failure::ConfigUnreadable { .. } => "config-unreadable",
            Failure::ConfigInvalid { .. } => "config-invalid",
            Failure::ConfigLacks { .. } => "config-lacks",
            Failure::ManifestMissing { .. } => "manifest-missing",
            Failure::ManifestStale { .. } => "manifest-stale",
            Failure::ManifestInvalid { .. } => "manifest-invalid",
            Failure::TemplateUnusable { .. } => "template-unusable",
            Failure::MigrationsUnreadable { .. } => "migrations-unreadable",
            Failure::WaitTimedOut { .. } => "wait-timed-out",
            Failure::Refused { .. } => "refused",
            Failure::Incomplete { .. } => "incomplete",
            Failure::MigrationFailed { .. } => "migration-failed",
            Failure::NotReplayable { .. } => "not-replayable",
            Failure::Unproven { .. } => "unproven",
            Failure::LockTimedOut { .. } => "lock-timed-out",
            Failure::LockLost { .. } => "lock-lost",
            Failure::Provisioning { .. } => "provisioning-failed",
            Failure::Deleting { .. } => "deleting-failed",
            Failure::CommandFailed { .. } => "command-failed",
            Failure::CommandMissing { .. } => "command-missing",
            Failure::SqlFailed { .. } => "sql-failed",
            Failure::TimedOut { .. } => "timed-out",
            Failure::Database { .. } => "database",
            Failure::ServerNotFound { .. } => "server-not-found",
            Failure::ServerNotExecutable { .. } => "server-not-executable",
            Failure::Interrupted { .. } => "interrupted",
            Failure::Internal { .. } => "internal",
        }
    }

    /// What to do about it, in one imperative sentence.
    pub(crate) fn hint(&self) -> String {
        match self {
            Failure::Usage { .. } => "see `portcullis --help`".into(),
            Failure::ConfigMissing { .. } => {
                "name the file with --config FILE or PORTCULLIS_CONFIG, or run without steps: portcullis run --no-config -- COMMAND".into()
            }
            Failure::ConfigUnreadable { source, .. } => match source.kind() {
                io::ErrorKind::IsADirectory => "name the file, not its folder".into(),
                io::ErrorKind::InvalidData => "save the file as UTF-8".into(),
                _ => "make the file readable to this user".into(),
            },
            Failure::ConfigInvalid { path, .. } => {
                format!("correct the file, then: portcullis check --config {}", path.display())
            }
            Failure::ConfigLacks { needs, .. } => format!("add `{needs}` to the configuration file"),
            Failure::ManifestMissing { make, .. }
            | Failure::ManifestStale { make, .. }
            | Failure::ManifestInvalid { make, .. } => {
                format!("make it when the image is built, with `RUN {make}` in its Dockerfile, or in CI: {make}")
            }
            Failure::TemplateUnusable { .. } => {
                "make it again for this release, where its shared schema is migrated: portcullis tenant template".into()
            }
            Failure::MigrationsUnreadable { .. } => "correct the folder or the file's name".into(),
            Failure::WaitTimedOut { .. } => "look at that service's own log, or give it more time with `timeout`".into(),
            Failure::Refused { .. } => "correct the address, the credentials or, of a file, its permissions; trying again will not help".into(),
            Failure::Incomplete { .. } => "apply what is pending or repair the tenant, then start again".into(),
            Failure::MigrationFailed { .. } => "correct the migration or the data that it fails on, then start again".into(),
            Failure::NotReplayable { todo, .. } => todo.clone(),
            Failure::Unproven { .. } => "give the database user the privileges it needs, then look again: portcullis verify".into(),
            Failure::LockTimedOut { .. } => "look at what the holder does; its lock ends with its session".into(),
            Failure::LockLost { .. } => "start again; what was done is recorded in the ledgers".into(),
            Failure::Provisioning { left: Left::Nothing, .. } => "correct the cause and start again; nothing is left of the attempt".into(),
            Failure::Provisioning { left: Left::AsItWas, .. } => "correct the cause, or name another tenant".into(),
            Failure::Provisioning { left: Left::Later, .. } => "correct what keeps it from being removed, if that is named, and start again: what is left is removed first".into(),
            Failure::Provisioning { left: Left::Unproved, .. } => "look at what stands there; a row in the registry keeps it, and a schema without one is dropped by hand; else: portcullis tenant delete NAME".into(),
            Failure::Deleting { .. } => "correct the cause, then delete it again: what is gone stays gone, and the rest is found".into(),
            Failure::CommandFailed { .. } => "read the command's last lines above".into(),
            Failure::CommandMissing { .. } => "install the program in the image, or correct the step's `run`".into(),
            Failure::SqlFailed { .. } => "correct the step's SQL, or give its user the privilege".into(),
            Failure::TimedOut { .. } => "find out why it hangs, or give it more time with `timeout`".into(),
            Failure::Database { .. } => "read the database's message, then start again".into(),
            Failure::ServerNotFound { .. } => "correct the server's command, or install the program in the image".into(),
            Failure::ServerNotExecutable { .. } => "make the file executable, for this machine's architecture".into(),
            Failure::Interrupted { .. } => "nothing: start again when wanted".into(),
            Failure::Internal { .. } => "report it, with the lines above".into(),
        }
    }
}

/// `SIGTERM` for 15; a real-time signal or an unknown one by its number.
pub(crate) fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}

/// A failure with all its causes, joined by colons.
pub(crate) fn chain(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
