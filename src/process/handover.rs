//! The handover: everything is put back and the server takes this process's place.

use std::io;

use super::{
    arguments::{c_strings, pointers},
    dispositions,
    environment::ExecEnvironment,
    exit_handler,
    inherited::{self, Inherited},
    program::Program,
    signals::{self, SignalSet},
};
use crate::failure::Failure;

/// Puts everything back and execs, with these variables in the environment; returns only if it failed. A signal pending until the last moment is returned
/// as [`Failure::Interrupted`].
///
/// The caller has seen `waitpid(-1)` say ECHILD and shut the runtime down.
pub(crate) fn handover(inherited: &Inherited, argv: &[String], variables: &[(String, String)]) -> Failure {
    let Some(program) = argv.first() else {
        return Failure::Internal { what: "there is no server to hand over to".into() };
    };
    let words = c_strings(argv).and_then(|words| Ok((words, ExecEnvironment::with(variables)?)));
    let (words, environment) = match words {
        Ok(both) => both,
        Err(source) => return Failure::ServerNotExecutable { program: program.clone(), source },
    };
    let file = Program::named(&words[0]);
    let (argv, environment) = (pointers(&words), environment.entries());

    if let Err(failure) = put_back(inherited) {
        return failure;
    }
    let mut errno = file.exec(&argv, environment);
    if errno == libc::ENOEXEC
        && let Some(script) = file.as_script(&words)
    {
        errno = Program::named(&script[0]).exec(&pointers(&script), environment);
    }
    let source = io::Error::from_raw_os_error(errno);
    signals::swap_mask(SignalSet::ALL);
    not_executed(program, source)
}

/// The exit codes of every shell: 127 for what is not there, 126 for what cannot be run.
pub(super) fn not_executed(program: &str, source: io::Error) -> Failure {
    if source.kind() == io::ErrorKind::NotFound {
        Failure::ServerNotFound { program: program.to_owned() }
    } else {
        Failure::ServerNotExecutable { program: program.to_owned(), source }
    }
}

fn put_back(inherited: &Inherited) -> Result<(), Failure> {
    if inherited.is_subreaper && !inherited.is_pid_1 && !inherited.was_subreaper {
        inherited::set_subreaper(false)
            .map_err(|error| Failure::Internal { what: format!("cannot stop being a subreaper: {error}") })?;
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
    // All of them: the C library takes 33 for itself as soon as there was a thread.
    inherited.ignored.iter().for_each(signals::set_ignored);
    let handled = SignalSet::ENDING.without(inherited.ignored).without(inherited.blocked);
    handled.iter().for_each(exit_handler::end_on);
    inherited.pending.iter().for_each(signals::Info::put_back);
    signals::swap_mask(inherited.blocked);
    Ok(())
}

/// Takes what arrived for us before the server is started: it would reach a server that has no handler yet. One that
/// asks us to end does so; what arrives from here on is the server's.
pub(super) fn consume_pending(inherited: &Inherited) -> Result<(), Failure> {
    let (ours, ending) = (signals::pending(), inherited.ending());
    while let Some(info) = signals::take(ours, Some(std::time::Duration::ZERO)) {
        if ending.contain(&info) {
            let doing = "at the handover to the server".into();
            return Err(Failure::Interrupted { signal: info.signal(), doing });
        }
    }
    Ok(())
}
