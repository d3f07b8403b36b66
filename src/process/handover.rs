//! Performs the handover: restores everything inherited and replaces this process by the server.

use std::io;

use super::{
    arguments::{c_strings, pointers},
    dispositions,
    environment::ExecEnvironment,
    exit_handler,
    inherited::{self, Inherited},
    privileges::Privileges,
    program::Program,
    signals::{self, SignalSet},
};
use crate::failure::Failure;

/// Restores everything inherited and execs the server with these variables; returns only on failure. A signal that
/// arrived until the last moment is returned as [`Failure::Interrupted`]. The caller has received ECHILD from
/// `waitpid(-1)` and has shut down the runtime.
pub(crate) fn handover(
    inherited: &Inherited,
    argv: &[String],
    variables: &[(String, String)],
    privileges: &Privileges,
) -> Failure {
    let Some(program) = argv.first() else {
        return Failure::Internal { what: "no server is configured for the handover".into() };
    };
    let words = c_strings(argv).and_then(|words| Ok((words, ExecEnvironment::with(variables)?)));
    let (words, environment) = match words {
        Ok(both) => both,
        Err(source) => return Failure::ServerNotExecutable { program: program.clone(), source },
    };
    let file = Program::named(&words[0], variables);
    let (argv, environment) = (pointers(&words), environment.entries());

    if let Err(failure) = put_back(inherited) {
        return failure;
    }
    let mut errno = match privileges.assume() {
        Ok(()) => file.exec(&argv, environment),
        Err(errno) => errno,
    };
    if errno == libc::ENOEXEC
        && let Some(script) = file.as_script(&words)
    {
        errno = Program::named(&script[0], variables).exec(&pointers(&script), environment);
    }
    let source = io::Error::from_raw_os_error(errno);
    signals::swap_mask(SignalSet::ALL);
    not_executed(program, source)
}

/// The exit codes that every shell uses: 127 for a missing program, 126 for one that cannot be executed.
pub(super) fn not_executed(program: &str, source: io::Error) -> Failure {
    if source.kind() == io::ErrorKind::NotFound {
        Failure::ServerNotFound { program: program.to_owned() }
    } else {
        Failure::ServerNotExecutable { program: program.to_owned(), source }
    }
}

fn put_back(inherited: &Inherited) -> Result<(), Failure> {
    if inherited.is_subreaper && !inherited.is_pid_1 && !inherited.was_subreaper {
        inherited::set_subreaper(false).map_err(|error| Failure::Internal {
            what: format!("cannot unset the subreaper attribute: {error}"),
        })?;
    }
    for descriptor in &inherited.closed {
        // SAFETY: Rust's runtime opened /dev/null in its place; it closes with the exec.
        unsafe { libc::fcntl(*descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    consume_pending(inherited)?;
    let now_ignored = dispositions::ignored_now();
    for signal in now_ignored.without(inherited.ignored).iter() {
        signals::set_default(signal);
    }
    // Includes 33, which the C library uses once a thread has existed.
    inherited.ignored.iter().for_each(signals::set_ignored);
    let handled = SignalSet::ENDING.without(inherited.ignored).without(inherited.blocked);
    handled.iter().for_each(exit_handler::end_on);
    inherited.pending.iter().for_each(signals::Info::put_back);
    signals::swap_mask(inherited.blocked);
    Ok(())
}

/// Reads the signals for this process before the server starts, which has no handlers yet. Returns a failure if one
/// requests the end; later signals belong to the server.
pub(super) fn consume_pending(inherited: &Inherited) -> Result<(), Failure> {
    let (pending, ending) = (signals::pending(), inherited.ending());
    while let Some(info) = signals::take(pending, Some(std::time::Duration::ZERO)) {
        if ending.contain(&info) {
            let doing = "at the handover to the server".into();
            return Err(Failure::Interrupted { signal: info.signal(), doing });
        }
    }
    Ok(())
}
