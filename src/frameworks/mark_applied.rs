//! Records migrations as applied, without running them, with the project's own program.

use std::{future::pending, time::Duration};

use super::{
    channel::{self, Message},
    output::LastLines,
    project::{ProgramExit, Project},
};
use crate::{deadline::Deadline, failure::Failure, outcome::ActionEvent, process::Stream};

impl Project<'_> {
    /// Records these migrations of the schema, or returns the failure and the last output lines.
    pub(crate) async fn mark_applied(
        &self,
        tenant: Option<&str>,
        migrations: &[String],
        timeout: Duration,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<(), (Failure, Vec<String>)> {
        let mut lines = LastLines::default();
        let on_line = |stream, line: &str| {
            if let (Stream::Out, Some(Message::Failed(error))) = (stream, channel::message(line)) {
                lines.push(&error.summary());
            } else {
                let tenant = tenant.map(str::to_owned);
                on_event(ActionEvent::Output { tenant, stream: Stream::Out, line: line.to_owned() });
                lines.push(line);
            }
            None
        };
        let started = match self.framework.mark_applied(self.settings, tenant, migrations) {
            Ok(argv) => self.start(argv, Deadline::after(timeout), pending(), on_line).await,
            Err(failure) => Err(failure),
        };
        let accepted =
            started.and_then(|ProgramExit { program, finished }| finished.accepted(&program, &[0], timeout));
        accepted.map(drop).map_err(|failure| (failure, lines.into_vec()))
    }
}
