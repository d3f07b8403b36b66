//! The stub of a step: a subreaper below which the step's whole tree runs, so that ECHILD proves it gone.
//!
//! Given `__step GRACE_MS STATUS_FD PARENT CWD -- ARGV` with every signal blocked, it starts ARGV, passes TERM,
//! INT, QUIT and HUP on to everybody below, kills what is left after the grace, and writes one [`Record`].

use std::{
    collections::HashSet,
    ffi::{CString, OsStr, OsString},
    io::{self, Write},
    os::{fd::FromRawFd, unix::ffi::OsStrExt},
    time::Duration,
};

use super::{
    clock::Deadline,
    descendants, inherited,
    launch::{Launch, Place, c_strings, launch},
    record::{Outcome, Record},
    signals::{self, SignalSet},
};

/// The first argument of a stub.
pub(super) const WORD: &str = "__step";
/// What ends by itself within this time after the main process is not called left over.
const LINGER: Duration = Duration::from_millis(50);
/// Between two rounds of KILL: members may fork in between.
const KILL_ROUND: Duration = Duration::from_millis(5);
/// The stub's own troubles; the record says the rest.
const TROUBLE: u8 = 70;

/// If argv says this process is the stub of a step, run it and return its exit code. Called by main before
/// anything else is parsed.
pub(crate) fn stub_main(args: &[OsString]) -> Option<u8> {
    if args.get(1)? != WORD {
        return None;
    }
    let Some(step) = Step::of(&args[2..]) else {
        return Some(TROUBLE);
    };
    Some(run(step).map_or(TROUBLE, |()| 0))
}

struct Step {
    grace: Duration,
    status: std::fs::File,
    parent: u32,
    cwd: Option<CString>,
    argv: Vec<CString>,
}

impl Step {
    fn of(args: &[OsString]) -> Option<Self> {
        let [grace, status, parent, cwd, separator, command @ ..] = args else {
            return None;
        };
        if separator != "--" || command.is_empty() {
            return None;
        }
        let status = number(status)?;
        // SAFETY: asks for a flag and sets one: the step's own processes must not hold the descriptor.
        if unsafe { libc::fcntl(status, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
            return None;
        }
        Some(Self {
            grace: Duration::from_millis(number(grace)?),
            // SAFETY: the reaper opened it for us, and nobody else here knows its number.
            status: unsafe { std::fs::File::from_raw_fd(status) },
            parent: number(parent)?,
            cwd: if cwd.is_empty() { None } else { Some(CString::new(cwd.as_bytes()).ok()?) },
            argv: c_strings(command).ok()?,
        })
    }
}

fn number<N: std::str::FromStr>(word: &OsStr) -> Option<N> {
    word.to_str()?.parse().ok()
}

fn run(mut step: Step) -> io::Result<()> {
    signals::swap_mask(SignalSet::ALL.without(SignalSet::FAULTS));
    inherited::set_subreaper(true)?;
    let launched = launch(&Launch {
        argv: &step.argv,
        stub: None,
        cwd: step.cwd.as_deref(),
        place: Place::Group,
        mask: SignalSet::NONE,
        ignored: SignalSet::NONE,
        closed: &[],
        takes_sockets: false,
    })?;
    let_go_of_output();
    let record = match launched {
        Ok(main) => Tree::new(main, step.grace).wait(step.parent),
        Err(not) => Record::not_started(not.at_exec, &not.source),
    };
    step.status.write_all(&record.to_bytes())
}

/// The streams end when the step's own processes have closed them.
fn let_go_of_output() {
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: replaces our own copy by /dev/null, which the reaper gave us as standard input.
        unsafe { libc::dup2(libc::STDIN_FILENO, stream) };
    }
}

/// What the stub knows about the processes below it.
struct Tree {
    main: i32,
    grace: Duration,
    outcome: Option<Outcome>,
    /// The first signal that was passed on, for those who come to notice later.
    ending: Option<i32>,
    told: HashSet<i32>,
    linger: Option<Deadline>,
    kill: Option<Deadline>,
    leftovers: usize,
    killed: bool,
}

impl Tree {
    fn new(main: i32, grace: Duration) -> Self {
        Self {
            main,
            grace,
            outcome: None,
            ending: None,
            told: HashSet::new(),
            linger: None,
            kill: None,
            leftovers: 0,
            killed: false,
        }
    }

    /// Returns when nobody is left.
    fn wait(mut self, parent: u32) -> Record {
        if std::os::unix::process::parent_id() != parent {
            // It ended before its death could be announced to us.
            self.tell(libc::SIGTERM);
        }
        loop {
            if self.reap() {
                let outcome = self.outcome.unwrap_or(Outcome::Signalled(libc::SIGKILL));
                return Record { outcome, leftovers: self.leftovers, killed: self.killed };
            }
            let patience = self.act();
            let awaited = SignalSet::ENDING.or(SignalSet::of(&[libc::SIGCHLD]));
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
    }
}
