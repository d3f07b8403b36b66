//! What a Django project does for us with its own Python: it says what it expects, and applies its migrations.

pub(super) mod child;
pub(super) mod manifest;
pub(super) mod migrate;
pub(crate) mod replay;

use std::{collections::BTreeMap, path::Path};

use tokio::time::Instant;

use super::Work;
use crate::{
    config::{self, secret::Secret},
    failure::Failure,
    process::{Child, How},
    words,
};

/// Between TERM and KILL: as long as Docker gives, less what the rest needs.
const GRACE: std::time::Duration = std::time::Duration::from_secs(8);

/// Runs one of the project's own commands; `output` gets what it says. The error is in words.
pub(super) async fn command(work: &Work, run: &[String], output: &mut Vec<String>) -> Result<(), String> {
    let settings = work.migrations().map_err(|failure| failure.to_string())?;
    let nothing = BTreeMap::new();
    let env = match &settings.source {
        config::Source::Django(project) => &project.env,
        config::Source::Sql { .. } => &nothing,
    };
    let processes = work.processes().map_err(|failure| failure.to_string())?;
    let limit = Instant::now() + settings.apply.timeout;
    let mut hear = |_, line| {
        output.push(line);
        None
    };
    let finished = child::run(processes, &program(work, env, run.to_vec()), limit, &mut hear).await;
    let name = run.first().map_or("", String::as_str);
    match finished {
        Err(error) => Err(format!("cannot start `{name}`: {error}")),
        Ok(finished) if finished.timed_out => {
            Err(format!("`{name}` ran longer than {}", words::duration(settings.apply.timeout)))
        }
        Ok(finished) if finished.how == How::Exited(0) => Ok(()),
        Ok(finished) => Err(format!("`{name}` {}", child::words(&finished.how))),
    }
}

/// A program of the project's, which names this run to the database.
fn program(work: &Work, env: &BTreeMap<String, Secret>, argv: Vec<String>) -> Child {
    let given = env;
    let mut env = vec![
        ("PGAPPNAME".to_owned(), format!("portcullis:{}", work.run)),
        ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
    ];
    env.extend(given.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())));
    Child { argv, env, cwd: None, grace: GRACE }
}

fn manage(project: &config::Django) -> Result<String, Failure> {
    project.manage.as_deref().map_or(Ok(String::new()), text)
}

fn text(path: &Path) -> Result<String, Failure> {
    let not_text = || Failure::Usage { message: format!("`{}` is not valid UTF-8", path.display()) };
    path.to_str().map(str::to_owned).ok_or_else(not_text)
}
