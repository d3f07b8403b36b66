//! The progress of a command other than `run`: a bar on a terminal, else an occasional line.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    output::{Output, Source},
    progress::{self, LineThrottle, Progress},
    repair,
    silent_steps::{self, SilentSteps},
    streams::columns,
    terminal_filter,
};
use crate::{
    deadline::Deadline,
    outcome::{ActionEvent, event::Event},
    process,
};

/// Removes its bar when it is dropped.
pub(crate) struct CliProgress {
    name: &'static str,
    colour: bool,
    output: Output,
    throttle: RefCell<LineThrottle>,
    since: Cell<Option<Instant>>,
    started: Instant,
    silent_steps: RefCell<SilentSteps>,
}

impl CliProgress {
    /// `colour` is that of standard error.
    pub(crate) fn new(name: &'static str, output: &Output, colour: bool) -> Self {
        let mut silent_steps = SilentSteps::default();
        silent_steps.note(&Event::StepStarted { step: 0 }, Duration::ZERO);
        Self {
            name,
            colour,
            output: output.clone(),
            throttle: RefCell::default(),
            since: Cell::default(),
            started: Instant::now(),
            silent_steps: RefCell::new(silent_steps),
        }
    }

    /// Runs the command's work, and prints a line while the work is silent.
    pub(crate) async fn watch<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                () = Deadline::after(silent_steps::SILENCE_LIMIT / 4).passed() => self.report_silence(),
            }
        }
    }

    fn report_silence(&self) {
        let due = self.silent_steps.borrow().due(self.started.elapsed());
        for event in due {
            self.note(&event);
            if let Event::Note { text, .. } = event {
                self.output.print_line(&text);
            }
        }
    }

    fn note(&self, event: &Event) {
        self.silent_steps.borrow_mut().note(event, self.started.elapsed());
    }

    pub(crate) fn on_event(&self, event: ActionEvent) {
        match event {
            ActionEvent::Note(text) => {
                self.output.print_line(&text);
                self.note(&Event::Note { step: 0, text });
            }
            ActionEvent::Progress { done, total, what } => {
                self.show_progress(done, total, what);
                self.note(&Event::Progress { step: 0, done, total, what: what.into() });
            }
            ActionEvent::Output { tenant, stream, line } => {
                let line =
                    self.output.masked_line(&Source { step: 0, stream, tenant: tenant.clone() }, &line);
                self.print_child_line(tenant.as_deref(), stream, &line);
                self.note(&Event::Output { step: 0, stream, tenant, line: line.into_owned() });
            }
            ActionEvent::Migrated { .. } => {}
            ActionEvent::RepairStep(number, step) => {
                self.output.print_line(&repair::line(number, &step, self.colour));
            }
        }
    }

    fn show_progress(&self, done: usize, total: usize, what: &str) {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        let taken = since.elapsed();
        let progress = Progress { done, total, what: what.to_owned(), since: Duration::ZERO };
        if self.output.draws() {
            self.output.bar(Some(progress::bar(self.name, &progress, taken, columns())));
        } else if self.throttle.borrow_mut().is_due(0, done, total, taken) {
            self.output.print_droppable(&progress::words(&progress, taken));
        }
    }

    /// Prints a line of a framework's program in the format of the log.
    fn print_child_line(&self, tenant: Option<&str>, stream: process::Stream, line: &str) {
        let mark = if stream == process::Stream::Out { "|" } else { "!" };
        let lead = tenant.map(|tenant| format!("{tenant} ")).unwrap_or_default();
        self.output.print_droppable(&format!("{lead}{mark} {}", terminal_filter::without_colour(line)));
    }
}

impl Drop for CliProgress {
    fn drop(&mut self) {
        if self.output.draws() && self.since.get().is_some() {
            self.output.bar(None);
        }
    }
}
