//! Taking over: the first act of main, and what the server must get back for it.

use std::io;

use super::{
    descendants, dispositions,
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
    /// Whoever exec'ed us may have left children, which are its business and then the server's.
    pub(super) children: Vec<i32>,
}

impl Inherited {
    /// Whether the namespace ends with this process.
    pub(crate) fn is_pid_1(&self) -> bool {
        self.is_pid_1
    }
}

/// First act of main: block and take signals, become a subreaper when not PID 1. Called before any thread or
/// runtime exists; a handful of system calls.
pub(crate) fn take_over() -> io::Result<Inherited> {
    let blocked = dispositions::blocked();
    signals::swap_mask(blocked.or(SignalSet::ALL.without(SignalSet::FAULTS)));
    let is_pid_1 = std::process::id() == 1;
    let was_subreaper = is_subreaper()?;
    if !is_pid_1 && !was_subreaper {
        set_subreaper(true)?;
    }
    let children = if descendants::have_children() { descendants::children() } else { Vec::new() };
    Ok(Inherited {
        blocked,
        ignored: dispositions::ignored(),
        pending: dispositions::pending(),
        closed: dispositions::closed().collect(),
        is_pid_1,
        was_subreaper,
        children,
    })
}

/// Whether orphans below this process become its children.
pub(super) fn set_subreaper(on: bool) -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(on)?)
}

fn is_subreaper() -> io::Result<bool> {
    Ok(nix::sys::prctl::get_child_subreaper()?)
}
