//! Ends this process from a signal handler while no code reads signals: during the reading of the configuration,
//! during output, and at the handover.

use std::ffi::c_int;

use super::{
    inherited::Inherited,
    signals::{self, SignalSet},
};

/// Does blocking work before a runtime exists. TERM, INT, QUIT and HUP end the process during the work, also where it is
/// PID 1. Afterwards signals are blocked and read again, and none is lost. The work must not start a thread, which would
/// never block them.
pub(crate) fn interruptible<T>(inherited: &Inherited, work: impl FnOnce() -> T) -> T {
    end_at_once(inherited);
    let result = work();
    signals::swap_mask(SignalSet::ALL);
    result
}

/// From now on, a signal ends this process immediately, even while it writes to a terminal that is not read.
pub(crate) fn end_at_once(inherited: &Inherited) {
    let handled = SignalSet::ENDING.without(inherited.ignored);
    handled.iter().for_each(end_on);
    signals::swap_mask(SignalSet::ALL.without(handled));
}

/// PID 1 ignores signals without a handler. An exec resets a handler to the default.
pub(super) fn end_on(signal: c_int) {
    let handler: extern "C" fn(c_int) = end;
    // SAFETY: the handler makes async-signal-safe calls only.
    unsafe { libc::signal(signal, handler as libc::sighandler_t) };
}

extern "C" fn end(signal: c_int) {
    const WORDS: &[u8] = b"portcullis: ended by a signal\n";
    let mut stderr = libc::pollfd { fd: libc::STDERR_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: poll, write and _exit are async-signal-safe, with pointers to live values.
    unsafe {
        if libc::poll(&raw mut stderr, 1, 0) == 1 {
            libc::write(libc::STDERR_FILENO, WORDS.as_ptr().cast(), WORDS.len());
        }
        libc::_exit(128 + signal);
    }
}
