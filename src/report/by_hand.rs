//! How far a command is that somebody started by hand: a bar on a terminal, a line now and then elsewhere.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    aside, columns,
    progress::{self, Pace, Progress},
};

/// Dropped, it takes its bar away.
pub(crate) struct ByHand {
    name: &'static str,
    bar: bool,
    pace: RefCell<Pace>,
    since: Cell<Option<Instant>>,
}

impl ByHand {
    /// `bar` where there can be one.
    pub(crate) fn new(name: &'static str, bar: bool) -> Self {
        Self { name, bar, pace: RefCell::default(), since: Cell::default() }
    }

    pub(crate) fn tell(&self, done: usize, total: usize, what: &str) {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        let taken = since.elapsed();
        let progress = Progress { done, total, what: what.to_owned(), since: Duration::ZERO };
        if self.bar {
            aside::bar(Some(progress::bar(self.name, &progress, taken, columns())));
        } else if self.pace.borrow_mut().is_due(0, done, total, taken) {
            aside::say(&progress::words(&progress, taken));
        }
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        if self.bar && self.since.get().is_some() {
            aside::bar(None);
        }
    }
}
