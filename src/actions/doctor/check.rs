//! One check, and what is given to all of them.

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

/// What is examined.
pub(crate) struct DoctorInput<'a> {
    /// The configuration file's.
    pub(crate) path: &'a Path,
    pub(crate) processes: &'a Processes,
    /// Where the termination message goes, if anywhere.
    pub(crate) termination: Option<PathBuf>,
}

/// One check: its stable name, what people call it, and the function that answers.
pub(super) struct Check<F> {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) run: fn(&F) -> Verdict,
}

/// A failure as a verdict, with the same advice as everywhere.
pub(super) fn failed(failure: Rc<Failure>) -> Verdict {
    Verdict::Failed(chain(&failure), Remedy::Failure(failure))
}

pub(super) fn no_configuration() -> Verdict {
    Verdict::not_applicable("the configuration is not valid")
}

/// The first few of a list.
pub(super) fn some(names: &[String]) -> String {
    words::list(names, 5)
}
