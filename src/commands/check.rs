//! `portcullis check`: reads the configuration offline.

use std::path::Path;

use crate::{
    config::{self, environment::Environment},
    failure::Failure,
    plan,
};

pub(crate) fn run(path: &Path, role: Option<&str>, env: &Environment) -> Result<String, Failure> {
    let loaded = config::load(path, env)?;
    plan::plan(&loaded.config, env, role)?;
    let warnings = loaded.warnings.concat();
    let steps = crate::report::text::count(loaded.config.steps.len(), "step");
    Ok(format!("{warnings}{}: valid, {steps}\n", path.display()))
}
