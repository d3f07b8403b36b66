//! `portcullis plan`: the steps in order, and what is skipped.

use std::path::Path;

use crate::{
    cli::Format,
    config::{self, Overrides, environment::Environment},
    failure::Failure,
    plan,
};

pub(crate) fn run(
    path: &Path,
    overrides: &Overrides,
    env: &Environment,
    format: Format,
) -> Result<String, Failure> {
    let plan = plan::plan(&config::load::load(path, env, overrides)?)?;
    match format {
        Format::Text => Ok(plan.text()),
        Format::Json => serde_json::to_string_pretty(&plan)
            .map(|text| text + "\n")
            .map_err(|error| Failure::Internal { what: format!("cannot write the plan as JSON: {error}") }),
    }
}
