//! Takes over at the start of main, and records the state that the server must get back.

use std::{cell::Cell, io};

use super::{
    descendants, dispositions,
    fatal_signals::FatalSignals,
    signals::{self, Info, SignalSet},
};

/// The inherited state that the server must get back.
pub(crate) struct Inherited {
    pub(super) blocked: SignalSet,
    pub(super) ignored: SignalSet,
    /// Signals that were pending at the start, and so belong to the server.
    pub(super) pending: Vec<Info>,
    /// Standard descriptors that were closed.
    pub(super) closed: Vec<i32>,
    pub(super) is_pid_1: bool,
    pub(super) was_subreaper: bool,
    /// Orphans become children of this process, unless the system call was refused.
    pub(super) is_subreaper: bool,
    /// Children of a program that exec'ed this one; they belong to it and then to the server.
    pub(super) children: Vec<i32>,
    /// The image's STOPSIGNAL, if it is declared.
    stop_signal: Cell<Option<i32>>,
}

impl Inherited {
    /// Whether the namespace ends with this process.
    pub(crate) fn is_pid_1(&self) -> bool {
        self.is_pid_1
    }

    /// Whether orphans are adopted by another process, so that they cannot be reaped and ended.
    pub(crate) fn loses_orphans(&self) -> bool {
        !self.is_pid_1 && !self.is_subreaper
    }

    /// Declares a signal that requests the end, whatever its default action is.
    pub(crate) fn declare_stop_signal(&self, signal: Option<i32>) {
        self.stop_signal.set(signal);
    }

    pub(super) fn stop_signal(&self) -> Option<i32> {
        self.stop_signal.get()
    }

    pub(super) fn ending(&self) -> FatalSignals {
        FatalSignals::new(self.ignored).with(self.stop_signal.get())
    }
}

/// The first action of main: blocks and reads signals, becomes a subreaper unless it is PID 1. Runs before any thread
/// or runtime exists, with few system calls.
pub(crate) fn take_over() -> Inherited {
    signals::swap_mask(SignalSet::ALL);
    let is_pid_1 = std::process::id() == 1;
    // PID 1 adopts every orphan anyway. If seccomp refuses the call, orphans are left to the container's init.
    let was_subreaper = !is_pid_1 && nix::sys::prctl::get_child_subreaper().unwrap_or(false);
    let is_subreaper = is_pid_1 || was_subreaper || set_subreaper(true).is_ok();
    let children = if descendants::have_children() { descendants::children() } else { Vec::new() };
    Inherited {
        blocked: dispositions::blocked(),
        ignored: dispositions::ignored(),
        pending: dispositions::pending(),
        closed: dispositions::closed().collect(),
        is_pid_1,
        was_subreaper,
        is_subreaper,
        children,
        stop_signal: Cell::new(None),
    }
}

/// Sets whether orphans below this process become its children.
pub(super) fn set_subreaper(on: bool) -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(on)?)
}
