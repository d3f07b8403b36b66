//! Records the inherited signal dispositions and descriptors before Rust's runtime changes them. The runtime ignores
//! SIGPIPE, which also discards a pending one, and opens /dev/null in place of closed standard descriptors. An
//! ignored SIGCHLD would hide every exit status, so it is reset immediately.

use std::sync::{
    Mutex,
    atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
};

use super::signals::{self, Info, LAST, SignalSet};

static IGNORED: AtomicU64 = AtomicU64::new(0);
static ADDED: AtomicU64 = AtomicU64::new(0);
static BLOCKED: AtomicU64 = AtomicU64::new(0);
static CLOSED: AtomicU8 = AtomicU8::new(0);
static PENDING: Mutex<Vec<Info>> = Mutex::new(Vec::new());

/// The signals that were ignored.
pub(crate) fn ignored() -> SignalSet {
    SignalSet(IGNORED.load(Relaxed))
}

/// The signals that are ignored now: the inherited ones, except SIGCHLD and those that the runtime and this process
/// ignore.
pub(crate) fn ignored_now() -> SignalSet {
    let added = SignalSet(ADDED.load(Relaxed)).or(SignalSet::of(&[libc::SIGPIPE]));
    ignored().without(SignalSet::of(&[libc::SIGCHLD])).or(added)
}

/// A C library unblocks its internal signals when it starts a thread; one sent from outside would then end this
/// process.
pub(crate) fn ignore_library_signals() {
    SignalSet::LIBRARY.iter().for_each(signals::set_ignored);
    ADDED.store(SignalSet::LIBRARY.0, Relaxed);
}

/// The signals that were blocked.
pub(crate) fn blocked() -> SignalSet {
    SignalSet(BLOCKED.load(Relaxed))
}

/// The signals that were pending when this process started; they belong to the server.
pub(crate) fn pending() -> Vec<Info> {
    PENDING.lock().map(|pending| pending.clone()).unwrap_or_default()
}

/// The standard descriptors that were closed.
pub(crate) fn closed() -> impl Iterator<Item = i32> {
    let closed = CLOSED.load(Relaxed);
    (0..3).filter(move |descriptor| closed >> descriptor & 1 == 1)
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = record;

/// Runs before main, single-threaded.
extern "C" fn record() {
    let blocked = signals::mask();
    BLOCKED.store(blocked.0, Relaxed);
    // Signals that are already pending belong to the server; later ones belong to this process.
    let waiting = signals::pending();
    if std::process::id() == 1 {
        // The kernel discards signals that PID 1 neither blocks nor handles, so this must happen early.
        signals::swap_mask(SignalSet::ALL);
    }
    let mut ignored = SignalSet::NONE;
    for signal in (1..=LAST).filter(|signal| signals::is_ignored(*signal)) {
        ignored.insert(signal);
    }
    IGNORED.store(ignored.0, Relaxed);

    if !waiting.is_empty()
        && let Ok(mut pending) = PENDING.lock()
    {
        while let Some(info) = signals::take(waiting, Some(std::time::Duration::ZERO)) {
            pending.push(info);
        }
    }
    signals::set_default(libc::SIGCHLD);

    let mut closed = 0;
    for descriptor in 0..3 {
        // SAFETY: reads a descriptor's flags; changes nothing.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
            closed |= 1 << descriptor;
        }
    }
    CLOSED.store(closed, Relaxed);
}
