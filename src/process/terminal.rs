//! Handles the terminal on standard input: its owner, and how the main process gets it.

use super::{
    launch::SessionPlacement,
    signals::{self, SignalSet},
};

/// Where the main process is placed. Gives up this process's terminal if the child can own it.
pub(super) fn place(own_session: bool) -> SessionPlacement {
    let terminal = Terminal::of_stdin();
    match (own_session, terminal) {
        (true, Terminal::None) => SessionPlacement::Session,
        (true, Terminal::Unowned) => SessionPlacement::SessionWithTerminal,
        (true, Terminal::Owned) => {
            give_up();
            SessionPlacement::SessionWithTerminal
        }
        // A new session would have no terminal, because the shell that started this process still owns it.
        (_, Terminal::Shared { foreground: true }) | (false, Terminal::Owned) => {
            SessionPlacement::ForegroundGroup
        }
        (_, Terminal::Shared { foreground: false }) | (false, Terminal::None | Terminal::Unowned) => {
            SessionPlacement::Group
        }
    }
}

/// Whether a shell above would continue this process after a stop.
pub(super) fn has_job_control_above(is_pid_1: bool) -> bool {
    // SAFETY: reads ids.
    !is_pid_1 && unsafe { libc::getsid(0) != libc::getpid() }
}

/// Makes `group` the foreground group if this process's (or `from`) is now. TTOU is blocked, so this process may be
/// in the background.
pub(super) fn pass_on(from: i32, group: i32) {
    // SAFETY: calls on a descriptor that may not be a terminal, which they report.
    unsafe {
        if libc::tcgetpgrp(libc::STDIN_FILENO) == from {
            libc::tcsetpgrp(libc::STDIN_FILENO, group);
        }
    }
}

pub(super) fn own_group() -> i32 {
    // SAFETY: reads an id.
    unsafe { libc::getpgrp() }
}

enum Terminal {
    None,
    /// It controls no session, or none in this namespace.
    Unowned,
    /// This process leads its session.
    Owned,
    /// This process belongs to its session; another process leads.
    Shared {
        foreground: bool,
    },
}

impl Terminal {
    fn of_stdin() -> Self {
        // SAFETY: calls on a descriptor that may not be a terminal, which they report.
        unsafe {
            if libc::isatty(libc::STDIN_FILENO) == 0 {
                return Self::None;
            }
            let session = libc::getsid(0);
            if libc::tcgetsid(libc::STDIN_FILENO) != session {
                Self::Unowned
            } else if session == libc::getpid() {
                Self::Owned
            } else {
                Self::Shared { foreground: libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
            }
        }
    }
}

/// The kernel sends HUP and CONT to the foreground group, which is this process's; both are discarded.
fn give_up() {
    let before = signals::pending();
    // SAFETY: a call on a descriptor that is known to be this process's terminal.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) };
    let caused = SignalSet::of(&[libc::SIGHUP, libc::SIGCONT]).without(before);
    while signals::take(caused, Some(std::time::Duration::ZERO)).is_some() {}
}
