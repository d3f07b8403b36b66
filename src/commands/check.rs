//! `portcullis check`: reads the configuration offline.

use std::path::Path;

use crate::{
    actions::programs,
    config::{self, Overrides, environment::Environment},
    failure::Failure,
    outcome::command::ConfigChecked,
    plan,
};

pub(crate) fn run(path: &Path, overrides: &Overrides, env: &Environment) -> Result<ConfigChecked, Failure> {
    let (config, warnings) = config::load::load_with_warnings(path, env, overrides, false)?;
    let missing = programs::missing(&plan::plan(&config)?, &config, env);
    Ok(ConfigChecked { path: path.to_owned(), steps: config.steps.len(), warnings, missing })
}
