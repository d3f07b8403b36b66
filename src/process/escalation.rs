//! Ends processes in stages: a signal, a grace, repeated KILL, and finally giving up.

use std::time::Duration;

use super::{descendants, signals};
use crate::deadline::Deadline;

/// The longest wait after KILL for a process that cannot be killed (another user's, or one blocked in the kernel).
pub(super) const GIVE_UP: Duration = Duration::from_secs(2);
/// The interval between two rounds of KILL, because processes may fork in between.
pub(super) const ROUND: Duration = Duration::from_millis(10);

/// The times at which the stages start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escalation {
    kill: Deadline,
    give_up: Deadline,
}

/// The current stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The grace, with its remaining time.
    Grace(Duration),
    Kill,
    GiveUp,
}

impl Escalation {
    /// The stages for processes that receive the signal now.
    pub(super) fn with_grace(grace: Duration) -> Self {
        Self { kill: Deadline::after(grace), give_up: Deadline::after(grace.saturating_add(GIVE_UP)) }
    }

    /// Shortens the remaining grace to at most this.
    pub(super) fn shorten(&mut self, grace: Duration) {
        let shorter = Self::with_grace(grace);
        *self = Self { kill: self.kill.min(shorter.kill), give_up: self.give_up.min(shorter.give_up) };
    }

    pub(super) fn stage(&self) -> Stage {
        if self.give_up.has_passed() {
            return Stage::GiveUp;
        }
        match self.kill.left() {
            Duration::ZERO => Stage::Kill,
            left => Stage::Grace(left),
        }
    }
}

/// Sends the signal to these processes. A stopped process is continued, so that it can handle the signal.
pub(super) fn send(pids: &[i32], signal: i32) {
    for pid in pids {
        let stopped = descendants::is_stopped(*pid);
        signals::send(*pid, signal);
        if stopped {
            signals::send(*pid, libc::SIGCONT);
        }
    }
}

/// Kills all of these processes, even those that look dead: a process whose first thread has ended does. Returns
/// whether any was alive and could be killed.
pub(super) fn kill(pids: &[i32]) -> bool {
    let killed = |pid: &&i32| {
        let alive = descendants::is_alive(**pid);
        signals::send(**pid, libc::SIGKILL) && alive
    };
    pids.iter().filter(killed).count() > 0
}
