//! Has a Django project run one app's migrations again for one tenant, in one transaction.

use tokio::time::Instant;

use super::child;
use crate::{
    actions::Work,
    config::{self, Source},
    failure::Failure,
    process::How,
    words::duration,
};

const SCRIPT: &str = include_str!("replay.py");

/// What to replay.
pub(crate) struct Replay<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) app: &'a str,
    /// Tables of the app that stand in the shared schema.
    pub(crate) copies: Vec<String>,
}

/// The lines that the project said; or why nothing was changed, with them.
pub(crate) async fn replay(work: &Work, replay: &Replay<'_>) -> Result<Vec<String>, (Failure, Vec<String>)> {
    let mut lines = Vec::new();
    match run(work, replay, &mut lines).await {
        Ok(()) => Ok(lines),
        Err(failure) => Err((failure, lines)),
    }
}

async fn run(work: &Work, replay: &Replay<'_>, lines: &mut Vec<String>) -> Result<(), Failure> {
    work.lock.still_held().await?;
    let migrations = work.migrations()?;
    let Source::Django(project) = &migrations.source else {
        return Err(Failure::Usage { message: "only a Django app's migrations can be replayed".into() });
    };
    let timeout = migrations.apply.timeout;
    let child = super::program(work, &project.env, argv(project, replay)?);
    let mut hear = |_, line| {
        lines.push(line);
        None
    };
    let program = project.python.clone();
    let finished = child::run(work.processes()?, &child, Instant::now() + timeout, &mut hear)
        .await
        .map_err(|error| Failure::CommandMissing { program: program.clone(), why: error.to_string() })?;
    let schema = replay.tenant;
    match finished.how {
        How::NotStarted { why, .. } => Err(Failure::CommandMissing { program, why }),
        _ if finished.timed_out => Err(Failure::MigrationFailed {
            summary: format!(
                "the replay for `{schema}` ran longer than {} and was rolled back",
                duration(timeout)
            ),
        }),
        How::Exited(0) => Ok(()),
        _ => Err(Failure::MigrationFailed {
            summary: format!("the replay of `{}` for `{schema}` failed and was rolled back", replay.app),
        }),
    }
}

fn argv(project: &config::Django, replay: &Replay<'_>) -> Result<Vec<String>, Failure> {
    let mut argv = vec![project.python.clone(), "-c".into(), SCRIPT.into(), super::manage(project)?];
    argv.extend([replay.tenant.to_owned(), replay.app.to_owned()]);
    argv.extend(replay.copies.iter().cloned());
    Ok(argv)
}
