//! `portcullis plan`: the steps in order, with the skipped ones.

use std::path::Path;

use crate::{
    config::{self, Overrides, environment::Environment},
    failure::Failure,
    plan::{self, Plan},
};

pub(crate) fn run(path: &Path, overrides: &Overrides, env: &Environment) -> Result<Plan, Failure> {
    plan::plan(&config::load::load(path, env, overrides)?)
}
