//! Runs the stub of a step: a subreaper above the step's whole tree, so that ECHILD proves the tree gone. With the
//! arguments `__step GRACE_MS STATUS_FD PARENT CWD PRIVILEGES EXPORTS_FD -- ARGV` and every signal blocked, it starts ARGV, forwards TERM,
//! INT, QUIT and HUP to all descendants, kills those left after the grace, and writes one [`StubReport`]. With
//! `__stay` instead of `__step`, it also writes a report as soon as ARGV runs; ARGV may then keep running next to the
//! server.

use std::{
    ffi::{CString, OsStr, OsString},
    io::{self, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    time::Duration,
};

use super::{
    arguments::c_strings,
    descendant_tree::DescendantTree,
    dispositions, inherited,
    launch::{Launch, SessionPlacement, Stage, launch},
    privileges::Privileges,
    signals::{self, SignalSet},
    stub_protocol::{STAY, STEP},
    stub_report::{MainState, StubReport},
};

/// The exit code of a failed stub. Only a report counts as the program's result, never this code.
const STUB_FAILED: u8 = 70;

/// Runs the stub and returns its exit code, if argv starts one. Called by main before anything else is parsed.
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
    privileges: Privileges,
    /// A pipe that becomes descriptor 3 of the program.
    exports: Option<OwnedFd>,
    argv: Vec<CString>,
}

impl Step {
    fn of(args: &[OsString]) -> Option<Self> {
        let [grace, status, parent, cwd, privileges, exports, separator, command @ ..] = args else {
            return None;
        };
        if separator != "--" || command.is_empty() {
            return None;
        }
        let status = descriptor(status)?;
        Some(Self {
            grace: Duration::from_millis(number(grace)?),
            status: status.into(),
            exports: if exports.is_empty() { None } else { Some(descriptor(exports)?) },
            parent: number(parent)?,
            cwd: if cwd.is_empty() { None } else { Some(CString::new(cwd.as_bytes()).ok()?) },
            privileges: Privileges::decoded(privileges.to_str()?)?,
            argv: c_strings(command).ok()?,
        })
    }
}

/// A descriptor that the reaper opened for this process. The step's own processes do not inherit it.
fn descriptor(word: &OsStr) -> Option<OwnedFd> {
    let descriptor = number(word)?;
    // SAFETY: sets a flag.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return None;
    }
    // SAFETY: it is open, and no other code here uses its number.
    Some(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn number<N: std::str::FromStr>(word: &OsStr) -> Option<N> {
    word.to_str()?.parse().ok()
}

fn run(mut step: Step, stays: bool) -> io::Result<()> {
    signals::swap_mask(SignalSet::ALL);
    // Signals that arrived before this process's first instruction belong to it: otherwise a TERM would be lost.
    dispositions::pending().iter().for_each(signals::Info::put_back);
    // If this is refused, processes that leave the tree are ended by the parent at the end of the start-up.
    let _ = inherited::set_subreaper(true);
    let launched = launch(&Launch {
        argv: &step.argv,
        stub: None,
        cwd: step.cwd.as_deref(),
        place: SessionPlacement::Group,
        mask: SignalSet::NONE,
        ignored: SignalSet::NONE,
        closed: &[],
        exports: step.exports.as_ref().map(AsRawFd::as_raw_fd),
        variables: &[],
        privileges: &step.privileges,
        takes_sockets: false,
    });
    release_output();
    drop(step.exports.take());
    let errno = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let report = match launched {
        Ok(Ok(main)) => {
            if stays {
                step.status.write_all(&StubReport::of(MainState::Started).to_bytes())?;
            }
            DescendantTree::new(main, step.grace, step.parent).wait()
        }
        Ok(Err(not)) => StubReport::of(match not.at {
            Stage::Exec => MainState::NoProgram(errno(&not.source)),
            Stage::Directory => MainState::NoDirectory(errno(&not.source)),
            Stage::Streams | Stage::Privileges => MainState::NoProcess(errno(&not.source)),
        }),
        Err(error) => StubReport::of(MainState::NoProcess(errno(&error))),
    };
    let written = step.status.write_all(&report.to_bytes());
    // After the handover in supervise mode, no process reads the end of a background program.
    if stays { Ok(()) } else { written }
}

/// Closes this process's copies, so that the streams end with the step's own processes.
fn release_output() {
    for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: replaces this process's copy by /dev/null, which the reaper passed as standard input.
        unsafe { libc::dup2(libc::STDIN_FILENO, stream) };
    }
}
