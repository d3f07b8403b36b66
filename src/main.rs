//! Calls the library with the command line and turns the result into an exit code.

#[cfg(all(panic = "abort", target_env = "musl"))]
mod unwinding;

use std::process::ExitCode;

/// musl's allocator makes a system call for every few small allocations, which took a quarter of the time of `init`.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// `EX_SOFTWARE` of sysexits.h: the exit code of a panic, in every build.
const INTERNAL: i32 = 70;

#[expect(
    clippy::disallowed_methods,
    reason = "the exit code of a panic must differ from a signal and from success"
)]
fn main() -> ExitCode {
    portcullis::catch_panics(|| std::process::exit(INTERNAL));
    let arguments: Vec<_> = std::env::args_os().collect();
    ExitCode::from(portcullis::main(&arguments))
}
