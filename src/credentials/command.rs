//! Runs the command that prints a password. Its output is never shown: standard error may contain the password, too.

use std::{future::pending, time::Duration};

use super::refusal::{permanent, temporary};
use crate::{
    cause::Unavailable,
    config::{self, secret::Secret},
    deadline::Deadline,
    failure::Failure,
    process::{Child, Processes, Stream},
};

/// Between TERM and KILL, for a command that does not end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// A longer line is split by its reader, and is not a password.
const LONGEST: usize = 16 * 1024 - 1;

/// The only line of the command's standard output.
pub(super) async fn run(
    argv: &[String],
    timeout: Duration,
    processes: &Processes,
) -> Result<Secret, Unavailable> {
    let program = argv.first().map_or("", String::as_str);
    let child = Child {
        argv: argv.to_vec(),
        env: Vec::new(),
        cwd: None,
        privileges: config::Privileges::default(),
        exports: false,
        logs_in: false,
        grace: GRACE,
    };
    let wrong = |why: &str| permanent(format!("the command of the password, `{program}`, {why}"));
    let failed = |failure: Failure| {
        let text = format!("the command of the password: {failure}");
        match failure {
            Failure::CommandMissing { .. } => permanent(text),
            _ => temporary(text),
        }
    };
    let not_spawned =
        |why: std::io::Error| Failure::CommandNotSpawned { program: program.into(), why: why.to_string() };
    let tree = processes.spawn(&child).map_err(|error| failed(not_spawned(error)))?;
    let (mut password, mut lines) = (String::new(), 0);
    let on_line = |stream, line: &str| {
        if stream == Stream::Out {
            lines += 1;
            line.clone_into(&mut password);
        }
        None
    };
    let finished = tree.run(Deadline::after(timeout), pending(), on_line).await;
    finished.accepted(program, &[0], timeout).map_err(failed)?;
    match (lines, password.len()) {
        (0, _) | (1, 0) => Err(wrong("printed nothing")),
        (1, ..=LONGEST) if !password.contains(char::REPLACEMENT_CHARACTER) => Ok(Secret::new(password)),
        (1, ..=LONGEST) => Err(wrong("printed text that is not UTF-8")),
        _ => Err(wrong("printed more than one line, or a line of 16 KiB or more")),
    }
}
