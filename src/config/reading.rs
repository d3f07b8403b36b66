//! Shares among the readers of the file: the environment, the problems found so far, and the secrets.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf};

use super::{
    environment::Environment,
    problem::{Problem, Problems, nearest},
    secret::KnownSecret,
};

/// Beyond this number of problems, suggestions cost more than they help.
const MOST_SUGGESTIONS: usize = 100;

/// One reading of a file.
pub(super) struct Reading<'r> {
    pub(super) env: &'r Environment,
    problems: Problems,
    secrets: RefCell<Vec<KnownSecret>>,
    secret_files: RefCell<BTreeSet<PathBuf>>,
}

impl<'r> Reading<'r> {
    pub(super) fn new(env: &'r Environment) -> Self {
        Self {
            env,
            problems: Problems::default(),
            secrets: RefCell::default(),
            secret_files: RefCell::default(),
        }
    }

    pub(super) fn report(&self, problem: Problem) {
        self.problems.report(problem);
    }

    /// Returns the value, or reports its problem and returns None.
    pub(super) fn value_or_report<T>(&self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.report(problem)).ok()
    }

    pub(super) fn remember(&self, secrets: impl IntoIterator<Item = KnownSecret>) {
        self.secrets.borrow_mut().extend(secrets);
    }

    pub(super) fn remember_file(&self, path: PathBuf) {
        self.secret_files.borrow_mut().insert(path);
    }

    /// The known word that was probably intended.
    pub(super) fn nearest<'k>(&self, wrong: &str, known: &[&'k str]) -> Option<&'k str> {
        if self.problems.len() > MOST_SUGGESTIONS { None } else { nearest(wrong, known) }
    }

    /// Every problem in the order of the file, the secrets, and the files that contain one.
    pub(super) fn end(self) -> (Vec<Problem>, Vec<KnownSecret>, BTreeSet<PathBuf>) {
        (self.problems.into_sorted(), self.secrets.into_inner(), self.secret_files.into_inner())
    }
}
