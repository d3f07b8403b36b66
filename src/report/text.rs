//! Events as lines of text, one event a line.

use std::time::Duration;

use console::Style;

use super::event::{Event, Stream};
use crate::failure::{self, words};

/// Words events, remembering the steps' names.
#[derive(Debug)]
pub(crate) struct Text {
    steps: Vec<String>,
    colour: bool,
}

impl Text {
    pub(crate) fn new(colour: bool) -> Self {
        Self { steps: Vec::new(), colour }
    }

    /// The name of a step and its place: `step 3 of 8 "tenant schemas"`.
    pub(crate) fn place(&self, step: usize) -> (usize, usize, &str) {
        (step + 1, self.steps.len(), self.steps.get(step).map_or("", String::as_str))
    }

    /// The line for an event.
    pub(crate) fn line(&mut self, event: &Event) -> String {
        match event {
            Event::Started { run, role, steps } => {
                self.steps.clone_from(steps);
                let role = role.as_ref().map(|role| format!(", role {role}")).unwrap_or_default();
                format!(
                    "portcullis {}: run {run}{role}, {}",
                    env!("CARGO_PKG_VERSION"),
                    count(steps.len(), "step")
                )
            }
            Event::StepStarted { step } => format!("{} started", self.step(*step)),
            Event::StepSkipped { step, reason } => {
                format!("{} {}: {reason}", self.step(*step), self.paint("skipped", &Style::new().dim()))
            }
            Event::Output { step, stream, line } => {
                let mark = if *stream == Stream::Out { "|" } else { "!" };
                format!("{} {mark} {line}", self.step(*step))
            }
            Event::Waiting { step, what, last, elapsed } => {
                format!("{} waiting for {what} since {}: {last}", self.step(*step), words(*elapsed))
            }
            Event::Retrying { step, attempt, pause, why } => {
                format!(
                    "{} attempt {attempt} failed: {why}; trying again in {}",
                    self.step(*step),
                    words(*pause)
                )
            }
            Event::Progress { step, done, total, what } => {
                format!("{} {done} of {total} {what}", self.step(*step))
            }
            Event::Note { step, text } => format!("{} {text}", self.step(*step)),
            Event::Warning { step, text } => {
                format!(
                    "{} {} {text}",
                    self.step(*step),
                    self.paint("warning:", &Style::new().yellow().bold())
                )
            }
            Event::StepDone { step, took, summary } => {
                let ok = self.paint("ok", &Style::new().green().bold());
                format!("{} {ok}: {summary} ({})", self.step(*step), took_words(*took))
            }
            Event::StepFailed { step, took, blocking, trouble } => {
                let failed = if *blocking {
                    self.paint("failed", &Style::new().red().bold())
                } else {
                    self.paint("failed, going on", &Style::new().yellow().bold())
                };
                let cause = failure::chain(&trouble.failure);
                format!("{} {failed}: {cause} ({})", self.step(*step), took_words(*took))
            }
            Event::Stopping { why } => format!("portcullis: {why}; stopping what runs"),
            Event::HandingOver { argv, took } => {
                format!("portcullis: ready after {}; starting {}", took_words(*took), argv.join(" "))
            }
            Event::Finished { took } => {
                format!("portcullis: done after {}; no server to start", took_words(*took))
            }
        }
    }

    fn step(&self, step: usize) -> String {
        let (number, of, name) = self.place(step);
        self.paint(&format!("[{number}/{of}] {name}:"), &Style::new().bold())
    }

    fn paint(&self, text: &str, style: &Style) -> String {
        style.clone().force_styling(self.colour).apply_to(text).to_string()
    }
}

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn took_words(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
    }
}
