//! What a project's programs print: handed on line by line, and the last lines kept.

use std::collections::VecDeque;

use crate::process::Stream;

/// So many of the last lines are kept.
const KEPT_LINES: usize = 60;

/// A line that a project's program printed.
pub(crate) struct Line {
    /// None for the shared schema, and for what belongs to no schema.
    pub(crate) tenant: Option<String>,
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

/// The last lines of some output.
#[derive(Debug, Default)]
pub(super) struct LastLines(VecDeque<String>);

impl LastLines {
    pub(super) fn push(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.0.back().map(String::as_str)
    }

    pub(super) fn into_vec(self) -> Vec<String> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_long_output_are_kept() {
        let mut lines = LastLines::default();
        (0..1000).for_each(|number| lines.push(&number.to_string()));
        lines.push(" ");
        assert_eq!(lines.last(), Some("999"));
        assert_eq!(lines.into_vec().len(), KEPT_LINES);
    }
}
