//! A start-up as PID 1 whose steps and server are bash scripts.

use std::{fmt::Write, os::unix::fs::PermissionsExt};

use super::namespace::{script, stdout};
use assert_cmd::assert::{Assert, OutputAssertExt};

/// A configuration of steps with these options inside `command` and these scripts; the steps run in parallel.
pub fn configuration(steps: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let mut text = String::new();
    for (number, (options, script)) in steps.iter().enumerate() {
        writeln!(
            text,
            "[[step]]\nname = \"step {number}\"\nafter = \"start\"\ncommand.run = [\"bash\", \"-c\", '''{script}''']\n{options}"
        )
        .unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    std::fs::set_permissions(file.path(), PermissionsExt::from_mode(0o644)).unwrap();
    file
}

/// Runs the steps and then the server as PID 1; the script `around` contains `RUN` where Portcullis starts.
pub fn run_in(around: &str, steps: &[(&str, &str)], server: &str) -> Assert {
    let file = configuration(steps);
    let run = format!("$PORTCULLIS run --config {} -- bash -c {}", file.path().display(), quoted(server));
    script(&around.replace("RUN", &run)).assert()
}

pub fn run(steps: &[(&str, &str)], server: &str) -> Assert {
    run_in("exec RUN", steps, server)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A server that counts the processes; pgrep does not count itself.
pub const ALONE: &str = "pgrep -c . ; pgrep -a .; exit 0";

pub fn has_no_other_processes(ran: &Assert) -> bool {
    stdout(ran).lines().any(|line| line == "1")
}
