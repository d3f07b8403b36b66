//! How far a command is that somebody started by hand: a bar on a terminal, a line now and then elsewhere.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    foreign,
    output::{Output, Source},
    progress::{self, Pace, Progress},
    repair,
    streams::columns,
};
use crate::{outcome::command::CommandEvent, process};

/// Dropped, it takes its bar away.
pub(crate) struct ByHand {
    name: &'static str,
    colour: bool,
    output: Output,
    pace: RefCell<Pace>,
    since: Cell<Option<Instant>>,
}

impl ByHand {
    /// `colour` is that of standard error.
    pub(crate) fn new(name: &'static str, output: &Output, colour: bool) -> Self {
        Self { name, colour, output: output.clone(), pace: RefCell::default(), since: Cell::default() }
    }

    /// What the command tells on its way.
    pub(crate) fn on_event(&self, event: CommandEvent<'_>) {
        match event {
            CommandEvent::Note(text) => self.output.say(&text),
            CommandEvent::Progress { done, total, what } => self.tell(done, total, what),
            CommandEvent::Output { tenant, stream, line } => self.child(tenant, stream, &line),
            CommandEvent::RepairStep(number, step) => {
                self.output.say(&repair::line(number, step, self.colour));
            }
        }
    }

    fn tell(&self, done: usize, total: usize, what: &str) {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        let taken = since.elapsed();
        let progress = Progress { done, total, what: what.to_owned(), since: Duration::ZERO };
        if self.output.draws() {
            self.output.bar(Some(progress::bar(self.name, &progress, taken, columns())));
        } else if self.pace.borrow_mut().is_due(0, done, total, taken) {
            self.output.mention(&progress::words(&progress, taken));
        }
    }

    /// A line of a framework's program, as the log of a start-up has it.
    fn child(&self, tenant: Option<String>, stream: process::Stream, line: &str) {
        let mark = if stream == process::Stream::Out { "|" } else { "!" };
        let lead = tenant.as_ref().map(|tenant| format!("{tenant} ")).unwrap_or_default();
        let line = self.output.masked_line(&Source { step: 0, stream, tenant }, line);
        self.output.mention(&format!("{lead}{mark} {}", foreign::without_colour(&line)));
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        if self.output.draws() && self.since.get().is_some() {
            self.output.bar(None);
        }
    }
}
