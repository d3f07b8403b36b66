//! Handles signals that reach an init, and a main process that was stopped.

use std::time::Duration;

use super::{
    escalation::Escalation,
    launch::SessionPlacement,
    signals::{self, SignalSet},
    supervise::{Supervision, Target},
    terminal,
};
use crate::deadline::Deadline;

/// The signals by which a terminal stops a job.
const STOPS: SignalSet = SignalSet::of(&[libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU]);
/// The time that the main process has to stop before Portcullis stops; it may also catch the signal and continue.
const STOP_TIMEOUT: Duration = Duration::from_millis(100);

/// The grace that remains for descendants that outlive the main process after a signal that requests the end.
const SHORTENED_GRACE: Duration = Duration::from_secs(1);

impl Supervision<'_> {
    pub(super) fn pass_on(&mut self, arrived: i32) {
        let rewritten = self.options.rewrites.iter().find(|(from, _)| *from == arrived).map(|(_, to)| *to);
        let mut signal = rewritten.unwrap_or(arrived);
        if signal == 0 {
            return;
        }
        let stop_signal = self.inherited.stop_signal();
        let asks_to_end = SignalSet::ENDING.contains(signal) || stop_signal == Some(signal);
        if asks_to_end && !self.asked_to_end {
            self.asked_to_end = true;
            self.escalation = self.escalation.or(self.options.main_grace.map(Escalation::with_grace));
        }
        if self.end.is_some() {
            if let Some(escalation) = self.escalation.as_mut().filter(|_| asks_to_end) {
                escalation.shorten(SHORTENED_GRACE);
            }
            for pid in self.below() {
                signals::send(pid, signal);
            }
            return;
        }
        let is_stop = STOPS.contains(signal);
        if is_stop || STOPS.contains(arrived) {
            self.suspend = Some(Deadline::after(STOP_TIMEOUT));
        }
        if is_stop
            && rewritten.is_none()
            && matches!(self.place, SessionPlacement::Session | SessionPlacement::SessionWithTerminal)
        {
            // The kernel ignores a terminal stop in an orphaned session, because no shell could continue it.
            signal = libc::SIGSTOP;
        }
        if signal == libc::SIGCONT {
            self.suspend = None;
            if self.place == SessionPlacement::ForegroundGroup {
                terminal::pass_on(terminal::own_group(), self.main);
            }
        }
        let is_job_control = is_stop || signal == libc::SIGCONT;
        let group = is_job_control || self.options.target == Target::Group;
        // The group exists: `launch` returns only once the program runs.
        signals::send(if group { -self.main } else { self.main }, signal);
    }

    /// Stops together with the main process, so that the shell above takes over. The shell continues Portcullis,
    /// which continues the main process.
    pub(super) fn main_stopped(&mut self, by: i32) {
        let by_terminal = self.place == SessionPlacement::ForegroundGroup && STOPS.contains(by);
        if by_terminal && !terminal::has_job_control_above(self.inherited.is_pid_1) {
            signals::send(-self.main, libc::SIGCONT);
        } else if by_terminal || self.suspend.is_some() {
            self.suspend();
        }
    }

    /// The namespace's PID 1 cannot be stopped from inside. A STOP would only make the kernel discard a CONT that is
    /// on its way, here and if this process was continued before it could stop.
    pub(super) fn suspend(&mut self) {
        self.suspend = None;
        if !self.inherited.is_pid_1 && !signals::pending().contains(libc::SIGCONT) {
            signals::send(std::process::id().cast_signed(), libc::SIGSTOP);
        }
    }
}
