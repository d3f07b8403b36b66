//! One thing that is wrong with the file: its place, its words, and how all of them look to a person.

use std::{cell::RefCell, ops::Range, path::Path};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::redact::redact;
use crate::words;

/// How wide a problem is shown.
const WIDTH: usize = 80;
/// More problems than this are counted.
const MOST_SHOWN: usize = 50;
/// A name of the file is shown so far.
const LONGEST_NAME: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong, at its place. The words never hold a value that came from a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) severity: Severity,
    /// Bytes of the file's text.
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    /// What to do about it.
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

/// Collects problems while the tree is read; shared, so that every reader of a table can add to it.
#[derive(Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn report(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Every problem, in the order of the file; what two readers report alike is reported once.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        problems.dedup();
        problems
    }
}

/// Shows the problems with their lines, columns and carets. What may be a secret in the file is masked.
pub(crate) fn render(path: &Path, text: &str, problems: &[Problem], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let (path, text) = (path.display().to_string(), redact(text));
    let mut lines = Lines { text: &text, line: 1, start: 0 };
    let shown = problems.iter().take(MOST_SHOWN).map(|problem| {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let span = clamp(&text, &problem.span);
        let (number, line) = lines.of(span.start);
        let place = AnnotationKind::Primary.span(span.start - line.start..span.end - line.start);
        let snippet = Snippet::source(&text[line]).line_start(number).path(path.as_str()).annotation(place);
        let title = wrapped(&problem.message, WIDTH - "warning: ".len());
        let mut group = level.primary_title(title.as_str()).element(snippet);
        let help = problem.help.as_ref().map(|help| wrapped(help, WIDTH - "   = help: ".len()));
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    });
    let mut shown: Vec<String> = shown.collect();
    if let Some(more) = problems.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
        shown.push(format!("and {}", words::count(more, "more problem")));
    }
    shown.join("\n\n")
}

/// Finds the lines of rising places, each from where the last one was found.
struct Lines<'t> {
    text: &'t str,
    line: usize,
    start: usize,
}

impl Lines<'_> {
    /// The number of the line with this place, and where it begins and ends.
    fn of(&mut self, at: usize) -> (usize, Range<usize>) {
        let before = &self.text[self.start..at.max(self.start)];
        self.line += before.matches('\n').count();
        self.start += before.rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[self.start..].find('\n').map_or(self.text.len(), |end| self.start + end);
        (self.line, self.start..end)
    }
}

/// A name that the file gives, short enough for a message and without control characters.
pub(super) fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(LONGEST_NAME).flat_map(escaped).collect();
    if name.chars().nth(LONGEST_NAME).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    // What turns or hides the text around it is shown as its number.
    let hidden = c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (plain, number) = if hidden { (None, Some(c.escape_unicode())) } else { (Some(c), None) };
    plain.into_iter().chain(number.into_iter().flatten())
}

/// The renderer fits the file's lines into the width, and leaves ours to us. A word that is too long stays whole.
fn wrapped(text: &str, width: usize) -> String {
    let text: String = text.chars().flat_map(escaped).collect();
    let (mut lines, mut length) = (String::new(), 0);
    for word in text.split(' ') {
        let more = word.chars().count();
        if length > 0 && length + 1 + more > width {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines += word;
        length += more;
    }
    lines
}

/// The known word that a person probably meant.
pub(super) fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |word: &str| strsim::damerau_levenshtein(&wrong.to_lowercase(), &word.to_lowercase());
    let (distance, word) = known.iter().map(|word| (likeness(word), *word)).min()?;
    // A third of the letters may differ; of a short word, one.
    (distance <= (wrong.chars().count() / 3).max(1)).then_some(word)
}

/// A span inside the text, on character boundaries and on one line, so that the caret stays short.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let line = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line
}
