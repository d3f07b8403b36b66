//! Stays as init: forwards every signal, reaps every descendant, and returns the main process's exit code. It is a
//! plain loop around one system call that waits for a signal, so that an idle process never wakes up.

use std::time::Duration;

use super::{
    arguments::c_strings,
    descendants,
    escalation::{self, Escalation, ROUND, Stage},
    handover::{consume_pending, not_executed},
    inherited::Inherited,
    inherited_fds,
    launch::{Launch, SessionPlacement, launch},
    privileges::Privileges,
    signals::{self, SignalSet},
    stub_report::MainState,
    terminal,
};
use crate::{deadline::Deadline, failure::Failure};

/// The last part of the grace: descendants that are still running receive TERM.
const LAST_CALL: Duration = Duration::from_secs(1);
/// The minimum time of descendants after TERM, even without a grace.
const SHORTEST_GRACE: Duration = Duration::from_millis(50);
/// The default grace of the descendants of a crashed program.
pub(crate) const CRASH_GRACE: Duration = Duration::from_secs(1);

/// The options of an init.
pub(crate) struct SuperviseOptions {
    /// The signal to forward for a signal that arrives; 0 discards it.
    pub(crate) rewrites: Vec<(i32, i32)>,
    pub(crate) target: Target,
    /// Gives the main process a new session with the terminal, instead of only a new process group.
    pub(crate) own_session: bool,
    /// The signal that this process receives and forwards when its parent dies.
    pub(crate) parent_death: Option<i32>,
    /// Exit codes of the main process that become 0.
    pub(crate) remap: Vec<u8>,
    /// How long descendants may outlive a main process that exited normally.
    pub(crate) grace: Duration,
    /// The same for a main process that failed or was killed without a forwarded signal.
    pub(crate) crash_grace: Duration,
    /// The time between a signal that requests the end of the main process and KILL; None sets no limit.
    pub(crate) main_grace: Option<Duration>,
    /// Start-up steps ran before: signals that arrived during them are not forwarded.
    pub(crate) after_steps: bool,
    /// Added to the main process's environment.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) privileges: Privileges,
}

/// The receiver of a forwarded signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Main,
    /// The main process's process group.
    Group,
}

/// Runs `mode = "supervise"` and `portcullis init`. Returns the main process's exit code, 128+n if a signal ended it.
pub(crate) fn supervise(
    inherited: &Inherited,
    options: &SuperviseOptions,
    argv: &[String],
) -> Result<u8, Failure> {
    let Some(program) = argv.first() else {
        return Err(Failure::Internal { what: "no program to supervise was given".into() });
    };
    let unexecuted = |source| not_executed(program, source);
    let words = c_strings(argv).map_err(unexecuted)?;
    signals::swap_mask(SignalSet::ALL);
    if options.after_steps {
        consume_pending(inherited)?;
    }
    if let Some(signal) = options.parent_death {
        // SAFETY: sets an attribute of this process only.
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
        exports: None,
        variables: &options.variables,
        privileges: &options.privileges,
        takes_sockets: true,
    });
    let main = launched
        .map_err(|error| Failure::not_started("a process", &error))?
        .map_err(|not| unexecuted(not.source))?;

    inherited_fds::close_inherited(!options.after_steps);

    let mut supervision = Supervision {
        inherited,
        options,
        main,
        place,
        background,
        end: None,
        asked_to_end: false,
        suspend: None,
        last_call: None,
        escalation: None,
    };
    for info in &inherited.pending {
        supervision.pass_on(info.signal());
    }
    let end = supervision.wait();
    if place == SessionPlacement::ForegroundGroup {
        terminal::pass_on(main, terminal::own_group());
    }
    Ok(options.code(end))
}

impl SuperviseOptions {
    /// The exit code for the main process's end.
    fn code(&self, end: MainState) -> u8 {
        let code = match end {
            MainState::Exited(code) => code,
            MainState::Signalled(signal) => 128 + signal,
            _ => i32::from(u8::MAX),
        };
        let code = u8::try_from(code).unwrap_or(u8::MAX);
        if self.remap.contains(&code) { 0 } else { code }
    }
}

/// The state of the loop.
pub(super) struct Supervision<'a> {
    pub(super) inherited: &'a Inherited,
    pub(super) options: &'a SuperviseOptions,
    pub(super) main: i32,
    pub(super) place: SessionPlacement,
    /// Children from before the main process; they end with it.
    background: Vec<i32>,
    pub(super) end: Option<MainState>,
    pub(super) asked_to_end: bool,
    /// A stop was forwarded: this process stops together with the main process, or at this time if that does not
    /// stop.
    pub(super) suspend: Option<Deadline>,
    /// When descendants in their grace receive TERM.
    last_call: Option<Deadline>,
    pub(super) escalation: Option<Escalation>,
}

impl Supervision<'_> {
    /// Returns when the main process and all descendants are gone.
    fn wait(&mut self) -> MainState {
        loop {
            let any_left = self.reap();
            let stage = self.escalation.as_ref().map(Escalation::stage);
            if let Some(end) = self.end
                && (!any_left || stage == Some(Stage::GiveUp) || self.own_children().is_empty())
            {
                return end;
            }
            let time_left = self.act(stage);
            if let Some(info) = signals::take(SignalSet::ALL, time_left)
                && (info.signal() != libc::SIGCHLD || info.was_sent())
            {
                self.pass_on(info.signal());
            }
        }
    }

    /// Reaps dead children; returns false when no process is left, dead or alive.
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
                _ => self.main_ended(MainState::of(status)),
            }
        }
    }

    /// After a shutdown or a crash, descendants are ended immediately; otherwise they may finish.
    fn main_ended(&mut self, end: MainState) {
        self.end = Some(end);
        self.suspend = None;
        let crashed = self.options.code(end) != 0;
        if self.asked_to_end || crashed {
            let grace = if self.asked_to_end { self.options.grace } else { self.options.crash_grace };
            self.escalation = Some(Escalation::with_grace(grace.max(SHORTEST_GRACE)));
            escalation::send(&self.below(), libc::SIGTERM);
        } else {
            let background: Vec<i32> =
                self.own_children().into_iter().filter(|pid| self.background.contains(pid)).collect();
            let grace = self.options.grace;
            self.escalation = Some(Escalation::with_grace(grace.max(SHORTEST_GRACE)));
            self.last_call = Some(Deadline::after(grace.saturating_sub(LAST_CALL.min(grace / 4))));
            escalation::send(&background, libc::SIGTERM);
        }
    }

    /// Performs the actions that are due, and returns the time until the next one.
    fn act(&mut self, stage: Option<Stage>) -> Option<Duration> {
        if self.suspend.is_some_and(Deadline::has_passed) {
            self.suspend();
        }
        if self.last_call.is_some_and(Deadline::has_passed) {
            self.last_call = None;
            escalation::send(&self.below(), libc::SIGTERM);
        }
        let kill = stage.map(|stage| match stage {
            Stage::Grace(left) => left,
            Stage::Kill | Stage::GiveUp => {
                escalation::kill(&self.below());
                ROUND
            }
        });
        let timers = [self.suspend, self.last_call].map(|timer| timer.map(Deadline::left));
        timers.into_iter().chain([kill]).flatten().min()
    }

    pub(super) fn below(&self) -> Vec<i32> {
        descendants::below(self.own_children())
    }

    /// The children, except for those from before this process's program.
    fn own_children(&self) -> Vec<i32> {
        // Most programs leave none, and this query is faster than reading /proc.
        if !descendants::have_children() {
            return Vec::new();
        }
        let mut children = descendants::children();
        children.retain(|pid| !self.inherited.children.contains(pid));
        children
    }
}
