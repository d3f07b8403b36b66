//! Calls the library with the command line and turns the result into an exit code.

use std::process::ExitCode;

/// musl's own asks the kernel for each handful of small pieces, which was a quarter of the time that `init` takes.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// `EX_SOFTWARE` of sysexits.h: what a panic ends with, in every build.
const INTERNAL: i32 = 70;

#[expect(
    clippy::disallowed_methods,
    reason = "a panic must not look like a child's signal, nor like success"
)]
fn main() -> ExitCode {
    portcullis::catch_panics(|| std::process::exit(INTERNAL));
    let arguments: Vec<_> = std::env::args_os().collect();
    ExitCode::from(portcullis::main(&arguments))
}
