//! `portcullis check`: reads the configuration, the migrations and the manifest offline.

use std::path::Path;

use crate::{
    actions::{manifest_check, programs},
    config::{self, Overrides, environment::Environment},
    failure::Failure,
    outcome::command::ConfigChecked,
    plan,
};

pub(crate) fn run(path: &Path, overrides: &Overrides, env: &Environment) -> Result<ConfigChecked, Failure> {
    let (config, warnings) = config::load::load_with_warnings(path, env, overrides, false)?;
    let missing = programs::missing(&plan::plan(&config)?, &config, env);
    let manifest = manifest_check::problem_now(&config);
    let password = config.database.as_ref().and_then(config::Database::password_source);
    Ok(ConfigChecked {
        path: path.to_owned(),
        steps: config.steps.len(),
        warnings,
        missing,
        manifest,
        password,
    })
}
