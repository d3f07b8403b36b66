//! Runs a project's own program to its end, line by line, with a limit that each line may move.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    io,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    config::secret::Secret,
    deadline::Deadline,
    process::{Child, Cut, ExitReason, Processes, Stream},
    words::duration,
};

/// The last lines of a program's output that are kept.
pub(crate) const KEPT_LINES: usize = 60;

/// Between TERM and KILL: as long as Docker gives, less what the rest needs.
const GRACE: Duration = Duration::from_secs(8);

/// A line that a project's program printed.
pub(crate) struct Line {
    /// None for the shared schema, and for what belongs to no schema.
    pub(crate) tenant: Option<String>,
    pub(crate) stream: Stream,
    pub(crate) text: String,
}

/// The last lines of some output.
#[derive(Debug, Default)]
pub(crate) struct LastLines(VecDeque<String>);

impl LastLines {
    pub(crate) fn push(&mut self, line: String) {
        if line.trim().is_empty() {
            return;
        }
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(crate) fn last(&self) -> Option<&str> {
        self.0.back().map(String::as_str)
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0.into()
    }
}

/// How a program ended.
pub(crate) struct ProgramEnd {
    pub(crate) how: ExitReason,
    /// It was ended because its time was up.
    pub(crate) timed_out: bool,
    /// It was asked to stop.
    pub(crate) stopped: bool,
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
    Ok(ProgramEnd {
        how: finished.reason,
        timed_out: finished.cut == Some(Cut::TimedOut),
        stopped: matches!(finished.cut, Some(Cut::Stopped(_))),
    })
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
        last.push(text);
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

/// A program of the project's, which names this run to the database.
pub(super) fn child(
    run: &str,
    own: &[(&str, &str)],
    given: &BTreeMap<String, Secret>,
    argv: Vec<String>,
) -> Child {
    let mut env = vec![("PGAPPNAME".to_owned(), format!("portcullis:{run}"))];
    env.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env.extend(given.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    Child { argv, env, cwd: None, grace: GRACE }
}

/// The end in words.
pub(crate) fn words(how: &ExitReason) -> String {
    how.words()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_long_output_are_kept() {
        let mut lines = LastLines::default();
        (0..1000).for_each(|number| lines.push(number.to_string()));
        lines.push(" ".into());
        assert_eq!(lines.last(), Some("999"));
        assert_eq!(lines.into_vec().len(), KEPT_LINES);
    }
}
