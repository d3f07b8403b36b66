//! Runs steps with `once_per_release = true` under the lock, once per release. A step is skipped only if the history
//! records it for this release. A step that was killed before its record is run again.

use sha2::{Digest, Sha256};

use super::context::Context;
use crate::{
    actions::{history, lock::Locked},
    config::{Action, Command, secret::Secret},
    failure::Failure,
    words::hex,
};

/// Whether the step must run.
pub(super) enum OnceDecision<'a> {
    /// Another run has completed it; a message says which.
    Done(String),
    /// The step must run, under this lock.
    Todo(Locked<'a>),
}

/// A digest of the step's action; None if the step runs at every start. A changed step counts as another step.
pub(super) fn what(action: &Action) -> Option<String> {
    match action {
        Action::Sql { run, once: true, .. } => Some(digest(run)),
        Action::Command(Command { run, cwd, once: true, .. }) => Some(digest(&format!("{run:?} in {cwd:?}"))),
        Action::Wait(_)
        | Action::Sql { .. }
        | Action::Migrate(_)
        | Action::Bootstrap(_)
        | Action::Verify(_)
        | Action::Command(_) => None,
    }
}

/// Reads the history, acquires the lock and reads again, because another run may have completed the step in the
/// meantime.
pub(super) async fn turn<'a>(context: &Context<'a>, what: &str) -> Result<OnceDecision<'a>, Failure> {
    let state = context.state;
    let name = &state.context.config.steps[context.step].name;
    // Without a manifest, the release is unknown.
    state.context.expectation().await?;
    if let Some(done) = history::run_that_did(&state.context, name, what).await? {
        return Ok(OnceDecision::Done(format!("done for this release by run {} at {}", done.run, done.time)));
    }
    let locked = state.acquire(&|text| context.note(text)).await?;
    if let Some(done) = history::run_that_did(&state.context, name, what).await? {
        return Ok(OnceDecision::Done(format!("done for this release by run {} at {}", done.run, done.time)));
    }
    state.history.start_or_fail(&state.context).await?;
    Ok(OnceDecision::Todo(locked))
}

/// The command with the run's application name, by which the next lock holder ends its orphaned backends.
pub(super) fn named(command: &Command, run: &str) -> Command {
    let mut command = command.clone();
    command.env.entry("PGAPPNAME".into()).or_insert_with(|| Secret::new(format!("portcullis:{run}")));
    command
}

/// Records that the step is done. A failure is reported, because the next start would repeat the step.
pub(super) async fn done(context: &Context<'_>, locked: &Locked<'_>, what: &str) -> Result<(), Failure> {
    let state = context.state;
    locked.check().await?;
    let name = &state.context.config.steps[context.step].name;
    state.history.record_once(&state.context, name, what).await
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}
