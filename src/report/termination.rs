//! The termination message of Kubernetes: a file whose first 4096 bytes `kubectl describe pod` shows.

use std::path::{Path, PathBuf};

use super::{failure_report::FailureReport, short_report::short_report, terminal_filter};
use crate::{config::environment::Environment, files};

/// The number of bytes that Kubernetes reads.
pub(crate) const LIMIT: usize = 4_096;

/// The path of the variable, or in Kubernetes the default path, which the kubelet creates.
pub(crate) fn path(env: &Environment) -> Option<PathBuf> {
    if let Some(path) = env.get("PORTCULLIS_TERMINATION_LOG") {
        return Some(path.into());
    }
    let default = Path::new("/dev/termination-log");
    (env.get("KUBERNETES_SERVICE_HOST").is_some() && files::metadata_now(default).is_ok())
        .then(|| default.into())
}

/// The message, with escaped line ends in foreign text.
pub(crate) fn message(facts: &FailureReport) -> String {
    let mut facts = facts.clone();
    facts.change(&mut |text| terminal_filter::escaped(text).into_owned());
    short_report(&facts, LIMIT)
}
