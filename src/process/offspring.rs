//! Everybody below a stub: waits until they are gone, passes signals on, ends who is left over.

use std::{collections::HashSet, time::Duration};

use super::{
    clock::{Deadline, GIVE_UP},
    descendants,
    order::KILL_TREE,
    record::{Outcome, Record},
    signals::{self, SignalSet},
};

/// What ends by itself within this time after the main process is not called left over.
const LINGER: Duration = Duration::from_millis(50);
/// Between two rounds of KILL: members may fork in between.
const KILL_ROUND: Duration = Duration::from_millis(5);
/// What the stub knows about the processes below it.
pub(super) struct Offspring {
    main: i32,
    grace: Duration,
    outcome: Option<Outcome>,
    /// The first signal that was passed on, for those who come to notice later.
    ending: Option<i32>,
    told: HashSet<i32>,
    linger: Option<Deadline>,
    kill: Option<Deadline>,
    give_up: Option<Deadline>,
    leftovers: usize,
    killed: bool,
}

impl Offspring {
    pub(super) fn new(main: i32, grace: Duration) -> Self {
        Self {
            main,
            grace,
            outcome: None,
            ending: None,
            told: HashSet::new(),
            linger: None,
            kill: None,
            give_up: None,
            leftovers: 0,
            killed: false,
        }
    }

    /// Returns when nobody is left, or nobody who can be killed: those are then our parent's to judge.
    pub(super) fn wait(mut self, parent: u32) -> Record {
        if std::os::unix::process::parent_id() != parent {
            // It ended before its death could be announced to us.
            self.tell(announced_by());
        }
        loop {
            if self.reap() || self.give_up.as_ref().is_some_and(Deadline::is_over) {
                let outcome = self.outcome.unwrap_or(Outcome::Signalled(libc::SIGKILL));
                return Record { outcome, leftovers: self.leftovers, killed: self.killed };
            }
            let patience = self.act();
            let awaited = SignalSet::ENDING.or(SignalSet::of(&[libc::SIGCHLD, KILL_TREE]));
            if let Some(info) = signals::take(awaited, patience)
                && info.signal() != libc::SIGCHLD
            {
                self.tell(info.signal());
            }
        }
    }

    /// Collects the dead; true when nobody is left, neither dead nor alive.
    fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to a status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            match pid {
                -1 => return true,
                0 => return false,
                pid if pid == self.main => {
                    self.outcome = Some(Outcome::of(status));
                    self.linger = Some(Deadline::after(LINGER));
                }
                _ => {}
            }
        }
    }

    /// Does what is due, and says how long nothing else will be.
    fn act(&mut self) -> Option<Duration> {
        if self.outcome.is_some() && self.linger.as_ref().is_some_and(Deadline::is_over) {
            self.linger = None;
            let below = descendants::descendants();
            self.leftovers = below.iter().filter(|pid| descendants::is_running(**pid)).count();
            // Who was told already may be cleaning up; who was not is told now.
            self.tell_these(&below, self.ending.unwrap_or(libc::SIGTERM), true);
        }
        let Some(kill) = &self.kill else {
            return self.linger.as_ref().map(Deadline::left);
        };
        if !kill.is_over() {
            return Some(self.linger.as_ref().map_or(kill.left(), |linger| linger.left().min(kill.left())));
        }
        for pid in descendants::descendants() {
            self.killed |= descendants::is_running(pid) && signals::send(pid, libc::SIGKILL);
        }
        Some(KILL_ROUND)
    }

    /// Passes a signal on to the whole tree and starts its grace.
    fn tell(&mut self, signal: i32) {
        if signal == KILL_TREE {
            self.grace = Duration::ZERO;
            self.kill = Some(Deadline::after(Duration::ZERO));
            self.give_up = Some(Deadline::after(GIVE_UP));
            return;
        }
        self.ending.get_or_insert(signal);
        self.tell_these(&descendants::descendants(), signal, false);
    }

    fn tell_these(&mut self, pids: &[i32], signal: i32, only_new: bool) {
        for pid in pids {
            if self.told.insert(*pid) || !only_new {
                signals::send(*pid, signal);
                // A stopped process would sleep through it.
                signals::send(*pid, libc::SIGCONT);
            }
        }
        self.kill.get_or_insert_with(|| Deadline::after(self.grace));
        self.give_up.get_or_insert_with(|| Deadline::after(self.grace + GIVE_UP));
    }
}

/// The signal by which our parent's death is announced.
fn announced_by() -> i32 {
    let mut signal = 0;
    // SAFETY: the pointer is to a signal's number.
    unsafe { libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal) };
    if signal == 0 { libc::SIGTERM } else { signal }
}
