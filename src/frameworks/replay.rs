//! Has a project run one app's migrations again for one tenant, in one transaction.

use std::{future::pending, time::Duration};

use tokio::time::Instant;

use super::{
    Project,
    channel::{self, Message},
    program::{self, LastLines, Line},
};
use crate::{
    failure::Failure,
    process::{ExitReason, Stream},
};

/// What to replay.
pub(crate) struct Replay<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) app: &'a str,
    /// Tables of the app that stand in the shared schema.
    pub(crate) copies: Vec<String>,
}

impl Project<'_> {
    /// What was done, line by line; or why nothing was changed, with the last lines. `say` hears what else is printed.
    pub(crate) async fn replay(
        &self,
        replay: &Replay<'_>,
        timeout: Duration,
        say: &dyn Fn(Line),
    ) -> Result<Vec<String>, (Failure, Vec<String>)> {
        let (mut notes, mut lines) = (Vec::new(), LastLines::default());
        let tenant = replay.tenant;
        let mut on_line = |stream, line: String| {
            match (stream, channel::message(&line)) {
                (Stream::Out, Some(Message::Note(note))) => notes.push(note),
                (Stream::Out, Some(Message::Failed(error))) => lines.push(error.words()),
                _ => {
                    say(Line { tenant: Some(tenant.to_owned()), stream: Stream::Out, text: line.clone() });
                    lines.push(line);
                }
            }
            None
        };
        let argv = self.framework.replay(self.settings, replay).map_err(|failure| (failure, Vec::new()))?;
        let child = program::child(self.run, self.framework.about().env, &self.settings.env, argv);
        let program = child.argv.first().cloned().unwrap_or_default();
        let ended =
            program::run(self.processes, &child, Instant::now() + timeout, pending(), &mut on_line).await;
        let failed = |limit| Failure::ReplayFailed { app: replay.app.into(), tenant: tenant.into(), limit };
        let failure = match ended {
            Err(error) => Failure::CommandMissing { program, why: error.to_string() },
            Ok(ended) => match ended.how {
                ExitReason::NotStarted { why, .. } => Failure::CommandMissing { program, why },
                _ if ended.timed_out => failed(Some(timeout)),
                ExitReason::Exited(0) => return Ok(notes),
                _ => failed(None),
            },
        };
        Err((failure, lines.into_vec()))
    }
}
