//! Every kind of failure: its message, its stable identifier and its exit code. `report::advice` adds what to do.

use std::{
    error::Error,
    fmt, io, iter,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    cause::{Cause, Kind},
    words::{self, count},
};

/// A failure that ends the program, unless its step has `on_failure = "warn"`.
///
/// Each variant needs another action of the operator. Messages are lower case and do not contain their cause, which
/// [`std::error::Error::source`] returns.
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
    /// `rendered` shows every problem with its line of the file.
    #[error("`{path}` has {}", words::count(*count, "problem"))]
    ConfigInvalid { path: PathBuf, count: usize, rendered: String },
    #[error("{what} needs `{needs}` in the configuration")]
    ConfigLacks { what: String, needs: &'static str },

    #[error("the manifest `{path}` does not exist")]
    ManifestMissing { path: PathBuf, make: String },
    #[error("the manifest `{path}` is stale: {why}")]
    ManifestStale { path: PathBuf, why: String, make: String },
    #[error("the project connects to another database than `[database]`: {why}")]
    OtherDatabase { why: String },
    #[error("cannot read the manifest `{path}`: {why}")]
    ManifestInvalid { path: PathBuf, why: String, make: String },
    #[error("cannot use the template `{path}`: {why}")]
    TemplateUnusable { path: PathBuf, why: String },
    #[error("cannot read the migrations in `{path}`: {why}")]
    MigrationsUnreadable { path: PathBuf, why: String },

    #[error("{what} was not ready within {}: {last}", words::duration(*after))]
    WaitTimedOut { what: String, after: Duration, last: Cause },
    #[error("cannot connect to {what}: {why} (permanent, not retried)")]
    Refused { what: String, why: Cause },

    #[error("{counts}")]
    Incomplete { counts: Counts },
    #[error("the registry has no tenant `{tenant}`")]
    NotRegistered { tenant: String },
    /// The current plan is not the approved one.
    #[error("the approved plan was not executed: {why}")]
    PlanChanged { why: String },
    #[error("{}", migration_failed(*failed, *unmigratable))]
    MigrationFailed {
        /// Schemas in which a migration failed.
        failed: usize,
        /// Schemas that cannot be migrated in their current state.
        unmigratable: usize,
    },
    #[error("cannot derive the manifest: {why}")]
    NotDerivable { why: Cause },
    #[error("the replay of `{app}` for `{tenant}` {} and was rolled back", ended(*limit))]
    ReplayFailed { app: String, tenant: String, limit: Option<Duration> },
    #[error("`{app}` cannot be replayed for `{tenant}`: {why}")]
    NotReplayable { app: String, tenant: String, why: String },
    #[error("{schema} cannot be repaired: {why}")]
    NotRepairable { schema: String, why: Cause },
    #[error("{}", incompatible(running, *breaks, *unproven))]
    Incompatible {
        /// The release that serves.
        running: String,
        breaks: usize,
        unproven: usize,
    },
    #[error("cannot compare `{old}` with `{new}`: {why}")]
    NotComparable { old: PathBuf, new: PathBuf, why: String },
    #[error("cannot prove that {what}: {why}")]
    Unproven { what: String, why: Cause },

    #[error("could not acquire the migration lock within {}: {holder}", words::duration(*after))]
    LockTimedOut { after: Duration, holder: String },
    #[error("the migration lock was lost: {why}")]
    LockLost { why: String },

    #[error("cannot provision `{tenant}`: {why} ({})", left.words())]
    Provisioning { tenant: String, why: Cause, left: Cleanup },
    #[error("{}", .0.message())]
    ValuesMissing(MissingValues),
    #[error("cannot delete `{tenant}`: {why}")]
    Deleting { tenant: String, why: Cause },

    #[error("`{program}` {ended}")]
    CommandFailed { program: String, ended: String },
    /// Of the program that derives the manifest.
    #[error(
        "`{program}` {ended}; the project's settings need the environment variable `{variable}`, which is not set"
    )]
    VariableMissing { program: String, ended: String, variable: String, make: &'static str },
    #[error("cannot start `{program}`: {why}")]
    CommandMissing { program: String, why: String },
    /// No process could be started: a limit, no memory, no /dev/null.
    #[error("cannot start a process for `{program}`: {why}")]
    CommandNotSpawned { program: String, why: String },
    #[error("`{program}` exported invalid variables: {why}")]
    ExportsInvalid { program: String, why: String },
    #[error("the SQL failed: {why}")]
    SqlFailed { why: Cause },
    #[error("{what} ran longer than {}", words::duration(*after))]
    TimedOut { what: String, after: Duration },
    #[error("{what} failed: {why}")]
    Database { what: String, why: Cause },

    #[error("cannot start {what} with its user and privileges: {why}")]
    PrivilegesUnavailable { what: String, why: String },
    #[error("cannot find the server `{program}`")]
    ServerNotFound { program: String },
    #[error("cannot execute the server `{program}`")]
    ServerNotExecutable {
        program: String,
        #[source]
        source: io::Error,
    },

    #[error("cannot read the server's environment: {why}")]
    EnvironmentUnknown { why: String },

    #[error("ended by {} {doing}", signal_name(*signal))]
    Interrupted { signal: i32, doing: String },

    #[error("cannot {doing}: {why}")]
    OutOfResources { doing: String, why: String },

    #[error("internal error: {what}")]
    Internal { what: String },
}

/// The gate's counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) schemas: usize,
    pub(crate) incomplete: usize,
    pub(crate) unproven: usize,
    /// The registry's rows and `min_rows`, if there are too few.
    pub(crate) too_few: Option<(usize, usize)>,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemas = count(self.schemas, "schema");
        let bad = |number: usize, word: &str| (number > 0).then(|| format!("{number} of {schemas} {word}"));
        let few =
            |(rows, least)| format!("{} in the registry, at least {least} expected", count(rows, "tenant"));
        let parts =
            [bad(self.incomplete, "incomplete"), bad(self.unproven, "not proven"), self.too_few.map(few)];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// The columns of a new tenant's rows that have no value. Each has its name and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingValues {
    pub(crate) tenant: String,
    /// Of the registry's row.
    pub(crate) columns: Vec<(String, String)>,
    /// Of the domain's row.
    pub(crate) domain_columns: Vec<(String, String)>,
    /// The given arguments of `tenant create`; None if a step's configuration gives the values.
    pub(crate) argv: Option<Vec<String>>,
}

impl MissingValues {
    fn message(&self) -> String {
        let list = |columns: &[(String, String)]| {
            let named: Vec<String> =
                columns.iter().map(|(name, kind)| format!("`{name}` ({kind})")).collect();
            named.join(", ")
        };
        let rows = [("registry row", &self.columns), ("domain's row", &self.domain_columns)];
        let rows = rows.iter().filter(|(_, columns)| !columns.is_empty());
        let parts: Vec<String> =
            rows.map(|(row, columns)| format!("its {row} needs {}", list(columns))).collect();
        format!("cannot create `{}`: {}", self.tenant, parts.join(", and "))
    }
}

/// The state after a failed provisioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cleanup {
    /// Everything that was created is removed.
    Complete,
    /// The tenants are removed, and code of the project has run, which may have written anything anywhere.
    TenantsRemoved,
    /// The run had created nothing.
    NothingCreated,
    /// The removal failed; the next run that acquires the lock removes everything that the journal lists.
    Deferred,
    /// Something exists, and nothing proves that this run created it.
    Unproven,
    /// The framework's command of a killed run created it.
    CommandKilled,
}

impl Cleanup {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Cleanup::Complete => "rolled back",
            Cleanup::TenantsRemoved => {
                "rolled back, except for what the command wrote outside of new tenants"
            }
            Cleanup::NothingCreated => "nothing was changed",
            Cleanup::Deferred => "not rolled back yet: the next run that acquires the lock does it",
            Cleanup::Unproven => "not rolled back: cannot prove that this run created it",
            Cleanup::CommandKilled => "not changed: nothing proves that the command finished",
        }
    }
}

impl Failure {
    /// The failure of a connection that no later attempt can open. A local file (a certificate, a password, SQLite's data)
    /// that cannot be used is not a refusal.
    pub(crate) fn refused(what: &str, why: Cause) -> Self {
        match why.kind {
            Kind::File | Kind::Silent | Kind::Protocol | Kind::Corrupt | Kind::ReadOnly | Kind::DiskFull => {
                Failure::Database { what: format!("the connection to {what}"), why }
            }
            _ => Failure::Refused { what: what.to_owned(), why },
        }
    }

    /// Something cannot be started.
    pub(crate) fn not_started(what: &str, error: &io::Error) -> Self {
        Failure::OutOfResources { doing: format!("start {what}"), why: error.to_string() }
    }

    /// Migrations cannot be read. A lack of descriptors, threads or memory is no fault of the folder.
    pub(crate) fn unreadable(path: &Path, error: &(dyn Error + 'static)) -> Self {
        let why = with_causes(error.to_string(), error.source());
        let os_error =
            causes(Some(error)).find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
        if let Some(libc::EMFILE | libc::ENFILE | libc::EAGAIN | libc::ENOMEM) = os_error {
            return Failure::OutOfResources { doing: format!("read `{}`", path.display()), why };
        }
        Failure::MigrationsUnreadable { path: path.to_owned(), why }
    }

    /// The exit code of the process, as listed in `docs/exit-codes.md`.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Incomplete { .. }
            | Failure::Incompatible { .. }
            | Failure::NotRegistered { .. }
            | Failure::PlanChanged { .. }
            | Failure::MigrationFailed { .. }
            | Failure::NotDerivable { .. }
            | Failure::ReplayFailed { .. }
            | Failure::NotReplayable { .. }
            | Failure::NotRepairable { .. } => 1,
            Failure::Usage { .. } => 64,
            Failure::ValuesMissing(missing) if missing.argv.is_some() => 64,
            Failure::WaitTimedOut { .. } => 69,
            Failure::Internal { .. } | Failure::OutOfResources { .. } => 70,
            Failure::Provisioning { .. } | Failure::Deleting { .. } => 73,
            Failure::Unproven { .. } | Failure::Database { .. } | Failure::EnvironmentUnknown { .. } => 74,
            Failure::LockTimedOut { .. } | Failure::LockLost { .. } => 75,
            Failure::Refused { .. } => 77,
            Failure::ConfigMissing { .. }
            | Failure::ConfigUnreadable { .. }
            | Failure::ConfigInvalid { .. }
            | Failure::ConfigLacks { .. }
            | Failure::ValuesMissing(_)
            | Failure::ManifestMissing { .. }
            | Failure::ManifestStale { .. }
            | Failure::OtherDatabase { .. }
            | Failure::ManifestInvalid { .. }
            | Failure::NotComparable { .. }
            | Failure::TemplateUnusable { .. }
            | Failure::MigrationsUnreadable { .. }
            | Failure::PrivilegesUnavailable { .. } => 78,
            Failure::CommandFailed { .. }
            | Failure::CommandMissing { .. }
            | Failure::VariableMissing { .. }
            | Failure::CommandNotSpawned { .. }
            | Failure::ExportsInvalid { .. }
            | Failure::SqlFailed { .. } => 79,
            Failure::TimedOut { .. } => 124,
            Failure::ServerNotExecutable { .. } => 126,
            Failure::ServerNotFound { .. } => 127,
            Failure::Interrupted { signal, .. } => u8::try_from(128 + signal).unwrap_or(128),
        }
    }

    /// The stable identifier, which distinguishes it from an exit code of the server.
    pub(crate) fn id(&self) -> &'static str {
        match self {
            Failure::Usage { .. } => "usage",
            Failure::ConfigMissing { .. } => "config-missing",
            Failure::ConfigUnreadable { .. } => "config-unreadable",
            Failure::ConfigInvalid { .. } => "config-invalid",
            Failure::ConfigLacks { .. } => "config-lacks",
            Failure::ManifestMissing { .. } => "manifest-missing",
            Failure::ManifestStale { .. } => "manifest-stale",
            Failure::OtherDatabase { .. } => "other-database",
            Failure::ManifestInvalid { .. } => "manifest-invalid",
            Failure::TemplateUnusable { .. } => "template-unusable",
            Failure::MigrationsUnreadable { .. } => "migrations-unreadable",
            Failure::WaitTimedOut { .. } => "wait-timed-out",
            Failure::Refused { .. } => "refused",
            Failure::Incomplete { .. } | Failure::NotRegistered { .. } => "incomplete",
            Failure::PlanChanged { .. } => "plan-changed",
            Failure::MigrationFailed { .. } | Failure::NotDerivable { .. } | Failure::ReplayFailed { .. } => {
                "migration-failed"
            }
            Failure::NotReplayable { .. } => "not-replayable",
            Failure::NotRepairable { .. } => "not-repairable",
            Failure::Incompatible { .. } => "incompatible",
            Failure::NotComparable { .. } => "not-comparable",
            Failure::Unproven { .. } => "unproven",
            Failure::LockTimedOut { .. } => "lock-timed-out",
            Failure::LockLost { .. } => "lock-lost",
            Failure::ValuesMissing(_) => "values-missing",
            Failure::Provisioning { .. } => "provisioning-failed",
            Failure::Deleting { .. } => "deleting-failed",
            Failure::CommandFailed { .. } => "command-failed",
            Failure::CommandMissing { .. } => "command-missing",
            Failure::VariableMissing { .. } => "variable-missing",
            Failure::CommandNotSpawned { .. } => "command-not-spawned",
            Failure::ExportsInvalid { .. } => "exports-invalid",
            Failure::SqlFailed { .. } => "sql-failed",
            Failure::TimedOut { .. } => "timed-out",
            Failure::Database { .. } => "database",
            Failure::PrivilegesUnavailable { .. } => "privileges-unavailable",
            Failure::ServerNotFound { .. } => "server-not-found",
            Failure::ServerNotExecutable { .. } => "server-not-executable",
            Failure::EnvironmentUnknown { .. } => "environment-unknown",
            Failure::Interrupted { .. } => "interrupted",
            Failure::OutOfResources { .. } => "out-of-resources",
            Failure::Internal { .. } => "internal",
        }
    }

    /// The affected tenant.
    pub(crate) fn tenant(&self) -> Option<&str> {
        match self {
            Failure::Provisioning { tenant, .. }
            | Failure::Deleting { tenant, .. }
            | Failure::NotRegistered { tenant }
            | Failure::ReplayFailed { tenant, .. }
            | Failure::NotReplayable { tenant, .. } => Some(tenant),
            Failure::ValuesMissing(missing) => Some(&missing.tenant),
            _ => None,
        }
    }

    /// The cause, if a server, a file or a connection failed.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        match self {
            Failure::WaitTimedOut { last: why, .. }
            | Failure::Refused { why, .. }
            | Failure::NotDerivable { why }
            | Failure::NotRepairable { why, .. }
            | Failure::Unproven { why, .. }
            | Failure::Provisioning { why, .. }
            | Failure::Deleting { why, .. }
            | Failure::SqlFailed { why }
            | Failure::Database { why, .. } => Some(why),
            _ => None,
        }
    }
}

fn migration_failed(failed: usize, unmigratable: usize) -> String {
    let some = |number: usize, words: &dyn Fn(String) -> String| {
        (number > 0).then(|| words(count(number, "schema")))
    };
    let parts = [
        some(failed, &|schemas| format!("a migration failed in {schemas}")),
        some(unmigratable, &|schemas| {
            let whose = if unmigratable == 1 { "its" } else { "their" };
            format!("{schemas} cannot be migrated in {whose} current state")
        }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn incompatible(running: &str, breaks: usize, unproven: usize) -> String {
    let result = match (breaks, unproven) {
        (0, unproven) => format!("{} not proven to be harmless", count(unproven, "change")),
        (breaks, 0) => format!("{} would break it", count(breaks, "change")),
        (breaks, more) => format!("{} would break it, {more} more not proven", count(breaks, "change")),
    };
    format!("release {running} still serves, and its code would run on the migrated schema: {result}")
}

fn ended(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "failed".into(), |limit| format!("ran longer than {}", words::duration(limit)))
}

/// `SIGTERM` for 15; the number for a real-time or unknown signal.
pub(crate) fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}

/// A failure with all its causes, joined by colons.
pub(crate) fn chain(failure: &Failure) -> String {
    with_causes(failure.to_string(), failure.source())
}

/// Some libraries already have the cause in their message.
fn with_causes(text: String, cause: Option<&(dyn Error + 'static)>) -> String {
    causes(cause)
        .map(ToString::to_string)
        .fold(text, |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

fn causes<'a>(
    mut next: Option<&'a (dyn Error + 'static)>,
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests;
