//! `portcullis detect`: the ledgers of a database, the migration files that fit them, and the configuration for them.

use std::path::Path;

use super::database_variables;
use crate::{
    actions::detect,
    config::{Config, Overrides, environment::Environment, load},
    database::Database,
    failure::Failure,
    outcome::detect::Detected,
};

/// The environment with the URL of the command line.
pub(crate) fn environment(env: &Environment, url: Option<&str>) -> Environment {
    url.map_or_else(|| env.clone(), |url| env.with(database_variables::URL, url))
}

/// The configuration with the database: the file, unless the command line gives a URL, else the environment.
pub(crate) fn config(
    path: &Path,
    env: &Environment,
    overrides: &Overrides,
    is_given: bool,
) -> Result<Config, Failure> {
    if !is_given {
        match load::load(path, env, overrides) {
            Err(Failure::ConfigMissing { .. }) => {}
            loaded => return loaded,
        }
    }
    let (_, config) = database_variables::of_environment(env)?.ok_or_else(|| Failure::Usage {
        message: "no database is given: set DATABASE_URL, or use --database URL".into(),
    })?;
    Ok(config)
}

pub(crate) async fn run(config: &Config) -> Result<Detected, Failure> {
    let lacks = || Failure::ConfigLacks { what: "`detect`".into(), needs: "[database]" };
    let database = config.database.as_ref().ok_or_else(lacks)?;
    detect::detect(&Database::new(database, None, ""), database).await
}
