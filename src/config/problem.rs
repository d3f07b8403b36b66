//! One thing that is wrong with the file: its place, its words, and how all of them look to a person.

use std::{cell::RefCell, ops::Range, path::Path};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::redact::redact;

/// How wide a problem is shown.
const WIDTH: usize = 80;

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

    /// Suggests the known word that is nearest to the wrong one, or else lists them all.
    pub(super) fn suggest(self, wrong: &str, known: &[&str]) -> Self {
        if let Some(word) = nearest(wrong, known) {
            return self.help(format!("did you mean `{word}`?"));
        }
        if known.is_empty() { self } else { self.help(format!("one of: {}", known.join(", "))) }
    }
}

/// Collects problems while the tree is read; shared, so that every reader of a table can add to it.
#[derive(Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(super) fn report(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Keeps what a reader read, or reports why it could not.
    pub(super) fn take<T>(&self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.report(problem)).ok()
    }

    /// Every problem, in the order of the file; what two readers said alike is said once.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort_by(|a, b| (a.span.start, &a.message).cmp(&(b.span.start, &b.message)));
        problems.dedup();
        problems
    }
}

/// Shows every problem with its line, column and caret. What looks like a password in the file is masked.
pub(crate) fn render(path: &Path, text: &str, problems: &[Problem], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let (path, text) = (path.display().to_string(), redact(text));
    let shown: Vec<String> = problems
        .iter()
        .map(|problem| {
            let level = match problem.severity {
                Severity::Error => Level::ERROR,
                Severity::Warning => Level::WARNING,
            };
            let place = AnnotationKind::Primary.span(clamp(&text, &problem.span));
            let snippet = Snippet::source(text.as_str()).path(path.as_str()).annotation(place);
            let title = wrapped(&problem.message, WIDTH - "warning: ".len());
            let mut group = level.primary_title(title.as_str()).element(snippet);
            let help = problem.help.as_ref().map(|help| wrapped(help, WIDTH - "   = help: ".len()));
            if let Some(help) = &help {
                group = group.element(Level::HELP.message(help.as_str()));
            }
            renderer.render(&[group])
        })
        .collect();
    shown.join("\n\n")
}

/// The renderer fits the file's lines into the width, and leaves ours to us. A word that is too long stays whole.
fn wrapped(text: &str, width: usize) -> String {
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
