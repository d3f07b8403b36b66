//! A valid configuration.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    secret::{KnownSecret, Password, Secret},
    url::Endpoint,
};
use crate::{
    logging::{LogFormat, LogLevel},
    tenants::accept::Accept,
};

/// A valid configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) role: Option<String>,
    pub(crate) database: Option<Database>,
    pub(crate) registry: Option<Registry>,
    pub(crate) migrations: Option<Migrations>,
    pub(crate) gate: Gate,
    /// Known drift that is waived for a while.
    pub(crate) accepts: Vec<Accept>,
    pub(crate) lock_timeout: Duration,
    /// How long the server may answer nothing before a lock that is held counts as lost.
    pub(crate) lock_silence_timeout: Duration,
    pub(crate) steps: Vec<Step>,
    pub(crate) server: Server,
    pub(crate) log: Log,
    pub(crate) status: Status,
    pub(crate) notify: Option<Notify>,
    /// Where metrics are written for Prometheus' node exporter.
    pub(crate) metrics: Option<PathBuf>,
    /// What the file declares to be secret; `secrets()` has the environment's, too.
    pub(super) secrets: Vec<KnownSecret>,
}

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) role: Option<String>,
    pub(crate) jobs: Option<usize>,
    pub(crate) cooperate: bool,
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    Postgres(Box<Postgres>),
    Sqlite(Sqlite),
}

/// How to reach PostgreSQL; each part as given, never read again as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Postgres {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) password: Password,
    /// libpq's parameters of the same names (`sslmode`, `sslrootcert`, `options`, ...), as given in the URL.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The schema that all tenants share.
    pub(crate) shared_schema: String,
    /// Bypasses a pooler: lock, migrations and provisioning go here.
    pub(crate) direct: Option<Box<Postgres>>,
    /// A role that may only SELECT, for the gate.
    pub(crate) reader: Option<Box<Postgres>>,
}

/// One folder: `shared.sqlite`, and `tenants/<schema>.sqlite` for each tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sqlite {
    pub(crate) folder: PathBuf,
}

/// Where the list of tenants comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registry {
    pub(crate) table: String,
    pub(crate) schema_column: String,
    /// An SQL condition that a row must meet to count as a tenant.
    pub(crate) condition: Option<String>,
    /// Fewer rows than this cannot be right.
    pub(crate) at_least: usize,
}

/// Native SQL migrations and how they are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Migrations {
    pub(crate) source: Source,
    pub(crate) manifest: PathBuf,
    /// Derive the manifest at start-up, for development.
    pub(crate) auto_manifest: bool,
    /// The manifest may expect nothing.
    pub(crate) empty_manifest: bool,
    /// Schemas in which SQL files find names after their own schema.
    pub(crate) search_path: Vec<String>,
    /// What a framework's new tenants are copied from; None has the framework migrate each.
    pub(crate) template: Option<PathBuf>,
    pub(crate) apply: Apply,
}

/// Whose migrations they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// Two folders of native SQL files.
    Sql { shared: PathBuf, tenant: PathBuf },
    /// A framework's project.
    External(Project),
}

/// How to ask a framework's project, and how to have it apply its migrations.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Project {
    pub(crate) framework: &'static str,
    /// The project's own.
    pub(crate) interpreter: String,
    /// The project's own command line; None has the framework find its settings in the environment.
    pub(crate) entry: Option<PathBuf>,
    /// Applies to one schema, which `{schema}` stands for; empty applies to many with one start of a program.
    pub(crate) run: Vec<String>,
    /// What the project's commands get beside our own environment.
    pub(crate) env: BTreeMap<String, Secret>,
}

impl Project {
    /// Where its paths begin.
    pub(crate) fn folder(&self) -> &Path {
        let folder = self.entry.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Apply {
    pub(crate) jobs: usize,
    pub(crate) canary: Vec<String>,
    /// Replicas share the tenants out among them.
    pub(crate) cooperate: bool,
    pub(crate) on_tenant_failure: OnTenantFailure,
    /// For one tenant.
    pub(crate) timeout: Duration,
    pub(crate) lock_timeout: Duration,
    /// None leaves the server's setting alone.
    pub(crate) statement_timeout: Option<Duration>,
    pub(crate) transaction: Transaction,
}

/// What SQL files share a transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// Each file has its own.
    #[default]
    File,
    /// All that are pending in one schema.
    Schema,
}

/// What becomes of the others when one tenant fails. The step fails in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTenantFailure {
    Stop,
    /// Until so many have failed, if that is given.
    Continue {
        at_most: Option<usize>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    pub(crate) ahead: Ahead,
    /// A tenant that advanced between two looks is being created: look again for at most so long.
    pub(crate) settle: Duration,
    pub(crate) allow_standby: bool,
    pub(crate) mode: GateMode,
    pub(crate) incomplete: OnIncomplete,
}

/// Whether the gate's word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GateMode {
    Block,
    /// Everything is said and nothing blocks: the first day on an old system.
    Report,
}

/// What becomes of the others when some tenants are incomplete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnIncomplete {
    Block,
    /// They are served, and the server is told whom to keep out: at most so many.
    Quarantine {
        at_most: usize,
        /// Where the list is written; None for a file in memory.
        file: Option<PathBuf>,
    },
}

/// What a database that is ahead of the code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    Warn,
    Block,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) command: Vec<String>,
    /// Each the beginning of an argv that runs no step.
    pub(crate) passthrough: Vec<Vec<String>>,
    pub(crate) mode: Mode,
    /// Between TERM and KILL, in supervise mode.
    pub(crate) grace: Duration,
    /// The same for what a server that crashed leaves behind; where nothing is said, less.
    pub(crate) crash_grace: Option<Duration>,
    /// The image's STOPSIGNAL.
    pub(crate) stop_signal: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Exec,
    Supervise,
}

/// What `run` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

/// How others may ask how the start-up stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Where the endpoint listens until the server starts.
    pub(crate) listen: Option<SocketAddr>,
    /// A file that `portcullis health` reads, also after the server has started.
    pub(crate) file: Option<PathBuf>,
}

/// What is run when the start-up is blocked.
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

/// Conditions; all of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct When {
    /// Globs (`celery-*`), one of which must match; empty matches every role.
    pub(crate) role: Vec<String>,
    /// Variables, one of which must be true; empty asks nothing.
    pub(crate) env: Vec<Flag>,
    /// Variables, one of which being true skips the step.
    pub(crate) unless_env: Vec<Flag>,
    pub(crate) pending: Option<Scope>,
}

/// A variable that is true or false, as it was when the configuration was read.
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

/// What a step does: exactly one thing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Wait(Wait),
    Sql {
        run: String,
        timeout: Duration,
        once: bool,
    },
    Migrate(Scope),
    /// `run` is a framework's own command that makes them; empty makes them natively.
    Bootstrap {
        tenants: Vec<String>,
        run: Vec<String>,
    },
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
            Action::Bootstrap { .. } => "bootstrap",
            Action::Verify(_) => "verify",
            Action::Command(_) => "command",
        }
    }

    /// Whether it is done under the lock.
    pub(crate) fn is_locked(&self) -> bool {
        match self {
            Action::Migrate(_) | Action::Bootstrap { .. } => true,
            Action::Sql { .. } | Action::Command(_) => self.is_once(),
            Action::Wait(_) | Action::Verify(_) => false,
        }
    }

    /// Whether it is done once a release.
    pub(crate) fn is_once(&self) -> bool {
        match self {
            Action::Sql { once, .. } | Action::Command(Command { once, .. }) => *once,
            Action::Wait(_) | Action::Migrate(_) | Action::Bootstrap { .. } | Action::Verify(_) => false,
        }
    }
}

/// What is waited for, and how long.
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
    /// `status` lists what is accepted, empty meaning 200 to 399.
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
    /// Look again until everything is complete, for at most so long.
    pub(crate) wait: Option<Duration>,
    /// For one look.
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
    /// For one attempt.
    pub(crate) timeout: Duration,
    /// For all attempts with their pauses.
    pub(crate) total_timeout: Option<Duration>,
    /// Further attempts after the first.
    pub(crate) retries: u32,
    /// The first pause between attempts; each further one is twice as long, up to `max_backoff`.
    pub(crate) backoff: Duration,
    pub(crate) max_backoff: Duration,
    /// Exit codes that count as success.
    pub(crate) accept: Vec<i32>,
    /// Done once it runs; it stays beside the server, and ends with it.
    pub(crate) background: bool,
    /// Done once a release, under the lock.
    pub(crate) once: bool,
    /// Between TERM and KILL.
    pub(crate) grace: Duration,
}

/// Arguments and statements may hold what came from a secret variable: they never show.
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
