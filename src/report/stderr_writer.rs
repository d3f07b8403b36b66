//! Writes lines to standard error from a thread of its own, so that a reader that is slow or blocked delays nobody.
//!
//! Lines that people must read are never dropped. Lines of children and progress are, when too many wait, and are counted
//! in their place.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use super::streams::Stream;

/// How much of what may be dropped waits for the reader.
const WAITING_BYTES: usize = 1 << 20;
/// So much is written at a time.
const BATCH: usize = 32 * 1024;
/// In pieces of this size, so that a slow reader is seen to read.
const PIECE: usize = 8 * 1024;
/// To the first column, and nothing on the line.
const CLEAR: &str = "\r\x1b[2K";
/// A reader that takes nothing for so long is blocked: the end of the program does not wait for it.
const BLOCKED: Duration = Duration::from_secs(2);
/// The end of the program waits no longer than this for a reader that is slow.
const SLOW: Duration = Duration::from_secs(6);
/// From then on, what may be dropped gives way to what must be read.
const IMPATIENT: Duration = Duration::from_secs(1);

/// How often the end of the program looks whether something was written.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a line may be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Kept,
    Dropped,
}

/// The sending end.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    /// False where no thread can be started (an old engine's filter refuses clone3): lines are written at once, then.
    threaded: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Something waits to be written.
    filled: Condvar,
    /// Something was written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(Priority, String)>,
    /// Of lines that may be dropped.
    bytes: usize,
    /// Lines that were dropped since the last that waits.
    dropped: u64,
    json: bool,
    /// What is to stand below the last line from now on; empty for nothing.
    bar: Option<String>,
    /// A batch is being written.
    writing: bool,
    batches: u64,
}

impl Queue {
    pub(super) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("report".into()).spawn(move || write_all(&writer));
        Self { shared, threaded: thread.is_ok() }
    }

    /// From now on, the line about dropped lines is JSON.
    pub(super) fn set_json(&self, json: bool) {
        self.waiting().json = json;
    }

    /// Whether a line that may be dropped would be.
    pub(super) fn is_full(&self) -> bool {
        self.threaded && self.waiting().bytes >= WAITING_BYTES
    }

    /// Counts a line that was not even made.
    pub(super) fn drop_line(&self) {
        self.waiting().dropped += 1;
    }

    pub(super) fn line(&self, weight: Priority, line: String) {
        if !self.threaded {
            Stream::Err.write_if_read(&(line + "\n"));
            return;
        }
        let mut waiting = self.waiting();
        if weight == Priority::Dropped {
            if waiting.bytes >= WAITING_BYTES {
                waiting.dropped += 1;
                return;
            }
            waiting.bytes += line.len();
        }
        waiting.report_dropped();
        waiting.lines.push_back((weight, line));
        // A writer that is at work comes back by itself.
        if !waiting.writing {
            self.shared.filled.notify_one();
        }
    }

    /// Draws the bar, or takes it away.
    pub(super) fn bar(&self, bar: Option<String>) {
        if self.threaded {
            self.waiting().bar = Some(bar.unwrap_or_default());
            self.shared.filled.notify_one();
        }
    }

    /// Returns once everything is written, or the reader turns out to be blocked or much too slow.
    pub(super) fn flush(&self) {
        if !self.threaded {
            return;
        }
        let mut waiting = self.waiting();
        let started = Instant::now();
        let (mut read, mut batches) = (started, waiting.batches);
        while waiting.is_something_left() && started.elapsed() < SLOW && read.elapsed() < BLOCKED {
            if waiting.batches != batches {
                (read, batches) = (Instant::now(), waiting.batches);
            }
            if started.elapsed() >= IMPATIENT {
                waiting.keep_what_must_be_read();
            }
            let changed =
                self.shared.written.wait_timeout(waiting, LOOK).unwrap_or_else(PoisonError::into_inner);
            waiting = changed.0;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_something_left(&self) -> bool {
        self.writing || !self.lines.is_empty() || self.bar.is_some() || self.dropped > 0
    }

    fn report_dropped(&mut self) {
        let missing = mem::take(&mut self.dropped);
        if missing > 0 {
            self.lines.push_back((Priority::Kept, dropped_text(missing, self.json)));
        }
    }

    fn keep_what_must_be_read(&mut self) {
        let before = self.lines.len();
        self.lines.retain(|(weight, _)| *weight == Priority::Kept);
        let gone = before - self.lines.len();
        if gone > 0 {
            self.bytes = 0;
            let words = dropped_text(u64::try_from(gone).unwrap_or(u64::MAX), self.json);
            self.lines.push_front((Priority::Kept, words));
        }
    }

    /// The next lines to be written together, with line ends.
    fn batch(&mut self) -> String {
        let mut batch = String::new();
        while batch.len() < BATCH {
            if self.lines.is_empty() {
                self.report_dropped();
            }
            let Some((weight, line)) = self.lines.pop_front() else { break };
            if weight == Priority::Dropped {
                self.bytes = self.bytes.saturating_sub(line.len());
            }
            batch += &line;
            batch.push('\n');
        }
        batch
    }
}

/// For as long as the program lives.
fn write_all(shared: &Shared) {
    let mut bar = String::new();
    let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if waiting.lines.is_empty() && waiting.bar.is_none() && waiting.dropped == 0 {
            waiting = shared.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let mut text = waiting.batch();
        let next = waiting.bar.take();
        waiting.writing = true;
        drop(waiting);
        if !bar.is_empty() {
            text.insert_str(0, CLEAR);
        }
        if let Some(next) = next {
            bar = next;
        }
        text += &bar;
        // Nobody is left to tell if standard error is closed.
        for piece in text.as_bytes().chunks(PIECE) {
            let _ = Stream::Err.write_all(piece);
            let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.batches += 1;
            shared.written.notify_all();
        }
        waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.writing = false;
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
