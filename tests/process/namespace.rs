//! A new PID namespace with the test's command as PID 1. A command that hangs is killed and fails the test.

use std::process::Command;

use assert_cmd::assert::{Assert, OutputAssertExt};

/// The time limit in seconds, equal to `support::time_limits::ENOUGH`.
const HANGS: &str = "100";

pub const PORTCULLIS: &str = env!("CARGO_BIN_EXE_portcullis");

/// The command prefix that makes a command PID 1 of a new namespace.
pub fn namespace() -> Vec<&'static str> {
    let mut words = vec!["timeout", "--foreground", "-s", "KILL", HANGS, "unshare"];
    // SAFETY: asks for an id.
    if unsafe { libc::geteuid() } != 0 {
        words.push("--map-root-user");
    }
    words.extend(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    words
}

/// `argv` as PID 1. The word `portcullis` is replaced by the program under test.
pub fn pid_1(argv: &[&str]) -> Command {
    let words: Vec<&str> = namespace().into_iter().chain(argv.iter().copied()).collect();
    let mut command = Command::new(words[0]);
    command.args(words[1..].iter().map(|word| if *word == "portcullis" { PORTCULLIS } else { word }));
    command.env("PORTCULLIS", PORTCULLIS);
    command
}

/// A bash script as PID 1; `$PORTCULLIS` is the program under test.
pub fn script(text: &str) -> Command {
    pid_1(&["bash", "-c", text])
}

/// `portcullis init OPTIONS -- bash -c SCRIPT` as PID 1.
pub fn init(options: &[&str], script: &str) -> Assert {
    let argv = [&["portcullis", "init"], options, &["--", "bash", "-c", script]].concat();
    pid_1(&argv).assert()
}

/// The standard output.
pub fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}
