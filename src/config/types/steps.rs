//! The steps of the start-up: their order, their conditions and their actions.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::Privileges;
use crate::config::{secret::Secret, url::Endpoint};

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
    /// Whether the step exports variables.
    pub(crate) fn exports(&self) -> bool {
        matches!(self, Action::Command(Command { exports: true, .. }))
    }

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
    pub(crate) privileges: Privileges,
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
    /// The program writes variables for the following steps and the server to its descriptor 3.
    pub(crate) exports: bool,
    /// The time between TERM and KILL.
    pub(crate) grace: Duration,
}
