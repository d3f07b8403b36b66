//! Closes what an init must not hold forever: inherited pipes and sockets, and the working directory.
#![expect(clippy::disallowed_methods, reason = "/proc never blocks")]

use std::{ffi::c_uint, fs, os::fd::RawFd};

/// The first descriptor that is closed: standard input, output and error stay open for messages.
const FIRST: RawFd = 3;

/// The number of descriptors that are tried if /proc cannot list them.
const TRIED: RawFd = 1024;

/// Runs once the main process has its own copies. A pipe held by init would never end, and a file system with init's
/// working directory could not be unmounted. `all_inherited` means that this process has opened no descriptor itself:
/// then one call closes all.
pub(super) fn close_inherited(all_inherited: bool) {
    // SAFETY: no code in this process uses an inherited descriptor.
    let closed = all_inherited && unsafe { libc::syscall(libc::SYS_close_range, FIRST, c_uint::MAX, 0) } == 0;
    // The fallback if the kernel or a filter does not support that call.
    for descriptor in if closed { Vec::new() } else { inherited() } {
        // SAFETY: as above.
        unsafe { libc::close(descriptor) };
    }
    // A failure is harmless.
    let _ = std::env::set_current_dir("/");
}

/// The descriptors that survive an exec, which Portcullis opens none of. Its own descriptors may still be in use by
/// threads that are ending (name resolution), so they must not be closed.
fn inherited() -> Vec<RawFd> {
    let open: Vec<RawFd> = match fs::read_dir("/proc/self/fd") {
        Ok(listed) => listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => (FIRST..TRIED).collect(),
    };
    let outlives_exec = |descriptor: &RawFd| {
        // SAFETY: reads a descriptor's flags; changes nothing.
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
    fn only_inherited_descriptors_are_closed() {
        let own_file = File::open("/dev/null").unwrap();
        assert!(!inherited().contains(&own_file.as_raw_fd()));
        // SAFETY: the file owns its descriptor; the flag is what an inherited one has.
        unsafe { libc::fcntl(own_file.as_raw_fd(), libc::F_SETFD, 0) };
        assert!(inherited().contains(&own_file.as_raw_fd()));
    }
}
