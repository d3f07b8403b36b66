//! The handover: everything is put back and the server takes this process's place.

use std::io;

use super::{
    arguments::{c_strings, pointers},
    dispositions, ending,
    environment::our_environment,
    inherited::{self, Inherited},
    program::Program,
    signals::{self, SignalSet},
};
use crate::failure::Failure;

/// Puts everything back and execs; returns only if it failed. A signal pending until the last moment is returned
/// as [`Failure::Interrupted`].
///
/// The caller has seen `waitpid(-1)` say ECHILD and shut the runtime down.
pub(crate) fn handover(inherited: &Inherited, argv: &[String]) -> Failure {
    let Some(program) = argv.first() else {
        return Failure::Internal { what: "there is no server to hand over to".into() };
    };
    let words = match c_strings(argv) {
        Ok(words) => words,
        Err(source) => return Failure::ServerNotExecutable { program: program.clone(), source },
    };
    let file = Program::named(&words[0]);
    let (argv, environment) = (pointers(&words), our_environment());

    if let Err(failure) = put_back(inherited) {
        return failure;
    }
    let mut errno = file.exec(&argv, &environment);
    if errno == libc::ENOEXEC
        && let Some(script) = file.as_script(&words)
    {
        errno = Program::named(&script[0]).exec(&pointers(&script), &environment);
    }
    let source = io::Error::from_raw_os_error(errno);
    signals::swap_mask(SignalSet::ALL.without(SignalSet::FAULTS));
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
    if !inherited.is_pid_1 && !inherited.was_subreaper {
        inherited::set_subreaper(false)
            .map_err(|error| Failure::Internal { what: format!("cannot stop being a subreaper: {error}") })?;
    }
    for descriptor in &inherited.closed {
        // SAFETY: Rust's runtime opened /dev/null in its place; it closes with the exec.
        unsafe { libc::fcntl(*descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // Whatever arrived since we took over was for us, and means nothing to the server. Whoever wants us to end
    // is heard until the mask is changed, and after that by the handler below.
    let ours = signals::pending();
    if let Some(signal) = SignalSet::ENDING.and(ours).iter().next() {
        return Err(Failure::Interrupted { signal, doing: "at the handover to the server".into() });
    }
    let now_ignored = dispositions::ignored_now();
    for signal in now_ignored.without(inherited.ignored).iter() {
        signals::set_default(signal);
    }
    // All of them: the C library takes 33 for itself as soon as there was a thread.
    inherited.ignored.iter().for_each(signals::set_ignored);
    let heard = SignalSet::ENDING.without(inherited.ignored).without(inherited.blocked);
    heard.iter().for_each(ending::end_on);
    while signals::take(ours, Some(std::time::Duration::ZERO)).is_some() {}
    inherited.pending.iter().for_each(signals::Info::put_back);
    signals::swap_mask(inherited.blocked);
    Ok(())
}
