//! Runs `bootstrap` steps: creates the absent demo tenants, and migrates those that exist.

use super::context::Context;
use crate::{actions::provision::bootstrap::bootstrap, config::Bootstrap, outcome::FailureDetails};

pub(super) async fn run(settings: &Bootstrap, context: &Context<'_>) -> Result<String, FailureDetails> {
    match bootstrap(context.state, settings, false, &|event| context.report(event)).await {
        (bootstrapped, None) => Ok(bootstrapped.summary()),
        (_, Some(details)) => Err(details),
    }
}
