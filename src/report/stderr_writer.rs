//! Writes lines to standard error from a separate thread, so that a slow or blocked reader delays nothing.
//!
//! Important lines are never dropped. Lines of children and of progress are dropped and counted if too many of them wait.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::streams::Stream;
use crate::threads;

/// The maximum size of the droppable lines in the queue.
const WAITING_BYTES: usize = 1 << 20;
/// The size of a batch of lines,
const BATCH: usize = 32 * 1024;
/// which is written in pieces of this size, to detect that a slow reader still reads.
const PIECE: usize = 8 * 1024;
/// Moves to the first column and clears the line.
const CLEAR: &str = "\r\x1b[2K";
/// A reader that reads nothing for this time is blocked, and the end of the program does not wait for it.
const BLOCKED: Duration = Duration::from_secs(2);
/// The maximum time that the end of the program waits for a slow reader.
pub(super) const SLOW: Duration = Duration::from_secs(6);
/// After this time, the end of the program drops the droppable lines.
const DROP_AFTER: Duration = Duration::from_secs(1);

/// The time in which a writer that was woken by a droppable line waits for more: one wake-up per line would take longer than
/// the line.
const GATHER: Duration = Duration::from_millis(1);

/// The interval in which the end of the program checks the progress of the writes.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Whether a line may be dropped if the reader is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Important,
    Droppable,
}

/// The sending end.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    /// False if no thread can be started (an old engine's filter denies clone3); lines are then written directly.
    threaded: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Signals that the queue has lines.
    filled: Condvar,
    /// Signals that something was written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(Priority, String)>,
    /// The size of the droppable lines.
    bytes: usize,
    /// The number of lines that were dropped since the last line in the queue.
    dropped: u64,
    json: bool,
    /// The new bar; empty to remove it.
    bar: Option<String>,
    writer: Writer,
    batches: u64,
    /// The end of the program has waited in vain for these lines.
    given_up: bool,
}

/// The state of the writer's thread.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Writer {
    #[default]
    Idle,
    /// Waits for more droppable lines.
    Gathering,
    /// It checks the queue again after the batch.
    Writing,
}

impl Queue {
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let thread = threads::spawn("report", Box::new(move || write_all(&writer)));
        Self { shared, threaded: thread.is_ok() }
    }

    /// Declares the line about dropped lines to be JSON from now on.
    pub(super) fn set_json(&self, json: bool) {
        self.waiting().json = json;
    }

    /// Whether a droppable line would be dropped.
    pub(super) fn is_full(&self) -> bool {
        self.threaded && self.waiting().bytes >= WAITING_BYTES
    }

    /// Counts a dropped line that was not rendered.
    pub(super) fn drop_line(&self) {
        self.waiting().dropped += 1;
    }

    pub(super) fn line(&self, priority: Priority, line: String) {
        if !self.threaded {
            Stream::Err.write_if_read(&(line + "\n"));
            return;
        }
        let mut waiting = self.waiting();
        if priority == Priority::Droppable {
            if waiting.bytes >= WAITING_BYTES {
                waiting.dropped += 1;
                return;
            }
            waiting.bytes += line.len();
        }
        waiting.report_dropped();
        waiting.given_up = false;
        waiting.lines.push_back((priority, line));
        let is_needed = match waiting.writer {
            Writer::Idle => true,
            Writer::Gathering => priority == Priority::Important,
            Writer::Writing => false,
        };
        if is_needed {
            self.shared.filled.notify_one();
        }
    }

    /// Draws the bar, or removes it.
    pub(super) fn bar(&self, bar: Option<String>) {
        if self.threaded {
            self.waiting().bar = Some(bar.unwrap_or_default());
            self.shared.filled.notify_one();
        }
    }

    /// Waits until everything is written, or the reader is blocked or too slow.
    pub(super) fn flush(&self, limit: Duration) {
        let mut waiting = self.waiting();
        if !self.threaded || waiting.given_up {
            return;
        }
        let (slow, drop_after) = (SLOW.min(limit), DROP_AFTER.min(limit / 2));
        let started = Instant::now();
        let (mut read, mut batches) = (started, waiting.batches);
        self.shared.filled.notify_one();
        while waiting.has_unwritten() && started.elapsed() < slow && read.elapsed() < BLOCKED {
            if waiting.batches != batches {
                (read, batches) = (Instant::now(), waiting.batches);
            }
            if started.elapsed() >= drop_after {
                waiting.drop_droppable();
            }
            let changed = self
                .shared
                .written
                .wait_timeout(waiting, CHECK_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = changed.0;
        }
        if waiting.has_unwritten() {
            waiting.drop_droppable();
            waiting.given_up = true;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn has_unwritten(&self) -> bool {
        self.writer == Writer::Writing || !self.lines.is_empty() || self.bar.is_some() || self.dropped > 0
    }

    fn gathers(&self) -> bool {
        let is_droppable = |(priority, _): &(Priority, String)| *priority == Priority::Droppable;
        self.bytes < BATCH && self.bar.is_none() && self.lines.iter().all(is_droppable)
    }

    fn report_dropped(&mut self) {
        let missing = mem::take(&mut self.dropped);
        if missing > 0 {
            self.lines.push_back((Priority::Important, dropped_text(missing, self.json)));
        }
    }

    fn drop_droppable(&mut self) {
        let before = self.lines.len();
        self.lines.retain(|(priority, _)| *priority == Priority::Important);
        let dropped = before - self.lines.len();
        if dropped > 0 {
            self.bytes = 0;
            let words = dropped_text(u64::try_from(dropped).unwrap_or(u64::MAX), self.json);
            self.lines.push_front((Priority::Important, words));
        }
    }

    /// The next batch of lines, with line ends.
    fn batch(&mut self) -> String {
        let mut batch = String::new();
        while batch.len() < BATCH {
            if self.lines.is_empty() {
                self.report_dropped();
            }
            let Some((priority, line)) = self.lines.pop_front() else { break };
            if priority == Priority::Droppable {
                self.bytes = self.bytes.saturating_sub(line.len());
            }
            batch += &line;
            batch.push('\n');
        }
        batch
    }
}

/// Writes until the program ends.
fn write_all(shared: &Shared) {
    let mut bar = String::new();
    let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if waiting.lines.is_empty() && waiting.bar.is_none() && waiting.dropped == 0 {
            waiting = shared.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        if waiting.gathers() {
            waiting.writer = Writer::Gathering;
            waiting = shared.filled.wait_timeout(waiting, GATHER).unwrap_or_else(PoisonError::into_inner).0;
        }
        let mut text = waiting.batch();
        let next = waiting.bar.take();
        waiting.writer = Writer::Writing;
        drop(waiting);
        if !bar.is_empty() {
            text.insert_str(0, CLEAR);
        }
        if let Some(next) = next {
            bar = next;
        }
        text += &bar;
        // A closed standard error cannot be reported.
        for piece in text.as_bytes().chunks(PIECE) {
            let _ = Stream::Err.write_all(piece);
            let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.batches += 1;
            shared.written.notify_all();
        }
        waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.writer = Writer::Idle;
        shared.written.notify_all();
    }
}

fn dropped_text(missing: u64, json: bool) -> String {
    let message = format!("{} dropped: the log was not read in time", lines(missing));
    if json {
        serde_json::json!({ "level": "warn", "event": "dropped", "message": message, "lines": missing })
            .to_string()
    } else {
        format!("portcullis: {message}")
    }
}

fn lines(number: u64) -> String {
    format!("{number} {}", if number == 1 { "line" } else { "lines" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_reads_nothing_gets_only_important_lines_and_is_waited_for_once() {
        let queue = Queue { shared: Arc::default(), threaded: true };
        queue.line(Priority::Droppable, "output of a child".into());
        queue.line(Priority::Important, "the box".into());
        let lines =
            || -> Vec<String> { queue.waiting().lines.iter().map(|(_, line)| line.clone()).collect() };
        queue.flush(Duration::from_millis(20));
        assert_eq!(lines(), [dropped_text(1, false), "the box".into()]);
        // A second wait would drop this line.
        queue.waiting().lines.push_back((Priority::Droppable, "late output".into()));
        queue.flush(Duration::from_millis(20));
        assert_eq!(lines().len(), 3);
        queue.line(Priority::Important, "a later box".into());
        queue.flush(Duration::from_millis(20));
        assert_eq!(lines()[1..], [dropped_text(1, false), "the box".into(), "a later box".into()]);
    }
}
