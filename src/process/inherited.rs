//! Taking over: the first act of main, and what the server must get back for it.

use std::{cell::Cell, io};

use super::{
    descendants, dispositions,
    fatal_signals::FatalSignals,
    signals::{self, Info, SignalSet},
};

/// What the process was started with and the server must get back.
pub(crate) struct Inherited {
    pub(super) blocked: SignalSet,
    pub(super) ignored: SignalSet,
    /// Pending when we were started, so not for us.
    pub(super) pending: Vec<Info>,
    /// Standard descriptors that were closed.
    pub(super) closed: Vec<i32>,
    pub(super) is_pid_1: bool,
    pub(super) was_subreaper: bool,
    /// Orphans below us become our children: not so where the system call is refused.
    pub(super) is_subreaper: bool,
    /// The program that exec'ed us may have left children, which are its business and then the server's.
    pub(super) children: Vec<i32>,
    /// The image's STOPSIGNAL, where it is declared.
    stop_signal: Cell<Option<i32>>,
}

impl Inherited {
    /// Whether the namespace ends with this process.
    pub(crate) fn is_pid_1(&self) -> bool {
        self.is_pid_1
    }

    /// Whether processes that lose their parent are left to somebody else, so that they cannot be reaped and ended.
    pub(crate) fn loses_orphans(&self) -> bool {
        !self.is_pid_1 && !self.is_subreaper
    }

    /// This signal asks us to end too, whatever its default action is.
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

/// First act of main: block and take signals, become a subreaper when not PID 1. Called before any thread or
/// runtime exists; a handful of system calls.
pub(crate) fn take_over() -> Inherited {
    signals::swap_mask(SignalSet::ALL);
    let is_pid_1 = std::process::id() == 1;
    // PID 1 gets every orphan anyway. A refusal (by seccomp) leaves orphans to the container's init.
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

/// Whether orphans below this process become its children.
pub(super) fn set_subreaper(on: bool) -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(on)?)
}
