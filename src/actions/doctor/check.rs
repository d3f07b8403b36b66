//! Defines a check and the input that all checks share.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    failure::{Failure, chain},
    outcome::doctor::{Remedy, Verdict},
    process::Processes,
    words,
};

/// The input of every check.
pub(crate) struct DoctorInput<'a> {
    /// The path of the configuration file.
    pub(crate) path: &'a Path,
    pub(crate) processes: &'a Processes,
    /// The path of the termination message, if it has one.
    pub(crate) termination: Option<PathBuf>,
}

/// One check: its stable id, its displayed name, and its function.
pub(super) struct Check<F> {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) run: fn(&F) -> Verdict,
}

/// Turns a failure into a verdict with the failure's own hint.
pub(super) fn failed(failure: Rc<Failure>) -> Verdict {
    Verdict::Failed(chain(&failure), Remedy::Failure(failure))
}

pub(super) fn no_configuration() -> Verdict {
    Verdict::not_applicable("the configuration is not valid")
}

/// The first few names of a list.
pub(super) fn some(names: &[String]) -> String {
    words::list(names, 5)
}
