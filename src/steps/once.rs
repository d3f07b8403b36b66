//! `once_per_release = true`: a step that is done once a release, under the lock, and skipped only if the record of runs says
//! that this step of this release was done. Killed between its end and its record, it is done again.

use sha2::{Digest, Sha256};

use super::context::Context;
use crate::{
    actions::{history, lock::Locked},
    config::{Action, Command, secret::Secret},
    failure::Failure,
    words::hex,
};

/// Whether the step is left to do.
pub(super) enum OnceDecision<'a> {
    /// Another run did it already; in words.
    Done(String),
    /// Under the lock.
    Todo(Locked<'a>),
}

/// What the step does, as a digest; None if it is done at every start. A step that was changed is another step.
pub(super) fn what(action: &Action) -> Option<String> {
    match action {
        Action::Sql { run, once: true, .. } => Some(digest(run)),
        Action::Command(Command { run, cwd, once: true, .. }) => Some(digest(&format!("{run:?} in {cwd:?}"))),
        Action::Wait(_)
        | Action::Sql { .. }
        | Action::Migrate(_)
        | Action::Bootstrap { .. }
        | Action::Verify(_)
        | Action::Command(_) => None,
    }
}

/// Asks the record, then acquires the lock and asks again: another run may have done it meanwhile.
pub(super) async fn turn<'a>(context: &Context<'a>, what: &str) -> Result<OnceDecision<'a>, Failure> {
    let state = context.state;
    let name = &state.context.config.steps[context.step].name;
    // Without a manifest there is no release to do it for.
    state.context.expectation().await?;
    if let Some(done) = history::who_did(&state.context, name, what).await? {
        return Ok(OnceDecision::Done(format!("done for this release by run {} at {}", done.run, done.time)));
    }
    let locked = state.acquire(&|text| context.note(text)).await?;
    if let Some(done) = history::who_did(&state.context, name, what).await? {
        return Ok(OnceDecision::Done(format!("done for this release by run {} at {}", done.run, done.time)));
    }
    state.history.must_begin(&state.context).await?;
    Ok(OnceDecision::Todo(locked))
}

/// The command with the run's name, by which the next holder of the lock ends what it left in the database.
pub(super) fn named(command: &Command, run: &str) -> Command {
    let mut command = command.clone();
    command.env.entry("PGAPPNAME".into()).or_insert_with(|| Secret::new(format!("portcullis:{run}")));
    command
}

/// Writes down that it was done. A failure says so: the next start would do it again.
pub(super) async fn done(context: &Context<'_>, locked: &Locked<'_>, what: &str) -> Result<(), Failure> {
    let state = context.state;
    locked.check().await?;
    let name = &state.context.config.steps[context.step].name;
    state.history.once(&state.context, name, what).await
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}
