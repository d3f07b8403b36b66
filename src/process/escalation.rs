//! The way to end processes: a signal that asks, a grace, KILL again and again, and at last giving up.

use std::time::Duration;

use super::{descendants, signals};
use crate::deadline::Deadline;

/// A process that cannot be killed (another user's, or one in the kernel) is waited for no longer than this after KILL.
pub(super) const GIVE_UP: Duration = Duration::from_secs(2);
/// Between two rounds of KILL: processes may fork in between.
pub(super) const ROUND: Duration = Duration::from_millis(10);

/// When the rungs of the ladder are due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Escalation {
    kill: Deadline,
    give_up: Deadline,
}

/// What is due now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing, for as long as this.
    Grace(Duration),
    Kill,
    GiveUp,
}

impl Escalation {
    /// For processes that are asked to end now.
    pub(super) fn with_grace(grace: Duration) -> Self {
        Self { kill: Deadline::after(grace), give_up: Deadline::after(grace.saturating_add(GIVE_UP)) }
    }

    /// The same, with no more than this left of the grace.
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

/// Asks these processes to end. One that is stopped could not react, so it is continued.
pub(super) fn ask(pids: &[i32], signal: i32) {
    for pid in pids {
        let stopped = descendants::is_stopped(*pid);
        signals::send(*pid, signal);
        if stopped {
            signals::send(*pid, libc::SIGCONT);
        }
    }
}

/// Whether one of these processes was alive and could be killed. All get KILL, whatever they look like: a process
/// whose first thread has ended looks dead.
pub(super) fn kill(pids: &[i32]) -> bool {
    let killed = |pid: &&i32| {
        let alive = descendants::is_alive(**pid);
        signals::send(**pid, libc::SIGKILL) && alive
    };
    pids.iter().filter(killed).count() > 0
}
