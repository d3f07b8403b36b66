//! The server, and the output and the status of the start-up.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::Privileges;
use crate::logging::{LogFormat, LogLevel};

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
    pub(crate) privileges: Privileges,
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
