//! Has a project compute the values of a new tenant's rows that are known only at the insertion.

use std::{future::pending, time::Duration};

use super::{
    channel::{self, Message, NewRows},
    output::LastLines,
    project::{ProgramExit, Project},
};
use crate::{
    deadline::Deadline,
    failure::Failure,
    outcome::{ActionEvent, FailureDetails},
    process::Stream,
};

/// Loading a large project takes seconds; a longer run is a hang.
const TIMEOUT: Duration = Duration::from_mins(2);

impl Project<'_> {
    pub(crate) async fn new_rows(&self, on_event: &dyn Fn(ActionEvent)) -> Result<NewRows, FailureDetails> {
        let lacks = || Failure::Internal { what: "the framework computes no values".into() };
        let argv = self.framework.new_rows(self.settings).ok_or_else(lacks)??;
        let (mut values, mut lines) = (None, LastLines::default());
        let on_line = |stream, line: &str| {
            match (stream, channel::message(line)) {
                (Stream::Out, Some(Message::Values(found))) => values = Some(found),
                (Stream::Out, Some(Message::Failed(error))) => lines.push(&error.summary()),
                _ => {
                    on_event(ActionEvent::Output { tenant: None, stream, line: line.to_owned() });
                    lines.push(line);
                }
            }
            None
        };
        let ended = self.start(argv, Deadline::after(TIMEOUT), pending(), on_line).await;
        let accepted = ended.and_then(|ProgramExit { program, finished }| {
            finished.accepted(&program, &[0], TIMEOUT)?;
            let ended = "exited with 0 without the values of the new tenant's rows".into();
            values.ok_or(Failure::CommandFailed { program, ended })
        });
        accepted.map_err(|failure| FailureDetails { output: lines.into_vec(), ..failure.into() })
    }
}
