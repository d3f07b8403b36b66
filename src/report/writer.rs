//! Writes lines to standard error from a thread of its own, so that a blocked terminal never makes us deaf.

use std::{
    io::{self, Write},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How many lines may wait for the terminal; what comes on top is dropped and counted.
const QUEUE: usize = 4_096;
/// To the first column, and nothing on the line.
const CLEAR: &str = "\r\x1b[2K";
/// How long the end of the program waits for the terminal to take the last lines.
const FLUSH: Duration = Duration::from_secs(2);

/// The queue's sending end.
#[derive(Debug)]
pub(crate) struct Writer {
    /// None where no thread can be started (an old engine's filter refuses clone3): lines are written at once, then.
    lines: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// What stands below the last line until another takes its place.
    Bar(Option<String>),
    Flush(SyncSender<()>),
}

impl Writer {
    /// `json` if even the line about dropped lines has to be JSON.
    pub(crate) fn start(json: bool) -> Self {
        let (lines, queue) = mpsc::sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let thread = thread::Builder::new().name("report".into()).spawn(move || {
            let mut out = io::stderr();
            let mut bar: Option<String> = None;
            for message in queue {
                if bar.is_some() && !matches!(message, Message::Flush(_)) {
                    let _ = write!(out, "{CLEAR}");
                }
                match message {
                    Message::Line(line) => {
                        let missing = counter.swap(0, Ordering::Relaxed);
                        if missing > 0 {
                            let _ = writeln!(out, "{}", dropped_words(missing, json));
                        }
                        // Nobody is left to tell if standard error is closed.
                        let _ = writeln!(out, "{line}");
                        let _ = write!(out, "{}", bar.as_deref().unwrap_or_default());
                    }
                    Message::Bar(next) => {
                        let _ = write!(out, "{}", next.as_deref().unwrap_or_default());
                        bar = next;
                    }
                    Message::Flush(done) => drop(done),
                }
            }
        });
        Self { lines: thread.is_ok().then_some(lines), dropped }
    }

    pub(crate) fn line(&self, line: String) {
        let Some(lines) = &self.lines else {
            write_if_read(&line);
            return;
        };
        if let Err(TrySendError::Full(_)) = lines.try_send(Message::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Draws the bar, or takes it away. A terminal that is blocked misses it, and nothing else.
    pub(crate) fn bar(&self, bar: Option<String>) {
        if let Some(lines) = &self.lines {
            let _ = lines.try_send(Message::Bar(bar));
        }
    }

    /// Returns once everything is written, or after two seconds of a blocked terminal.
    pub(crate) fn flush(&self) {
        let Some(lines) = &self.lines else {
            return;
        };
        let (done, written) = mpsc::sync_channel(0);
        if lines.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

/// Writes the line from this thread, unless that would mean to wait for somebody to read.
pub(super) fn write_if_read(line: &str) {
    let mut stderr = io::stderr();
    let mut descriptors = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut descriptors, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        // Nobody is left to tell if standard error is closed.
        let _ = stderr.write_all(format!("{line}\n").as_bytes());
    }
}

fn dropped_words(missing: u64, json: bool) -> String {
    let message = format!("{missing} lines dropped: the terminal was blocked");
    if json {
        serde_json::json!({ "level": "warn", "event": "dropped", "message": message, "lines": missing })
            .to_string()
    } else {
        format!("portcullis: {message}")
    }
}
