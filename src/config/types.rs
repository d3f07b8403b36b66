//! Defines the valid configuration.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    file_pattern::{FilePattern, IdTemplate},
    frameworks::reads_files,
    libpq::{Parameters, hosts::Host},
    secret::{KnownSecret, Password, Secret},
    url::Endpoint,
};
use crate::{
    logging::{LogFormat, LogLevel},
    tenants::{accept::Accept, ledger::OwnLayout},
};

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
}

/// The command line's replacements for values of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) role: Option<String>,
    pub(crate) jobs: Option<usize>,
    pub(crate) cooperate: bool,
}

/// The location of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres(Box<Postgres>),
    Sqlite(Sqlite),
}

/// The parts of a PostgreSQL connection, as given; never parsed as a URL again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Postgres {
    /// Tried in this order.
    pub(crate) hosts: Vec<Host>,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) password: Password,
    /// libpq's other parameters (`sslmode`, `sslrootcert`, `options`, ...), from the URL, the service file and variables.
    pub(crate) parameters: Parameters,
    /// The schema that all tenants share.
    pub(crate) shared_schema: String,
    /// Bypasses a pooler, for the lock, migrations and provisioning.
    pub(crate) direct: Option<Box<Postgres>>,
    /// A role that may only SELECT, for the gate.
    pub(crate) reader: Option<Box<Postgres>>,
}

impl Postgres {
    /// Every server, for messages.
    pub(crate) fn address(&self) -> String {
        self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The connection string for a program with libpq, without the password.
    pub(crate) fn conninfo(&self) -> String {
        let list = |part: &dyn Fn(&Host) -> String| self.hosts.iter().map(part).collect::<Vec<_>>().join(",");
        let own = [
            ("host", list(&|host| host.name.clone())),
            ("hostaddr", list(&|host| host.address.clone().unwrap_or_default())),
            ("port", list(&|host| host.port.to_string())),
            ("dbname", self.name.clone()),
            ("user", self.user.clone()),
        ];
        let others = self.parameters.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let others = others.filter(|(name, _)| !matches!(*name, "service" | "servicefile"));
        let given = own.into_iter().chain(others).filter(|(_, value)| !value.is_empty());
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        given.map(|(name, value)| format!("{name}='{}'", quoted(&value))).collect::<Vec<_>>().join(" ")
    }
}

/// One folder: `shared.sqlite`, and `tenants/<schema>.sqlite` for each tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sqlite {
    pub(crate) folder: PathBuf,
}

/// The source of the list of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) table: String,
    pub(crate) schema_column: String,
    /// An SQL condition that a row must meet to count as a tenant.
    pub(crate) condition: Option<String>,
    /// The gate blocks if the registry has fewer rows.
    pub(crate) at_least: usize,
}

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
    pub(crate) canary: Vec<String>,
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) ahead: Ahead,
    /// How long a tenant that advanced between two inspections is inspected again, because it is being created.
    pub(crate) settle: Duration,
    pub(crate) allow_standby: bool,
    pub(crate) mode: GateMode,
    pub(crate) incomplete: OnIncomplete,
    pub(crate) structure: StructureCheck,
}

/// Whether the gate can block the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateMode {
    Block,
    /// Reports every finding and never blocks.
    Report,
}

/// The treatment of incomplete tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnIncomplete {
    Block,
    /// Starts the server with a list of the incomplete tenants, up to a maximum number.
    Quarantine {
        at_most: usize,
        /// The path of the list; None for a file in memory.
        file: Option<PathBuf>,
    },
}

/// The result if a schema's structure differs from the expected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StructureCheck {
    /// The structure is not read.
    Off,
    Warn,
    Block,
}

/// The result if the database is ahead of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    Warn,
    Block,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) command: Vec<String>,
    /// Prefixes of argvs that run no step.
    pub(crate) passthrough: Vec<Vec<String>>,
    pub(crate) mode: Mode,
    /// The time between TERM and KILL, in supervise mode.
    pub(crate) grace: Duration,
    /// The same for the descendants of a crashed server; None for a shorter default.
    pub(crate) crash_grace: Option<Duration>,
    /// The image's STOPSIGNAL.
    pub(crate) stop_signal: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Exec,
    Supervise,
}

/// The output of `run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

/// The status of the start-up, for other programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The address of the endpoint, which is open until the server starts.
    pub(crate) listen: Option<SocketAddr>,
    /// A file that `portcullis health` reads, even after the server has started.
    pub(crate) file: Option<PathBuf>,
    /// The endpoint names no step, tenant, table or command.
    pub(crate) hides_details: bool,
}

/// The command that runs when the start-up is blocked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Notify {
    pub(crate) command: Vec<String>,
    pub(crate) timeout: Duration,
}

/// One step of the start-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) after: After,
    pub(crate) when: When,
    pub(crate) on_failure: OnFailure,
    pub(crate) action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    /// Every step above it in the file.
    Above,
    Start,
    /// By position in the file, each above this one.
    Steps(Vec<usize>),
}

/// Conditions, all of which must be true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct When {
    /// Globs (`celery-*`), one of which must match; empty matches every role.
    pub(crate) role: Vec<String>,
    /// Variables, one of which must be true; empty sets no condition.
    pub(crate) env: Vec<Flag>,
    /// Variables, any of which skips the step if it is true.
    pub(crate) unless_env: Vec<Flag>,
    pub(crate) pending: Option<Scope>,
}

/// A boolean variable, as it was when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) is_true: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Block,
    Warn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Shared,
    Tenants,
}

/// The action of a step.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Wait(Wait),
    Sql { run: String, timeout: Duration, once: bool },
    Migrate(Scope),
    Bootstrap(Bootstrap),
    Verify(Verify),
    Command(Command),
}

impl Action {
    /// `wait.tcp`, `migrate.shared`, `verify`, ...
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Action::Wait(wait) => wait.kind,
            Action::Sql { .. } => "sql",
            Action::Migrate(Scope::Shared) => "migrate.shared",
            Action::Migrate(Scope::Tenants) => "migrate.tenants",
            Action::Bootstrap(_) => "bootstrap",
            Action::Verify(_) => "verify",
            Action::Command(_) => "command",
        }
    }

    /// Whether the step runs under the lock.
    pub(crate) fn is_locked(&self) -> bool {
        match self {
            Action::Migrate(_) | Action::Bootstrap(_) => true,
            Action::Sql { .. } | Action::Command(_) => self.is_once(),
            Action::Wait(_) | Action::Verify(_) => false,
        }
    }

    /// Whether the step runs once per release.
    pub(crate) fn is_once(&self) -> bool {
        match self {
            Action::Sql { once, .. } | Action::Command(Command { once, .. }) => *once,
            Action::Wait(_) | Action::Migrate(_) | Action::Bootstrap(_) | Action::Verify(_) => false,
        }
    }
}

/// The tenants to create if they are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bootstrap {
    pub(crate) tenants: Vec<String>,
    /// The framework's own command that creates them; if it is empty, Portcullis creates them.
    pub(crate) run: Vec<String>,
    /// The columns of each tenant's registry row; `{schema}` is the tenant's schema.
    pub(crate) values: BTreeMap<String, String>,
    /// The columns of each tenant's domain.
    pub(crate) domain: BTreeMap<String, String>,
    pub(crate) keep: Keep,
}

/// The tenants that remain after the framework's own command failed or was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Keep {
    /// None: they are rolled back, or nothing proves who created them.
    #[default]
    None,
    /// Those that the gate finds complete.
    Complete,
}

/// The target of a wait, and the time limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    /// `wait.tcp`, `wait.file`, ...
    pub(crate) kind: &'static str,
    pub(crate) what: WaitTarget,
    pub(crate) timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WaitTarget {
    Tcp {
        host: String,
        port: u16,
    },
    /// `status` lists the accepted statuses; empty means 200 to 399.
    Http {
        url: Endpoint,
        status: Vec<u16>,
    },
    /// The configured database, with a login.
    Database,
    Redis {
        url: Endpoint,
    },
    /// An AMQP 0-9-1 broker, with a login to its virtual host.
    Amqp {
        url: Endpoint,
    },
    File {
        path: PathBuf,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verify {
    pub(crate) tenants: Selection,
    /// Judge the shared schema too.
    pub(crate) shared: bool,
    /// Inspect again until everything is complete, for at most this time.
    pub(crate) wait: Option<Duration>,
    /// The time limit for one inspection.
    pub(crate) timeout: Duration,
}

/// `"all"`, or a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    All,
    Named(Vec<String>),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) run: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    pub(crate) cwd: Option<PathBuf>,
    /// The time limit for one attempt.
    pub(crate) timeout: Duration,
    /// The time limit for all attempts and the pauses between them.
    pub(crate) total_timeout: Option<Duration>,
    /// The number of attempts after the first.
    pub(crate) retries: u32,
    /// The first pause between attempts; each following pause is twice as long, up to `max_backoff`.
    pub(crate) backoff: Duration,
    pub(crate) max_backoff: Duration,
    /// Exit codes that count as success.
    pub(crate) accept: Vec<i32>,
    /// The step is done once the program runs; the program keeps running next to the server, and ends with it.
    pub(crate) background: bool,
    /// Runs once per release, under the lock.
    pub(crate) once: bool,
    /// The time between TERM and KILL.
    pub(crate) grace: Duration,
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
