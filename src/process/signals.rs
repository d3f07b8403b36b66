//! Signal masks, dispositions and pending signals, with bare system calls. The C libraries hide signals 32 to 34 from
//! their callers, and nix does not support real-time signals, but the server must get all 64 back unchanged.

use std::{io, mem, ptr, time::Duration};

pub(crate) use super::signal_set::{LAST, SignalSet};

/// The size of the kernel's signal set in bytes.
const SET_BYTES: usize = size_of::<u64>();

/// Replaces the calling thread's blocked signals and returns the previous ones.
pub(crate) fn swap_mask(set: SignalSet) -> SignalSet {
    let mut old = SignalSet::NONE;
    // SAFETY: both pointers are to sets of the size named; the call cannot fail with valid arguments.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const set.0,
            &raw mut old.0,
            SET_BYTES,
        )
    };
    old
}

/// The signals that are blocked in the calling thread.
pub(crate) fn mask() -> SignalSet {
    let mut now = SignalSet::NONE;
    // SAFETY: as above; without a new set the call only reads.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::null::<u64>(),
            &raw mut now.0,
            SET_BYTES,
        )
    };
    now
}

/// The signals that are blocked and have arrived.
pub(crate) fn pending() -> SignalSet {
    let mut set = SignalSet::NONE;
    // SAFETY: the pointer is to a set of the size named.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set.0, SET_BYTES) };
    set
}

/// The kernel's `struct sigaction`, whose first word is the handler on every architecture; the rest is zero for the
/// two dispositions used here.
#[repr(C)]
#[derive(Default)]
struct Action {
    handler: usize,
    rest: [usize; 7],
}

pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = Action::default();
    // SAFETY: the buffer is larger than the kernel's structure on every architecture.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, ptr::null::<Action>(), &raw mut action, SET_BYTES);
    }
    action.handler == libc::SIG_IGN
}

pub(crate) fn set_default(signal: i32) {
    set_disposition(signal, libc::SIG_DFL);
}

pub(crate) fn set_ignored(signal: i32) {
    set_disposition(signal, libc::SIG_IGN);
}

/// Async-signal-safe: children call it between fork and exec.
fn set_disposition(signal: i32, handler: libc::sighandler_t) {
    let action = Action { handler, rest: [0; 7] };
    // SAFETY: as above. The kernel refuses KILL and STOP, as intended.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            &raw const action,
            ptr::null_mut::<Action>(),
            SET_BYTES,
        );
    }
}

/// A signal with all its kernel data (`siginfo_t`).
#[derive(Clone, Copy)]
pub(crate) struct Info(libc::siginfo_t);

// SAFETY: its pointers are data of the signal's sender; no code here follows them.
unsafe impl Send for Info {}

impl Info {
    pub(crate) fn signal(&self) -> i32 {
        self.0.si_signo
    }

    pub(crate) fn code(&self) -> i32 {
        self.0.si_code
    }

    /// Whether a process sent it, and not the kernel.
    pub(crate) fn was_sent(&self) -> bool {
        self.0.si_code <= libc::SI_USER
    }

    /// The process that sent it; None if that is outside of this PID namespace.
    pub(crate) fn sender(&self) -> Option<u32> {
        if !self.was_sent() {
            return None;
        }
        // SAFETY: a signal that a process sent carries the sender's id.
        u32::try_from(unsafe { self.0.si_pid() }).ok().filter(|pid| *pid != 0)
    }

    /// Makes the signal pending again with its original data, for this process, or for this thread if it was directed
    /// at the thread.
    pub(crate) fn put_back(&self) {
        let (pid, info) = (std::process::id(), &raw const self.0);
        // SAFETY: a process may queue any signal to itself; the pointer is to a complete siginfo.
        unsafe {
            if self.0.si_code == libc::SI_TKILL {
                let thread = libc::syscall(libc::SYS_gettid);
                libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, thread, self.signal(), info);
            } else {
                libc::syscall(libc::SYS_rt_sigqueueinfo, pid, self.signal(), info);
            }
        }
    }
}

/// Reads the next signal of `set`, all of which must be blocked. Waits without a limit, or up to `limit`. Returns
/// None when the time is over or a stop and continuation interrupted the wait.
pub(crate) fn take(set: SignalSet, limit: Option<Duration>) -> Option<Info> {
    // SAFETY: a siginfo consists of plain numbers, for which zero is valid.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    let limit = limit.map(nix::sys::time::TimeSpec::from_duration);
    let timeout = limit.as_ref().map_or(ptr::null(), |limit| ptr::from_ref(limit.as_ref()));
    // SAFETY: all pointers are to live values of the types that the call expects.
    let signal = unsafe {
        libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set.0, &raw mut info, timeout, SET_BYTES)
    };
    (signal > 0).then_some(Info(info))
}

/// Signals one process. A failure is ignored, because the process is gone or not accessible.
pub(crate) fn send(pid: i32, signal: i32) -> bool {
    // SAFETY: callers pass the id of a process that this program started, never 0 or -1; a group is named on purpose.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// A descriptor from which signals of `set` are read; non-blocking, closed on exec.
pub(crate) fn descriptor(set: SignalSet) -> io::Result<std::os::fd::OwnedFd> {
    let flags = libc::SFD_NONBLOCK | libc::SFD_CLOEXEC;
    // SAFETY: the pointer is to a set of the size named.
    let raw = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const set.0, SET_BYTES, flags) };
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just created the descriptor for this call.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(raw) })
}
