//! One step's process tree as the engine sees it: its output, its end, and the way to end it early.

use std::io::{self, Read};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{
    capture::{Lines, Stream},
    reaper::{Processes, RecordReceiver},
    record::{How, Outcome, RECORD_BYTES, Record},
    spawn::{Child, Death, Output},
};

/// A running tree. Dropped while it runs, it gets TERM.
pub(crate) struct Tree {
    stub: i32,
    processes: Processes,
    out: Lines,
    err: Lines,
    /// Written once, by the reaper.
    record: RecordReceiver,
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

impl Processes {
    /// Starts a step.
    pub(crate) fn spawn(&self, child: &Child) -> io::Result<Tree> {
        self.spawn_with(child, Death::Term)
    }

    /// The same, of a tree that must not outlive us: whatever ends us, it is killed at once.
    pub(crate) fn spawn_fenced(&self, child: &Child) -> io::Result<Tree> {
        self.spawn_with(child, Death::Kill)
    }

    fn spawn_with(&self, child: &Child, death: Death) -> io::Result<Tree> {
        let (out, child_out) = pipe2(OFlag::O_CLOEXEC)?;
        let (err, child_err) = pipe2(OFlag::O_CLOEXEC)?;
        for end in [&out, &err] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let (out, err) = (Lines::of(out)?, Lines::of(err)?);
        let output = Output::Pipes { out: &child_out, err: &child_err };
        let (stub, record, _status) = self.start_tree(child, output, death)?;
        Ok(Tree { stub, processes: self.clone(), out, err, record })
    }

    /// Starts a program that may stay beside the server, with our own output; returns once it runs
    /// ([`How::Started`]), or what became of it instead. It is ended by [`Processes::finish`] alone.
    pub(crate) async fn spawn_to_stay(&self, child: &Child) -> io::Result<How> {
        let (_stub, mut ended, status) = self.start_tree(child, Output::Ours, Death::Term)?;
        // SAFETY: the file owns its descriptor, and nobody replaces it.
        let status = unsafe { AsyncFd::register_with_interest(status, Interest::READABLE)? };
        let first = tokio::select! {
            _ = status.readable() => {
                let mut bytes = [0; RECORD_BYTES];
                let length = status.get_ref().read(&mut bytes).unwrap_or(0);
                Record::from_bytes(&bytes[..length])
            }
            _ = ended.wait_for(Option::is_some) => None,
        };
        // The reaper may have been quicker to read the record.
        let first = match first {
            Some(first) => Some(first),
            None => ended.wait_for(Option::is_some).await.ok().and_then(|record| *record),
        };
        Ok(first.map_or(Outcome::Signalled(libc::SIGKILL), |record| record.outcome).how())
    }
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
                // All of one before the other, and last the stream on which a program says why it ends.
                if self.out.is_open() {
                    self.out.read_rest();
                } else {
                    self.err.read_rest();
                }
                continue;
            }
            tokio::select! {
                () = self.out.ready() => {}
                () = self.err.ready() => {}
                _ = self.record.wait_for(Option::is_some) => {}
            }
            // In this order, so that whatever was written before a line of standard error is read with it.
            self.err.read();
            self.out.read();
        }
    }

    /// What was read of standard output comes first. More of it is read only together with the other stream, when
    /// both have no line left, so neither keeps the other waiting.
    fn take_line(&mut self) -> Option<(Stream, String)> {
        let out = self.out.take_line().map(|line| (Stream::Out, line));
        out.or_else(|| self.err.take_line().map(|line| (Stream::Err, line)))
    }

    /// When the whole tree is gone. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Ended {
        let record = match self.record.wait_for(Option::is_some).await {
            Ok(record) => *record,
            Err(_reaper_is_gone) => None,
        };
        record.map_or(
            Ended { how: How::Signalled(libc::SIGKILL), leftovers: 0, killed: true },
            |Record { outcome, leftovers, killed }| Ended { how: outcome.how(), leftovers, killed },
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
