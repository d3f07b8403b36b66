//! Renders problems for people: each with its line, column and caret.

use std::{ops::Range, path::Path};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{
    problem::{Problem, Severity, escaped},
    redact::redact,
};
use crate::words;

/// The width of a rendered problem.
const WIDTH: usize = 80;
/// Further problems are only counted.
const MOST_SHOWN: usize = 50;
/// Renders the problems with their lines, columns and carets. Possible secrets in the file are masked.
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

/// Finds the lines of ascending positions, each starting from the previous one.
struct Lines<'t> {
    text: &'t str,
    line: usize,
    start: usize,
}

impl Lines<'_> {
    /// The number of the line with this position, and its range.
    fn of(&mut self, at: usize) -> (usize, Range<usize>) {
        let before = &self.text[self.start..at.max(self.start)];
        self.line += before.matches('\n').count();
        self.start += before.rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[self.start..].find('\n').map_or(self.text.len(), |end| self.start + end);
        (self.line, self.start..end)
    }
}

/// Wraps the message; the renderer wraps only the file's lines. A word that is too long is not split.
fn wrapped(text: &str, width: usize) -> String {
    let text: String = text.chars().flat_map(escaped).collect();
    words::hanging("", 0, &text, width).join("\n")
}

/// A span inside the text, on character boundaries and on one line, so that the caret stays short.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let line = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line
}
