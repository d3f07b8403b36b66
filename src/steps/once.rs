//! `once = true`: a step that is done once a release, under the lock, and skipped only if the record of runs says
//! that this step of this release was done. Killed between its end and its record, it is done again.

use super::Context;
use crate::{
    actions::record::digest,
    config::{Action, Command, secret::Secret},
    failure::Failure,
};

/// Whether the step is left to do.
pub(super) enum Turn {
    /// Somebody did it already; in words.
    Done(String),
    Ours,
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

/// Asks the record, then takes the lock and asks again: somebody may have done it meanwhile.
pub(super) async fn turn(context: &Context<'_>, what: &str) -> Result<Turn, Failure> {
    let work = context.work;
    let name = &work.config.steps[context.step].name;
    // Without a manifest there is no release to do it for.
    work.expectation().await?;
    if let Some(done) = work.who_did(name, what).await? {
        return Ok(Turn::Done(format!("done for this release by run {} at {}", done.run, done.time)));
    }
    work.lock.hold(work, &|text| context.note(text)).await?;
    if let Some(done) = work.who_did(name, what).await? {
        return Ok(Turn::Done(format!("done for this release by run {} at {}", done.run, done.time)));
    }
    work.record.must_begin(work).await?;
    Ok(Turn::Ours)
}

/// The command with the run's name, by which the next holder of the lock ends what it left in the database.
pub(super) fn named(command: &Command, run: &str) -> Command {
    let mut command = command.clone();
    command.env.entry("PGAPPNAME".into()).or_insert_with(|| Secret::new(format!("portcullis:{run}")));
    command
}

/// Writes down that it was done. A failure says so: the next start would do it again.
pub(super) async fn done(context: &Context<'_>, what: &str) -> Result<(), Failure> {
    let work = context.work;
    work.lock.still_held().await?;
    work.record.once(work, &work.config.steps[context.step].name, what).await
}
