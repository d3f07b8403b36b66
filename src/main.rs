//! Calls the library with the command line and turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    ExitCode::from(portcullis::main(&arguments))
}
