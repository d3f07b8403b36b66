//! Staying as init: every signal is passed on, everybody below is reaped, and the main process's code is ours.
//!
//! A plain loop around one system call that waits for a signal, so that an idle process never wakes up.

use std::time::Duration;

use super::{
    arguments::c_strings,
    clock::{Deadline, GIVE_UP},
    descendants,
    handover::not_executed,
    holdings,
    inherited::Inherited,
    launch::{Launch, Place, launch},
    record::Outcome,
    signals::{self, SignalSet},
    terminal,
};
use crate::failure::Failure;

/// The last part of the grace, in which descendants that were waited for in vain have had TERM.
const LAST_CALL: Duration = Duration::from_secs(1);
/// Between two rounds of KILL.
const KILL_ROUND: Duration = Duration::from_millis(10);

/// How to stay as init.
pub(crate) struct SuperviseOptions {
    /// A signal that arrives, and what is passed on for it; 0 for nothing.
    pub(crate) rewrites: Vec<(i32, i32)>,
    pub(crate) target: Target,
    /// A session of its own for the main process, with the terminal; or a process group only.
    pub(crate) own_session: bool,
    /// Sent to us, and so passed on, when our parent dies.
    pub(crate) parent_death: Option<i32>,
    /// Exit codes of the main process that become 0.
    pub(crate) remap: Vec<u8>,
    /// How long descendants may outlive the main process.
    pub(crate) grace: Duration,
    /// Between a signal that asks the main process to end and KILL; None leaves it all the time it takes.
    pub(crate) main_grace: Option<Duration>,
}

/// Who gets a signal that is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Main,
    /// The main process's process group.
    Group,
}

/// `mode = "supervise"` and `portcullis init`. Returns the main process's exit code, 128+n if a signal ended it.
pub(crate) fn supervise(
    inherited: &Inherited,
    options: &SuperviseOptions,
    argv: &[String],
) -> Result<u8, Failure> {
    let Some(program) = argv.first() else {
        return Err(Failure::Internal { what: "there is nothing to supervise".into() });
    };
    let unexecuted = |source| not_executed(program, source);
    let words = c_strings(argv).map_err(unexecuted)?;
    signals::swap_mask(SignalSet::ALL);
    if let Some(signal) = options.parent_death {
        // SAFETY: an attribute of this process alone.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    }
    let background = if descendants::have_children() { descendants::children() } else { Vec::new() };
    let place = terminal::place(options.own_session);
    let launched = launch(&Launch {
        argv: &words,
        stub: None,
        cwd: None,
        place,
        mask: inherited.blocked,
        ignored: inherited.ignored,
        closed: &inherited.closed,
        takes_sockets: true,
    });
    let main = launched
        .map_err(|error| Failure::Internal { what: format!("cannot start a process: {error}") })?
        .map_err(|not| unexecuted(not.source))?;

    holdings::let_go();

    let mut supervision = Supervision {
        inherited,
        options,
        main,
        place,
        background,
        outcome: None,
        asked_to_end: false,
        stop_expected: false,
        last_call: None,
        kill: None,
        give_up: None,
    };
    for info in &inherited.pending {
        supervision.pass_on(info.signal());
    }
    let outcome = supervision.wait();
    if place == Place::ForegroundGroup {
        terminal::pass_on(main, terminal::own_group());
    }
    let code = match outcome {
        Outcome::Exited(code) => u8::try_from(code).unwrap_or(u8::MAX),
        Outcome::Signalled(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        Outcome::Started | Outcome::NoProgram(_) | Outcome::NoDirectory(_) => u8::MAX,
    };
    Ok(if options.remap.contains(&code) { 0 } else { code })
}

/// The state of the one loop.
pub(super) struct Supervision<'a> {
    pub(super) inherited: &'a Inherited,
    pub(super) options: &'a SuperviseOptions,
    pub(super) main: i32,
    pub(super) place: Place,
    /// Children from before the main process: they end with it.
    background: Vec<i32>,
    pub(super) outcome: Option<Outcome>,
    pub(super) asked_to_end: bool,
    /// We passed a stop on, and stop ourselves once the main process has.
    pub(super) stop_expected: bool,
    last_call: Option<Deadline>,
    pub(super) kill: Option<Deadline>,
    give_up: Option<Deadline>,
}

impl Supervision<'_> {
    /// Returns when the main process and everybody below us are gone.
    fn wait(&mut self) -> Outcome {
        loop {
            let anybody_left = self.reap();
            if let Some(outcome) = self.outcome
                && (!anybody_left
                    || self.give_up.as_ref().is_some_and(Deadline::is_over)
                    || self.own_children().is_empty())
            {
                return outcome;
            }
            let patience = self.act();
            if let Some(info) = signals::take(SignalSet::ALL, patience)
                && (info.signal() != libc::SIGCHLD || info.was_sent())
            {
                self.pass_on(info.signal());
            }
        }
    }

    /// Collects the dead; false when nobody is left, neither dead nor alive.
    fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to a status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
            match pid {
                -1 => return false,
                0 => return true,
                pid if pid != self.main => {}
                _ if libc::WIFSTOPPED(status) => self.main_stopped(libc::WSTOPSIG(status)),
                _ => self.main_ended(Outcome::of(status)),
            }
        }
    }

    fn main_ended(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
        let grace = self.options.grace;
        self.kill = Some(Deadline::after(grace));
        self.give_up = Some(Deadline::after(grace + GIVE_UP));
        if self.asked_to_end {
            tell(&self.below(), libc::SIGTERM);
        } else {
            let background: Vec<i32> =
                self.own_children().into_iter().filter(|pid| self.background.contains(pid)).collect();
            tell(&background, libc::SIGTERM);
            self.last_call = Some(Deadline::after(grace.saturating_sub(LAST_CALL.min(grace / 4))));
        }
    }

    /// Does what is due, and says how long nothing else will be.
    fn act(&mut self) -> Option<Duration> {
        let kill = self.kill?;
        if kill.is_over() {
            for pid in self.below() {
                signals::send(pid, libc::SIGKILL);
            }
            return Some(KILL_ROUND);
        }
        let Some(last_call) = self.last_call else {
            return Some(kill.left());
        };
        if last_call.is_over() {
            self.last_call = None;
            tell(&self.below(), libc::SIGTERM);
            return Some(kill.left());
        }
        Some(last_call.left())
    }

    pub(super) fn below(&self) -> Vec<i32> {
        descendants::below(self.own_children())
    }

    /// Without those that were there before us.
    fn own_children(&self) -> Vec<i32> {
        // Most programs leave nobody, and asking the kernel is quicker than reading /proc.
        if !descendants::have_children() {
            return Vec::new();
        }
        let mut children = descendants::children();
        children.retain(|pid| !self.inherited.children.contains(pid));
        children
    }
}

fn tell(pids: &[i32], signal: i32) {
    for pid in pids {
        signals::send(*pid, signal);
        // A stopped process would sleep through it.
        signals::send(*pid, libc::SIGCONT);
    }
}
