//! What an init would hold for ever without need: other people's pipes and sockets, and its working directory.

use std::{fs, os::fd::RawFd};

/// Standard input, output and error are kept: there may be something to say.
const FIRST: RawFd = 3;

/// Once the main process runs, which has them all: a pipe that only init still holds would never end, and a file
/// system that only init stands in could not be unmounted.
pub(super) fn let_go() {
    // SAFETY: nothing in this process uses a descriptor from here on but the standard ones.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
    if closed == -1 {
        close_listed();
    }
    // To stay where we are is no harm.
    let _ = std::env::set_current_dir("/");
}

/// For kernels, and filters of system calls, without `close_range`.
fn close_listed() {
    let Ok(listed) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<RawFd> =
        listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= FIRST) {
        // SAFETY: as above; the folder's own descriptor is closed already, which the kernel only reports.
        unsafe { libc::close(descriptor) };
    }
}
