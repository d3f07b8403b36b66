//! Kubernetes' termination message: a file whose first 4096 bytes `kubectl describe pod` shows.

use std::path::{Path, PathBuf};

use super::{failure_report::FailureReport, short_report::short_report, terminal_filter};
use crate::{config::environment::Environment, files};

/// What Kubernetes reads of it.
pub(crate) const LIMIT: usize = 4_096;

/// Where the message goes: the variable, or in Kubernetes the default path, which the kubelet made.
pub(crate) fn path(env: &Environment) -> Option<PathBuf> {
    if let Some(path) = env.get("PORTCULLIS_TERMINATION_LOG") {
        return Some(path.into());
    }
    let default = Path::new("/dev/termination-log");
    (env.get("KUBERNETES_SERVICE_HOST").is_some() && files::metadata_now(default).is_ok())
        .then(|| default.into())
}

/// Foreign text can forge no line of it.
pub(crate) fn message(facts: &FailureReport) -> String {
    let mut facts = facts.clone();
    facts.change(&mut |text| terminal_filter::escaped(text).into_owned());
    short_report(&facts, LIMIT)
}
