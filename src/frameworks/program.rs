//! Runs a program beside the project's migrations to its end: one of the project's own commands, or a helper.

use std::{collections::BTreeMap, future::pending, io, time::Duration};

use tokio::time::Instant;

use super::{
    output::{LastLines, Line},
    project::child,
};
use crate::{
    config::secret::Secret,
    deadline::Deadline,
    process::{Child, Cut, ExitReason, Processes, Stream},
    words::duration,
};

/// How a program ended.
pub(crate) struct ProgramEnd {
    pub(crate) how: ExitReason,
    /// It was ended because its time was up.
    pub(crate) timed_out: bool,
}

/// `on_line` gets each line and returns the new limit, if the line moves it. Once `stop` is ready, the program gets TERM,
/// and its end is waited for.
pub(crate) async fn run(
    processes: &Processes,
    child: &Child,
    limit: Instant,
    stop: impl Future<Output = ()>,
    on_line: &mut dyn FnMut(Stream, String) -> Option<Instant>,
) -> io::Result<ProgramEnd> {
    let tree = processes.spawn_fenced(child)?;
    let on_line = |stream, line: &str| on_line(stream, line.to_owned()).map(Deadline::at);
    let stop = async {
        stop.await;
        libc::SIGTERM
    };
    let finished = tree.run(Deadline::at(limit), stop, on_line).await;
    Ok(ProgramEnd { how: finished.reason, timed_out: finished.cut == Some(Cut::TimedOut) })
}

/// Runs one of the project's own commands, which may create tenants. Returns why it failed, in words, and
/// its last lines.
pub(crate) async fn run_command(
    processes: &Processes,
    run: &str,
    env: &BTreeMap<String, Secret>,
    argv: &[String],
    timeout: Duration,
    say: &dyn Fn(Line),
) -> (Result<(), String>, Vec<String>) {
    let mut last = LastLines::default();
    let mut on_line = |stream, text: String| {
        say(Line { tenant: None, stream, text: text.clone() });
        last.push(&text);
        None
    };
    let child = child(run, &[], env, argv.to_vec());
    let ended = self::run(processes, &child, Instant::now() + timeout, pending(), &mut on_line).await;
    let name = argv.first().map_or("", String::as_str);
    let result = match ended {
        Err(error) => Err(format!("cannot start `{name}`: {error}")),
        Ok(ended) if ended.timed_out => Err(format!("`{name}` ran longer than {}", duration(timeout))),
        Ok(ended) if ended.how == ExitReason::Exited(0) => Ok(()),
        Ok(ended) => Err(format!("`{name}` {}", words(&ended.how))),
    };
    (result, last.into_vec())
}

/// The end in words.
pub(crate) fn words(how: &ExitReason) -> String {
    how.words()
}
