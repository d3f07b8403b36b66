//! Manages the processes below a stub: waits until they are gone, forwards signals, ends those left over.

use std::{collections::HashSet, time::Duration};

use super::{
    descendants,
    escalation::{self, Escalation, ROUND, Stage},
    signals::{self, Info, SignalSet},
    stub_protocol::KILL_TREE,
    stub_report::{MainState, StubReport},
};
use crate::deadline::Deadline;

/// A process that exits by itself within this time after the main process is not reported as left over.
const LINGER: Duration = Duration::from_millis(50);

/// The stub's knowledge of the processes below it.
pub(super) struct DescendantTree {
    main: i32,
    parent: u32,
    grace: Duration,
    end: Option<MainState>,
    /// The first signal that was forwarded; processes that are found later receive it too.
    ending: Option<i32>,
    signalled: HashSet<i32>,
    linger: Option<Deadline>,
    escalation: Option<Escalation>,
    left_behind: usize,
    killed: bool,
}

impl DescendantTree {
    /// `parent` is the process that started the stub.
    pub(super) fn new(main: i32, grace: Duration, parent: u32) -> Self {
        Self {
            main,
            parent,
            grace,
            end: None,
            ending: None,
            signalled: HashSet::new(),
            linger: None,
            escalation: None,
            left_behind: 0,
            killed: false,
        }
    }

    /// Returns when no process is left, or none that can be killed; those are then handled by the stub's parent.
    pub(super) fn wait(mut self) -> StubReport {
        if std::os::unix::process::parent_id() != self.parent {
            // The parent died before its death signal was set.
            self.signal(parent_death_signal());
        }
        loop {
            let all_gone = self.reap();
            let stage = if all_gone { None } else { self.act() };
            let survivors = !all_gone && stage == Some(Stage::GiveUp);
            if all_gone || survivors {
                let main = self.end.unwrap_or(MainState::Signalled(libc::SIGKILL));
                return StubReport { main, left_behind: self.left_behind, killed: self.killed, survivors };
            }
            let time_left = match stage {
                Some(Stage::Grace(left)) => Some(left),
                Some(Stage::Kill | Stage::GiveUp) => Some(ROUND),
                None => None,
            };
            let awaited = SignalSet::ENDING.or(SignalSet::of(&[libc::SIGCHLD, KILL_TREE]));
            if let Some(info) = signals::take(awaited, time_left)
                && info.signal() != libc::SIGCHLD
                && self.may_send(&info)
            {
                self.signal(info.signal());
            }
        }
    }

    /// Reaps dead children; returns true when no process is left, dead or alive.
    fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to a status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                -1 => return true,
                0 => return false,
                pid if pid == self.main => {
                    self.end = Some(MainState::of(status));
                    self.linger = Some(Deadline::after(LINGER));
                }
                _ => {}
            }
        }
    }

    /// Performs the actions that are due, and returns the next stage; None if none is pending.
    fn act(&mut self) -> Option<Stage> {
        if self.linger.is_some_and(Deadline::has_passed) {
            self.linger = None;
            let below = descendants::descendants();
            self.left_behind = below.iter().filter(|pid| descendants::is_alive(**pid)).count();
            // A process that already received the signal may be cleaning up.
            let new: Vec<i32> = below.into_iter().filter(|pid| !self.signalled.contains(pid)).collect();
            self.send(&new, self.ending.unwrap_or(libc::SIGTERM));
        }
        let stage = self.escalation.as_ref().map(Escalation::stage);
        match (stage, self.linger) {
            (Some(Stage::Kill), _) => self.killed |= escalation::kill(&descendants::descendants()),
            (Some(Stage::Grace(left)), Some(linger)) => return Some(Stage::Grace(left.min(linger.left()))),
            (None, Some(linger)) => return Some(Stage::Grace(linger.left())),
            _ => {}
        }
        stage
    }

    /// KILL_TREE is accepted only from the parent: programs may send USR1 to their parent for other reasons.
    fn may_send(&self, info: &Info) -> bool {
        info.signal() != KILL_TREE || info.sender().is_none_or(|sender| sender == self.parent)
    }

    /// Forwards a signal to the whole tree and starts its grace.
    fn signal(&mut self, signal: i32) {
        if signal == KILL_TREE {
            self.grace = Duration::ZERO;
            self.escalation = Some(Escalation::with_grace(Duration::ZERO));
            return;
        }
        self.ending.get_or_insert(signal);
        self.send(&descendants::descendants(), signal);
    }

    fn send(&mut self, pids: &[i32], signal: i32) {
        escalation::send(pids, signal);
        self.signalled.extend(pids);
        self.escalation.get_or_insert_with(|| Escalation::with_grace(self.grace));
    }
}

/// The signal that announces the parent's death.
fn parent_death_signal() -> i32 {
    let mut signal = 0;
    // SAFETY: the pointer is to a signal's number.
    unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
    if signal == 0 { libc::SIGTERM } else { signal }
}
