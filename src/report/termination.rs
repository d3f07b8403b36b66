//! Kubernetes' termination message: a file whose first 4096 bytes `kubectl describe pod` shows.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{brief::brief, facts::Facts};
use crate::config::environment::Environment;

/// What Kubernetes reads of it.
pub(crate) const LIMIT: usize = 4_096;

/// Where the message goes: the variable, or in Kubernetes the default path, which the kubelet made.
pub(crate) fn path(env: &Environment) -> Option<PathBuf> {
    if let Some(path) = env.get("PORTCULLIS_TERMINATION_LOG") {
        return Some(path.into());
    }
    let default = Path::new("/dev/termination-log");
    (env.get("KUBERNETES_SERVICE_HOST").is_some() && default.exists()).then(|| default.into())
}

pub(crate) fn message(facts: &Facts) -> String {
    brief(facts, LIMIT)
}

/// Writes the message; the file is made if only a variable names it.
pub(crate) fn write(path: &Path, message: &str) -> io::Result<()> {
    // Opened without waiting: a FIFO that nobody reads must not keep the container from ending.
    let mut options = OpenOptions::new();
    options.write(true).truncate(true).create(true).custom_flags(libc::O_NONBLOCK);
    options.open(path)?.write_all(message.as_bytes())
}
