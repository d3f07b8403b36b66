//! The stub of a step: a subreaper below which the step's whole tree runs, so that ECHILD proves it gone.
//!
//! Given `__step GRACE_MS STATUS_FD PARENT CWD -- ARGV` with every signal blocked, it starts ARGV, passes TERM,
//! INT, QUIT and HUP on to everything below, kills what is left after the grace, and writes one [`StubReport`]. With
//! `__stay` in place of `__step`, it writes one more as soon as ARGV runs, which may stay beside the server.

use std::{
    ffi::{CString, OsStr, OsString},
    io::{self, Write},
    os::{fd::FromRawFd, unix::ffi::OsStrExt},
    time::Duration,
};

use super::{
    arguments::c_strings,
    descendant_tree::DescendantTree,
    dispositions, inherited,
    launch::{Launch, SessionPlacement, launch},
    signals::{self, SignalSet},
    stub_protocol::{STAY, STEP},
    stub_report::{MainState, StubReport},
};

/// The stub's own failure; the report says the rest, and without one nothing counts as the program's code.
const STUB_FAILED: u8 = 70;

/// If argv says this process is the stub of a step, run it and return its exit code. Called by main before
/// anything else is parsed.
pub(crate) fn stub_main(args: &[OsString]) -> Option<u8> {
    let word = args.get(1)?;
    if word != STEP && word != STAY {
        return None;
    }
    let Some(step) = Step::of(&args[2..]) else {
        return Some(STUB_FAILED);
    };
    Some(run(step, word == STAY).map_or(STUB_FAILED, |()| 0))
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

fn run(mut step: Step, stays: bool) -> io::Result<()> {
    signals::swap_mask(SignalSet::ALL);
    // What arrived before our first instruction is for us, as all that comes later: a TERM would be lost.
    dispositions::pending().iter().for_each(signals::Info::put_back);
    // Where that is refused, what leaves the tree is ended by our parent, at the end of the start-up.
    let _ = inherited::set_subreaper(true);
    let launched = launch(&Launch {
        argv: &step.argv,
        stub: None,
        cwd: step.cwd.as_deref(),
        place: SessionPlacement::Group,
        mask: SignalSet::NONE,
        ignored: SignalSet::NONE,
        closed: &[],
        variables: &[],
        takes_sockets: false,
    });
    let_go_of_output();
    let errno = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let report = match launched {
        Ok(Ok(main)) => {
            if stays {
                step.status.write_all(&StubReport::of(MainState::Started).to_bytes())?;
            }
            DescendantTree::new(main, step.grace, step.parent).wait()
        }
        Ok(Err(not)) if not.at_exec => StubReport::of(MainState::NoProgram(errno(&not.source))),
        Ok(Err(not)) => StubReport::of(MainState::NoDirectory(errno(&not.source))),
        Err(error) => StubReport::of(MainState::NoProcess(errno(&error))),
    };
    let written = step.status.write_all(&report.to_bytes());
    // After the handover to supervise nobody reads how a program that stayed has ended.
    if stays { Ok(()) } else { written }
}

/// The streams end when the step's own processes have closed them.
fn let_go_of_output() {
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: replaces our own copy by /dev/null, which the reaper gave us as standard input.
        unsafe { libc::dup2(libc::STDIN_FILENO, stream) };
    }
}
