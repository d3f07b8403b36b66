//! Runs `bootstrap` steps: creates the absent demo tenants, and migrates those that exist.

use super::context::Context;
use crate::{actions::provision::bootstrap::bootstrap, outcome::FailureDetails};

pub(super) async fn run(
    tenants: &[String],
    run: &[String],
    context: &Context<'_>,
) -> Result<String, FailureDetails> {
    match bootstrap(context.state, tenants, run, false, &|event| context.report(event)).await {
        (bootstrapped, None) => Ok(bootstrapped.summary()),
        (_, Some(details)) => Err(details),
    }
}
