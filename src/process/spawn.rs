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
    environment::{self, with},
    exit_reason::error_words,
    exported,
    launch::{Launch, SessionPlacement, Stub, launch},
    privileges::{Privileges, UNCHANGED},
    signals::SignalSet,
    stub_protocol::{KILL_TREE, STAY, STEP},
};
use crate::config;

/// libpq's variable with the path of the password file.
const PASSFILE: &str = "PGPASSFILE";

/// The program of a step.
pub(crate) struct Child {
    pub(crate) argv: Vec<String>,
    /// Added to this process's environment.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) privileges: config::Privileges,
    /// Whether the program exports variables.
    pub(crate) exports: bool,
    /// Whether the program gets the password file, if the run has one.
    pub(crate) logs_in: bool,
    /// The time between TERM and KILL.
    pub(crate) grace: Duration,
}

/// The destination of a step's output.
#[derive(Clone, Copy)]
pub(super) enum Output<'a> {
    Pipes {
        /// None for an empty input.
        input: Option<&'a OwnedFd>,
        exports: Option<&'a OwnedFd>,
        out: &'a OwnedFd,
        err: &'a OwnedFd,
    },
    /// This process's own streams, for a background program.
    Inherited,
}

/// The action of a stub when Portcullis ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ParentDeath {
    /// Sends TERM to its tree, and KILL after the grace.
    Term,
    /// Sends KILL to its tree immediately.
    Kill,
}

/// Returns the stub's id. `status` is for the stub's report. An error names what was missing.
pub(super) fn start_stub(
    child: &Child,
    output: Output<'_>,
    status: &OwnedFd,
    death: ParentDeath,
    password_file: Option<&dyn Fn(Option<u32>) -> Option<PathBuf>>,
) -> io::Result<i32> {
    #[expect(clippy::disallowed_methods, reason = "/dev/null never blocks")]
    let nothing = OpenOptions::new().read(true).write(true).open("/dev/null");
    let nothing = OwnedFd::from(nothing.map_err(|error| named("cannot open /dev/null", &error))?);
    let (word, input, exports, out, err) = match output {
        Output::Pipes { input, exports, out, err } => {
            (STEP, input, exports.map(AsRawFd::as_raw_fd), out.as_raw_fd(), err.as_raw_fd())
        }
        Output::Inherited => (STAY, None, None, libc::STDOUT_FILENO, libc::STDERR_FILENO),
    };
    let privileges = Privileges::resolve(&child.privileges).map_err(io::Error::other)?;
    let mut variables = exported::current().to_vec();
    variables.extend(privileges.variables());
    let is_given = |name: &str| {
        environment::value(name.as_bytes()).is_some()
            || variables.iter().chain(&child.env).any(|(given, _)| given == name)
    };
    if child.logs_in
        && !is_given(PASSFILE)
        && !is_given("PGPASSWORD")
        && let Some(path) =
            password_file.and_then(|path| path(privileges.uid())?.into_os_string().into_string().ok())
    {
        variables.push((PASSFILE.into(), path));
    }
    variables.extend(child.env.iter().cloned());
    let cwd = child.cwd.clone().map(PathBuf::into_os_string).unwrap_or_default();
    let mut argv: Vec<OsString> = vec![
        "portcullis".into(),
        word.into(),
        child.grace.as_millis().to_string().into(),
        status.as_raw_fd().to_string().into(),
        std::process::id().to_string().into(),
        cwd,
        privileges.encoded().into(),
        exports.map_or_else(String::new, |descriptor| descriptor.to_string()).into(),
        "--".into(),
    ];
    argv.extend(child.argv.iter().map(OsString::from));
    let stub = Stub {
        programs: &[c"/proc/self/exe", recorded_program()],
        environment: &with(&variables)?,
        stdio: [input.unwrap_or(&nothing).as_raw_fd(), out, err],
        status_fd: status.as_raw_fd(),
        exports_fd: exports,
        parent_death: match death {
            ParentDeath::Term => libc::SIGTERM,
            ParentDeath::Kill => KILL_TREE,
        },
    };
    let launched = launch(&Launch {
        argv: &c_strings(argv)?,
        stub: Some(&stub),
        cwd: None,
        // Without a terminal, no process of the tree can be stopped by one, or wait for its input.
        place: SessionPlacement::Session,
        mask: SignalSet::ALL,
        ignored: SignalSet::NONE,
        closed: &[],
        exports: None,
        variables: &[],
        privileges: &UNCHANGED,
        takes_sockets: false,
    });
    let launched = launched.map_err(|error| named("cannot fork", &error))?;
    launched.map_err(|not| named("cannot execute portcullis itself", &not.source))
}

/// An error that names its subject, because the step's program is not its cause.
pub(super) fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {}", error_words(error)))
}

/// The path by which the kernel started this program, in case /proc is missing.
fn recorded_program() -> &'static CStr {
    // SAFETY: the kernel's own record, which lives as long as the process; 0 if it is missing.
    unsafe {
        let path = libc::getauxval(libc::AT_EXECFN);
        if path == 0 { c"" } else { CStr::from_ptr(path as *const libc::c_char) }
    }
}
