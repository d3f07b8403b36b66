//! The last output lines of a project's programs.

use std::collections::VecDeque;

/// The maximum number of lines.
const LAST_LINES: usize = 60;

/// The last non-empty lines of an output.
#[derive(Debug, Default)]
pub(super) struct LastLines(VecDeque<String>);

impl LastLines {
    pub(super) fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == LAST_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.0.back().map(String::as_str)
    }

    /// Whether the program failed because of a deadlock or a lock time-out.
    pub(super) fn name_a_lock(&self) -> bool {
        name_a_lock(self.0.iter())
    }

    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.into()
    }
}

/// How the last output lines of a program that Portcullis does not know show a deadlock or a lock time-out: the SQLSTATE, the
/// names of drivers for it, and the server's English message.
const LOCKED: [&str; 6] =
    ["40P01", "55P03", "DeadlockDetected", "LockNotAvailable", "deadlock detected", "due to lock timeout"];

pub(crate) fn name_a_lock<'a>(lines: impl IntoIterator<Item = &'a String>) -> bool {
    lines.into_iter().any(|line| LOCKED.iter().any(|word| line.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_long_output_are_stored() {
        let mut lines = LastLines::default();
        (0..1000).for_each(|number| lines.push(&number.to_string()));
        lines.push(" ");
        assert_eq!(lines.last(), Some("999"));
        assert!(!lines.name_a_lock());
        lines.push("asyncpg.exceptions.LockNotAvailableError: Sperre");
        assert!(lines.name_a_lock());
        assert_eq!(lines.into_vec().len(), LAST_LINES);
    }
}
