//! Describes one problem of the file: its place and its texts.

use std::{cell::RefCell, ops::Range};

use crate::ordered;

/// The maximum length of a name in a message.
const LONGEST_NAME: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One problem, at its place. The texts never contain a value that came from a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// A range of bytes in the file's text.
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    /// The remedy.
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span, message: message.into(), help: None }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// Collects problems while the tree is read; shared, so that every reader of a table can add some.
#[derive(Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn report(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Every problem, in the order of the file; duplicates from two readers are removed.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        ordered::sort_by(&mut problems, |a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        problems.dedup();
        problems
    }
}

/// A name from the file, short enough for a message and without control characters.
pub(super) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(LONGEST_NAME).flat_map(escaped).collect();
    if name.chars().nth(LONGEST_NAME).is_some() {
        shown.push_str("...");
    }
    shown
}

pub(super) fn escaped(c: char) -> impl Iterator<Item = char> {
    // Characters that reorder or hide the text around them are shown as numbers.
    let hidden = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (plain, number) = if hidden { (None, Some(c.escape_unicode())) } else { (Some(c), None) };
    plain.into_iter().chain(number.into_iter().flatten())
}

/// The known word that was probably intended.
pub(super) fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |word: &str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &word.to_lowercase());
    let (distance, word) = known.iter().map(|word| (likeness(word), *word)).min()?;
    // A third of the letters may differ, and at least one.
    (distance <= (wrong.chars().count() / 3).max(1)).then_some(word)
}
