//! Starts the stub of a step: this program again, with the step's argv and environment.

use std::{
    ffi::{CStr, OsString},
    fs::OpenOptions,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use super::{
    arguments::c_strings,
    environment::with,
    exit_reason::error_words,
    launch::{Launch, SessionPlacement, Stub, launch},
    signals::SignalSet,
    stub_protocol::{KILL_TREE, STAY, STEP},
};

/// What to run as a step.
pub(crate) struct Child {
    pub(crate) argv: Vec<String>,
    /// Added to our own environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<PathBuf>,
    /// Between TERM and KILL.
    pub(crate) grace: Duration,
}

/// Where a step's output goes.
#[derive(Clone, Copy)]
pub(super) enum Output<'a> {
    Pipes {
        /// Nothing to read if absent.
        input: Option<&'a OwnedFd>,
        out: &'a OwnedFd,
        err: &'a OwnedFd,
    },
    /// To our own streams, for as long as it stays.
    Ours,
}

/// What a stub does when we end.
#[derive(Clone, Copy)]
pub(super) enum ParentDeath {
    /// TERM to its tree, grace, KILL.
    Term,
    /// KILL to its tree, at once.
    Kill,
}

/// Returns the stub's id. `status` is for the stub's report. An error says which thing was missing.
pub(super) fn start_stub(
    child: &Child,
    output: Output<'_>,
    status: &OwnedFd,
    death: ParentDeath,
) -> io::Result<i32> {
    #[expect(clippy::disallowed_methods, reason = "/dev/null never blocks")]
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null");
    let nothing = OwnedFd::from(nothing.map_err(|error| named("cannot open /dev/null", &error))?);
    let (word, input, out, err) = match output {
        Output::Pipes { input, out, err } => (STEP, input, out.as_raw_fd(), err.as_raw_fd()),
        Output::Ours => (STAY, None, libc::STDOUT_FILENO, libc::STDERR_FILENO),
    };
    let cwd = child.cwd.clone().map(PathBuf::into_os_string).unwrap_or_default();
    let mut argv: Vec<OsString> = vec![
        "portcullis".into(),
        word.into(),
        child.grace.as_millis().to_string().into(),
        status.as_raw_fd().to_string().into(),
        std::process::id().to_string().into(),
        cwd,
        "--".into(),
    ];
    argv.extend(child.argv.iter().map(OsString::from));
    let stub = Stub {
        programs: &[c"/proc/self/exe", recorded_program()],
        environment: &with(&child.env)?,
        stdio: [input.unwrap_or(&nothing).as_raw_fd(), out, err],
        kept: status.as_raw_fd(),
        parent_death: match death {
            ParentDeath::Term => libc::SIGTERM,
            ParentDeath::Kill => KILL_TREE,
        },
    };
    let launched = launch(&Launch {
        argv: &c_strings(argv)?,
        stub: Some(&stub),
        cwd: None,
        // Without a terminal, nothing in the tree can be stopped by one, or wait for an answer from it.
        place: SessionPlacement::Session,
        mask: SignalSet::ALL,
        ignored: SignalSet::NONE,
        closed: &[],
        variables: &[],
        takes_sockets: false,
    });
    let launched = launched.map_err(|error| named("cannot fork", &error))?;
    launched.map_err(|not| named("cannot execute portcullis itself", &not.source))
}

/// An error that names what it is about: the program is not to blame.
pub(super) fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {}", error_words(error)))
}

/// The path by which the kernel started us, for where /proc is missing.
fn recorded_program() -> &'static CStr {
    // SAFETY: the kernel's own record, which lives as long as the process; 0 where there is none.
    unsafe {
        let path = libc::getauxval(libc::AT_EXECFN);
        if path == 0 { c"" } else { CStr::from_ptr(path as *const libc::c_char) }
    }
}
