//! Runs one program's process tree: starts it, reads its output line by line, and ends it early if required.

use std::{
    collections::VecDeque,
    io::{self, Read},
    os::fd::OwnedFd,
    pin::pin,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::{Mode, fchmod},
    unistd::pipe2,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::yield_now,
    time::Instant,
};

use super::{
    capture::{Lines, Stream},
    escalation::GIVE_UP,
    exit_reason::ExitReason,
    finished::{Finished, LAST_LINES, StopReason},
    output_limit::{LINE_COST, OutputLimit},
    reaper::{Processes, ReportReceiver},
    signals::SignalSet,
    spawn::{Child, Output, ParentDeath, named},
    stub_report::{MainState, REPORT_BYTES, StubReport},
};
use crate::{config::exported::MOST_BYTES, deadline::Deadline};

/// The number of lines handled before other tasks run, so that endless output does not delay signals, time-outs and
/// the lock's heartbeat.
const BATCH: usize = 32;
/// The maximum that is read from the pipes after the tree is gone; a process outside of it may still write.
const MOST_LEFT_IN_PIPES: usize = 2 * 1024 * 1024;
/// The time beyond its grace that a stub has to end its tree.
const STUB_MARGIN: std::time::Duration = std::time::Duration::from_secs(1);

/// A running tree. If it is dropped while it runs, it receives TERM.
pub(crate) struct Tree {
    stub: i32,
    grace: std::time::Duration,
    processes: Processes,
    out: Lines,
    err: Lines,
    /// The variables that the program exports, as text.
    exports: Lines,
    /// Written once, by the reaper.
    report: ReportReceiver,
    /// The number of bytes that may still be read after the end.
    left_in_pipes: usize,
    /// None if every line is handled.
    limit: Option<OutputLimit>,
    dropped: usize,
}

impl Processes {
    /// Starts a program.
    pub(crate) fn spawn(&self, child: &Child) -> io::Result<Tree> {
        self.spawn_with(child, None, ParentDeath::Term)
    }

    /// Starts a program that reads this input.
    pub(crate) fn spawn_with_input(&self, child: &Child, input: &OwnedFd) -> io::Result<Tree> {
        self.spawn_with(child, Some(input), ParentDeath::Term)
    }

    /// Starts a program that must not outlive Portcullis: it is killed when Portcullis ends for any reason.
    pub(crate) fn spawn_fenced(&self, child: &Child) -> io::Result<Tree> {
        self.spawn_with(child, None, ParentDeath::Kill)
    }

    fn spawn_with(&self, child: &Child, input: Option<&OwnedFd>, death: ParentDeath) -> io::Result<Tree> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|error| named("cannot create a pipe", &error.into()));
        let (out, child_out) = pipe()?;
        let (err, child_err) = pipe()?;
        let (exports, child_exports) = if child.exports { Some(pipe()?) } else { None }.unzip();
        for end in [Some(&out), Some(&err), exports.as_ref()].into_iter().flatten() {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        if let Some(end) = &child_exports {
            // Another user may open it as /dev/fd/3.
            fchmod(end, Mode::from_bits_truncate(0o622))?;
        }
        let (out, err) = (Lines::of(out)?, Lines::of(err)?);
        let exports = exports.map(Lines::of).transpose()?.unwrap_or_default();
        let output =
            Output::Pipes { input, exports: child_exports.as_ref(), out: &child_out, err: &child_err };
        let (stub, report, _status) = self.start_tree(child, output, death)?;
        let (grace, processes) = (child.grace, self.clone());
        let left_in_pipes = MOST_LEFT_IN_PIPES;
        Ok(Tree { stub, grace, processes, out, err, exports, report, left_in_pipes, limit: None, dropped: 0 })
    }

    /// Starts a background program with this process's own output. Returns once it runs ([`ExitReason::Started`]), or
    /// with the reason why it does not. Only [`Processes::finish`] ends it.
    pub(crate) async fn spawn_to_stay(&self, child: &Child) -> io::Result<ExitReason> {
        let (_stub, mut ended, status) = self.start_tree(child, Output::Inherited, ParentDeath::Term)?;
        // SAFETY: the file owns its descriptor, and no other code replaces it.
        let status = unsafe { AsyncFd::register_with_interest(status, Interest::READABLE)? };
        let first = tokio::select! {
            _ = status.readable() => {
                let mut bytes = [0; REPORT_BYTES];
                let length = status.get_ref().read(&mut bytes).unwrap_or(0);
                StubReport::from_bytes(&bytes[..length])
            }
            _ = ended.wait_for(Option::is_some) => None,
        };
        // The reaper may have read the report first.
        let first = match first {
            Some(first) => Some(first),
            None => ended.wait_for(Option::is_some).await.ok().and_then(|report| *report),
        };
        Ok(first.map_or(MainState::Signalled(libc::SIGKILL), |report| report.main).reason())
    }
}

impl Tree {
    /// Drops lines, but not the last ones, while the program prints more than [`OutputLimit`] allows.
    pub(crate) fn with_output_limit(mut self) -> Self {
        self.limit = Some(OutputLimit::new(Instant::now()));
        self
    }

    /// Runs the program to its end. At the deadline, its tree receives TERM; when `stop` returns a signal, that
    /// signal. KILL follows after the grace. `on_line` receives each line of output without its line end, as lossy
    /// UTF-8 of at most 16 KiB. It returns a new deadline if the line changes it.
    pub(crate) async fn run(
        mut self,
        deadline: Deadline,
        stop: impl Future<Output = i32>,
        mut on_line: impl FnMut(Stream, &str) -> Option<Deadline>,
    ) -> Finished {
        let mut stop = pin!(stop);
        let mut limit = deadline;
        let mut stub_limit = None;
        let mut cut = None;
        let mut last = VecDeque::new();
        let report = loop {
            tokio::select! {
                biased;
                signal = &mut stop, if !matches!(cut, Some(StopReason::Stopped(_))) => {
                    cut = Some(StopReason::Stopped(signal));
                    stub_limit.get_or_insert(self.terminate(signal));
                }
                () = limit.passed(), if cut.is_none() => {
                    cut = Some(StopReason::TimedOut);
                    stub_limit = Some(self.terminate(libc::SIGTERM));
                }
                () = passed(stub_limit), if stub_limit.is_some() => {
                    // The stub hangs, or was stopped repeatedly. The reaper ends its tree.
                    self.processes.kill_stub(self.stub);
                    stub_limit = None;
                }
                ended = self.read() => if let Some(report) = ended {
                    break report;
                },
            }
            let mut handled = 0;
            for _ in 0..BATCH {
                let Some((stream, line)) = self.take_line() else { break };
                handled += line.len() + LINE_COST;
                if let Some(moved) = on_line(stream, &line) {
                    limit = moved;
                }
                if last.len() == LAST_LINES {
                    last.pop_front();
                }
                last.push_back(line);
            }
            if let Some(limit) = &mut self.limit {
                limit.spend(handled, Instant::now());
            }
            yield_now().await;
        };
        let out_of_memory = self.processes.ran_out_of_memory();
        let exported = self.exports.take_rest();
        let finished = Finished::new(report, cut, last, exported, out_of_memory);
        Finished { dropped: self.dropped, ..finished }
    }

    /// Returns when a line is available, or the report once the tree has ended and all lines were returned. Cancel
    /// safe.
    async fn read(&mut self) -> Option<StubReport> {
        loop {
            let ended = *self.report.borrow();
            let is_limited =
                ended.is_none() && self.limit.as_mut().is_some_and(|limit| limit.is_exceeded(Instant::now()));
            if !is_limited && (self.out.has_line() || self.err.has_line()) {
                return None;
            }
            if let Some(report) = ended {
                // One stream after the other; standard error last, because it usually contains the cause.
                let mut streams = [&mut self.exports, &mut self.out, &mut self.err].into_iter();
                let Some(stream) = streams.find(|stream| stream.is_open()) else { return Some(report) };
                self.left_in_pipes = self.left_in_pipes.saturating_sub(stream.read(false));
                if self.left_in_pipes == 0 {
                    stream.close();
                }
                continue;
            }
            let resumes = self.limit.as_ref().filter(|_| is_limited).map(OutputLimit::resumes);
            tokio::select! {
                () = self.out.ready() => {}
                () = self.err.ready() => {}
                () = self.exports.ready() => {}
                () = passed(resumes), if is_limited => {}
                ended = self.report.wait_for(Option::is_some) => if ended.is_err() {
                    // The reaper is gone.
                    return Some(StubReport::of(MainState::Signalled(libc::SIGKILL)));
                },
            }
            if is_limited {
                self.dropped += self.err.drop_lines() + self.out.drop_lines();
                yield_now().await;
            } else {
                // This order ensures that output written before a line of standard error is read with it.
                self.err.read(true);
                self.out.read(true);
            }
            if self.exports.read(true) > 0 {
                self.exports.cut(MOST_BYTES + 1);
                // Other tasks run before more is read.
                return None;
            }
        }
    }

    /// Returns lines of standard output first. Both streams are read again only when neither has a line left, so that
    /// neither delays the other.
    fn take_line(&mut self) -> Option<(Stream, String)> {
        let out = self.out.take_line().map(|line| (Stream::Out, line));
        out.or_else(|| self.err.take_line().map(|line| (Stream::Err, line)))
    }

    /// Sends the signal to the whole tree, then KILL after the grace. Returns the deadline of the stub.
    fn terminate(&self, signal: i32) -> Deadline {
        // Programs clean up on the usual four signals; any other would only end them immediately.
        let signal = if SignalSet::ENDING.contains(signal) { signal } else { libc::SIGTERM };
        self.processes.send_signal(self.stub, signal);
        Deadline::after(self.grace.saturating_add(GIVE_UP + STUB_MARGIN))
    }
}

async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => deadline.passed().await,
        None => std::future::pending().await,
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.terminate(libc::SIGTERM);
    }
}
