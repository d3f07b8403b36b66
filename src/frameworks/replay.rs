//! Has the project's own program record one app's migrations for one tenant, or run them in one transaction.

use std::{future::pending, time::Duration};

use super::{
    channel::{self, Message},
    framework::Replay,
    output::LastLines,
    project::{ProgramExit, Project},
};
use crate::{
    deadline::Deadline, failure::Failure, outcome::ActionEvent, process::Stream, tenants::recording::Recorded,
};

impl Project<'_> {
    /// The program's notes and, unless it has run the migrations itself, its recording; or the failure and the last output
    /// lines. A failure changes nothing. `on_event` receives the other output.
    pub(crate) async fn replay(
        &self,
        replay: &Replay<'_>,
        timeout: Duration,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<(Vec<String>, Option<Recorded>), (Failure, Vec<String>)> {
        let (mut notes, mut lines, mut recorded) = (Vec::new(), LastLines::default(), String::new());
        let tenant = replay.tenant;
        let on_line = |stream, line: &str| {
            match (stream, channel::message(line)) {
                (Stream::Out, Some(Message::Note(note))) => notes.push(note),
                (Stream::Out, Some(Message::Recorded(piece))) => recorded += &piece,
                (Stream::Out, Some(Message::Failed(error))) => lines.push(&error.summary()),
                _ => {
                    let tenant = Some(tenant.to_owned());
                    on_event(ActionEvent::Output { tenant, stream: Stream::Out, line: line.to_owned() });
                    lines.push(line);
                }
            }
            None
        };
        let started = match self.framework.replay(self.settings, replay) {
            Ok(argv) => self.start(argv, Deadline::after(timeout), pending(), on_line).await,
            Err(failure) => Err(failure),
        };
        let accepted =
            started.and_then(|ProgramExit { program, finished }| finished.accepted(&program, &[0], timeout));
        let failed = |limit| Failure::ReplayFailed { app: replay.app.into(), tenant: tenant.into(), limit };
        let failure = match accepted {
            Ok(_) => return Ok((notes, serde_json::from_str(&recorded).ok())),
            Err(Failure::TimedOut { after, .. }) => failed(Some(after)),
            Err(Failure::CommandFailed { .. }) => failed(None),
            Err(other) => other,
        };
        Err((failure, lines.into_vec()))
    }
}
