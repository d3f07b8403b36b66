//! What an init would hold for ever without need: other people's pipes and sockets, and its working directory.
#![expect(clippy::disallowed_methods, reason = "/proc never blocks")]

use std::{ffi::c_uint, fs, os::fd::RawFd};

/// Standard input, output and error are kept: there may be something to say.
const FIRST: RawFd = 3;

/// The descriptors that are tried where /proc cannot list them.
const TRIED: RawFd = 1024;

/// Once the main process runs, which has them all: a pipe that only init still holds would never end, and a file
/// system that only init stands in could not be unmounted.
/// `none_is_ours` says that this process has opened none itself: then one call closes all.
pub(super) fn let_go(none_is_ours: bool) {
    // SAFETY: nothing in this process knows a descriptor that was passed to it.
    let closed = none_is_ours && unsafe { libc::syscall(libc::SYS_close_range, FIRST, c_uint::MAX, 0) } == 0;
    // Also where the kernel or a filter does not know that call.
    for descriptor in if closed { Vec::new() } else { passed_to_us() } {
        // SAFETY: as above.
        unsafe { libc::close(descriptor) };
    }
    // To stay where we are is no harm.
    let _ = std::env::set_current_dir("/");
}

/// What we opened ourselves closes on exec, what outlived one does not. Ours belongs to threads that may still be
/// about to end (a name look-up), and a number of theirs is not ours to close.
fn passed_to_us() -> Vec<RawFd> {
    let open: Vec<RawFd> = match fs::read_dir("/proc/self/fd") {
        Ok(listed) => listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (FIRST..TRIED).collect(),
    };
    let outlives_exec = |descriptor: &RawFd| {
        // SAFETY: asks for a descriptor's flags; changes nothing.
        let flags = unsafe { libc::fcntl(*descriptor, libc::F_GETFD) };
        flags != -1 && flags & libc::FD_CLOEXEC == 0
    };
    open.into_iter().filter(|descriptor| *descriptor >= FIRST).filter(outlives_exec).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{fs::File, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn only_what_was_passed_to_us_is_let_go() {
        let ours = File::open("/dev/null").unwrap();
        assert!(!passed_to_us().contains(&ours.as_raw_fd()));
        // SAFETY: the file owns its descriptor; the flag is what an inherited one has.
        unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFD, 0) };
        assert!(passed_to_us().contains(&ours.as_raw_fd()));
    }
}
