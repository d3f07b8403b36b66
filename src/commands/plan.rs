//! `portcullis plan`: the steps in order, with the skipped ones, and the programs that they lack.

use std::path::Path;

use crate::{
    actions::{manifest_check, programs},
    config::{self, Overrides, environment::Environment},
    failure::Failure,
    outcome::command::{ManifestProblem, MissingProgram},
    plan::{self, Plan},
};

/// The plan, its missing programs, the problem of its manifest, and the warnings of the file.
pub(crate) type Planned = (Plan, Vec<MissingProgram>, Option<ManifestProblem>, String);

pub(crate) fn run(path: &Path, overrides: &Overrides, env: &Environment) -> Result<Planned, Failure> {
    let (config, warnings) = config::load::load_with_warnings(path, env, overrides, false)?;
    let plan = plan::plan(&config)?;
    let missing = programs::missing(&plan, &config, env);
    Ok((plan, missing, manifest_check::problem_now(&config), warnings))
}
