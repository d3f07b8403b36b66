//! The terminal on standard input: whose it is, and how the main process comes to have it.

use super::{
    launch::SessionPlacement,
    signals::{self, SignalSet},
};

/// Where the main process is to stand. Gives our terminal up where the child can have it as its own.
pub(super) fn place(own_session: bool) -> SessionPlacement {
    let terminal = Terminal::of_stdin();
    match (own_session, terminal) {
        (true, Terminal::None) => SessionPlacement::Session,
        (true, Terminal::Nobodys) => SessionPlacement::SessionWithTerminal,
        (true, Terminal::Ours) => {
            give_up();
            SessionPlacement::SessionWithTerminal
        }
        // A session of its own would have no terminal, and the shell that started us keeps its hold on this one.
        (_, Terminal::Shared { foreground: true }) | (false, Terminal::Ours) => {
            SessionPlacement::ForegroundGroup
        }
        (_, Terminal::Shared { foreground: false }) | (false, Terminal::None | Terminal::Nobodys) => {
            SessionPlacement::Group
        }
    }
}

/// Whether a shell above us would continue us if we stopped.
pub(super) fn has_job_control_above(is_pid_1: bool) -> bool {
    // SAFETY: asks for ids.
    !is_pid_1 && unsafe { libc::getsid(0) != libc::getpid() }
}

/// Makes `group` the foreground group, if ours (or `from`) is now. TTOU is blocked, so we may be in the background.
pub(super) fn pass_on(from: i32, group: i32) {
    // SAFETY: calls on a descriptor that may be no terminal, which they report.
    unsafe {
        if libc::tcgetpgrp(libc::STDIN_FILENO) == from {
            libc::tcsetpgrp(libc::STDIN_FILENO, group);
        }
    }
}

pub(super) fn own_group() -> i32 {
    // SAFETY: asks for an id.
    unsafe { libc::getpgrp() }
}

enum Terminal {
    None,
    /// It controls no session, or none that we can see.
    Nobodys,
    /// We lead its session.
    Ours,
    /// We are in its session; somebody else leads.
    Shared {
        foreground: bool,
    },
}

impl Terminal {
    fn of_stdin() -> Self {
        // SAFETY: calls on a descriptor that may be no terminal, which they report.
        unsafe {
            if libc::isatty(libc::STDIN_FILENO) == 0 {
                return Self::None;
            }
            let session = libc::getsid(0);
            if libc::tcgetsid(libc::STDIN_FILENO) != session {
                Self::Nobodys
            } else if session == libc::getpid() {
                Self::Ours
            } else {
                Self::Shared { foreground: libc::tcgetpgrp(libc::STDIN_FILENO) == libc::getpgrp() }
            }
        }
    }
}

/// The kernel tells the foreground group, which is ours, HUP and CONT; they are not meant for anybody.
fn give_up() {
    let before = signals::pending();
    // SAFETY: a call on a descriptor that was found to be our terminal.
    unsafe { libc::ioctl(libc::STDIN_FILENO, libc::TIOCNOTTY) };
    let caused = SignalSet::of(&[libc::SIGHUP, libc::SIGCONT]).without(before);
    while signals::take(caused, Some(std::time::Duration::ZERO)).is_some() {}
}
