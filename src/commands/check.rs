//! `portcullis check`: reads the configuration offline.

use std::path::Path;

use crate::{
    config::{self, Overrides, environment::Environment},
    failure::Failure,
    plan,
    words::count,
};

pub(crate) fn run(path: &Path, overrides: &Overrides, env: &Environment) -> Result<String, Failure> {
    let (config, warnings) = config::load::load_with_warnings(path, env, overrides, false)?;
    plan::plan(&config)?;
    let steps = count(config.steps.len(), "step");
    let warnings = if warnings.is_empty() { warnings } else { warnings + "\n" };
    Ok(format!("{warnings}{}: valid, {steps}\n", path.display()))
}
