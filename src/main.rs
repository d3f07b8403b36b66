//! Parses the command line, calls the library, turns the result into an exit code.

fn main() -> std::process::ExitCode {
    portcullis::main(std::env::args_os().collect())
}
