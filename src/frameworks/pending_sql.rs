//! Has the project's own program print the SQL of pending migrations, which it does not execute.

use std::{future::pending, time::Duration};

use serde_json::json;

use super::{
    batch::channel_name,
    channel::{self, Message},
    output::LastLines,
    project::{ProgramExit, Project},
};
use crate::{
    deadline::Deadline,
    failure::Failure,
    outcome::{ActionEvent, FailureDetails},
    process::Stream,
};

/// An argument of a program has at most 128 KiB.
const MAX_REQUEST: usize = 60_000;

/// A schema and the names of its pending migrations.
pub(crate) type Request<'a> = (Option<&'a str>, Vec<&'a str>);

/// The statements of each migration. None in the list is code of the project; None instead of a list is not known.
pub(crate) type Statements = Vec<Option<Vec<Option<String>>>>;

impl Project<'_> {
    /// The command that migrates one schema, for people.
    pub(crate) fn command_line(&self) -> String {
        if self.settings.run.is_empty() {
            self.framework.about().title.to_owned()
        } else {
            self.settings.run.join(" ")
        }
    }

    /// The statements of each request. None if the framework has no command that prints them.
    pub(crate) async fn pending_sql(
        &self,
        requests: &[Request<'_>],
        timeout: Duration,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Option<Vec<Statements>>, FailureDetails> {
        let mut statements = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        for (at, (schema, migrations)) in requests.iter().enumerate() {
            let owned = schema.map(str::to_owned);
            texts.push(json!([channel_name(owned.as_ref()), migrations]).to_string());
            let next = requests
                .get(at + 1)
                .map_or(usize::MAX, |(_, more)| more.iter().map(|name| name.len() + 3).sum());
            let length: usize = texts.iter().map(String::len).sum();
            if length.saturating_add(next) > MAX_REQUEST {
                let request = format!("[{}]", std::mem::take(&mut texts).join(","));
                let Some(argv) = self.framework.pending_sql(self.settings, request) else { return Ok(None) };
                let mut lines = LastLines::default();
                let answer = self.print(argv, timeout, &mut lines, on_event).await;
                statements.extend(answer.map_err(|failure| FailureDetails {
                    output: lines.into_vec(),
                    ..FailureDetails::from(failure)
                })?);
            }
        }
        Ok(Some(statements))
    }

    async fn print(
        &self,
        argv: Result<Vec<String>, Failure>,
        timeout: Duration,
        lines: &mut LastLines,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Vec<Statements>, Failure> {
        let (mut answer, mut error, mut other_database) = (String::new(), None, None);
        let on_line = |stream, line: &str| {
            match (stream, channel::message(line)) {
                (Stream::Out, Some(Message::Recorded(piece))) => answer += &piece,
                (Stream::Out, Some(Message::Note(note))) => on_event(ActionEvent::Note(note)),
                (Stream::Out, Some(Message::Failed(failed))) if failed.is_other_database() => {
                    other_database = Some(failed.message);
                }
                (Stream::Out, Some(Message::Failed(failed))) => error = Some(failed.summary()),
                _ => {
                    lines.push(line);
                    on_event(ActionEvent::Output {
                        tenant: None,
                        stream: Stream::Out,
                        line: line.to_owned(),
                    });
                }
            }
            None
        };
        let ProgramExit { program, finished } =
            self.start(argv?, Deadline::after(timeout), pending(), on_line).await?;
        if let Some(why) = other_database {
            return Err(Failure::OtherDatabase { why });
        }
        finished.accepted(&program, &[0], timeout).map_err(|failure| match failure {
            Failure::CommandFailed { program, ended } => {
                let why = error.as_deref().or_else(|| lines.last()).unwrap_or("it printed nothing");
                Failure::CommandFailed { program, ended: format!("{ended}: {why}") }
            }
            other => other,
        })?;
        serde_json::from_str(&answer).map_err(|_| Failure::CommandFailed {
            program,
            ended: "exited with 0 and did not print the SQL; the project may end the program".into(),
        })
    }
}
