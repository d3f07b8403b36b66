//! One step's process tree as the engine sees it: its output, its end, and the way to end it early.

use std::{path::PathBuf, time::Duration};

use tokio::sync::watch;

use super::{
    capture::Lines,
    reaper::Processes,
    record::{Outcome, Record},
};
use crate::report::event::Stream;

/// What to run as a step.
pub(crate) struct Child {
    pub(crate) argv: Vec<String>,
    /// Added to our own environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<PathBuf>,
    /// Between TERM and KILL.
    pub(crate) grace: Duration,
}

/// A running tree. Dropped while it runs, it gets TERM.
pub(crate) struct Tree {
    pub(super) stub: i32,
    pub(super) processes: Processes,
    pub(super) out: Lines,
    pub(super) err: Lines,
    /// Written once, by the reaper.
    pub(super) record: watch::Receiver<Option<Record>>,
    /// Whose turn it is when both streams have a line.
    pub(super) err_next: bool,
}

/// How a tree ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) how: How,
    /// Processes of the tree left over when its main process ended.
    pub(crate) leftovers: usize,
    /// Some had to be killed after the grace.
    pub(crate) killed: bool,
}

/// What became of the main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    Exited(i32),
    Signalled(i32),
    /// It runs, and nobody waits for its end.
    Started,
    /// `missing` when there is no such program.
    NotStarted {
        missing: bool,
        why: String,
    },
}

impl Tree {
    /// The next line of output, without its line end, lossy UTF-8, at most 16 KiB a line; None when both streams
    /// are closed or the tree has ended and everything readable was read. Cancel safe.
    pub(crate) async fn next_line(&mut self) -> Option<(Stream, String)> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            if !self.out.is_open() && !self.err.is_open() {
                return None;
            }
            if self.record.borrow().is_some() {
                self.out.read_rest();
                self.err.read_rest();
                continue;
            }
            tokio::select! {
                () = self.out.read() => {}
                () = self.err.read() => {}
                _ = self.record.wait_for(Option::is_some) => {}
            }
        }
    }

    fn take_line(&mut self) -> Option<(Stream, String)> {
        let mut take = |err: bool| {
            let (lines, stream) =
                if err { (&mut self.err, Stream::Err) } else { (&mut self.out, Stream::Out) };
            Some((stream, lines.take_line()?))
        };
        let first = self.err_next;
        let line = take(first).or_else(|| take(!first))?;
        self.err_next = line.0 == Stream::Out;
        Some(line)
    }

    /// When the whole tree is gone. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ended {
        let record = match self.record.wait_for(Option::is_some).await {
            Ok(record) => *record,
            Err(_reaper_is_gone) => None,
        };
        record.map_or(
            Ended { how: How::Signalled(libc::SIGKILL), leftovers: 0, killed: true },
            |Record { outcome, leftovers, killed }| Ended { how: how(outcome), leftovers, killed },
        )
    }

    /// The whole tree gets this signal, then grace, then KILL.
    pub(crate) fn terminate(&self, signal: i32) {
        self.processes.tell(self.stub, signal);
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.terminate(libc::SIGTERM);
    }
}

pub(super) fn how(outcome: Outcome) -> How {
    let error = std::io::Error::from_raw_os_error;
    match outcome {
        Outcome::Exited(code) => How::Exited(code),
        Outcome::Signalled(signal) => How::Signalled(signal),
        Outcome::Started => How::Started,
        Outcome::NoProgram(errno) => {
            How::NotStarted { missing: errno == libc::ENOENT, why: error(errno).to_string() }
        }
        Outcome::NoDirectory(errno) => How::NotStarted {
            missing: false,
            why: format!("cannot enter its working directory: {}", error(errno)),
        },
    }
}
