//! `bootstrap`: creates the configured demo tenants that are absent, and migrates those that exist.

use super::context::Context;
use crate::{actions::provision::bootstrap::bootstrap, outcome::FailureDetails};

pub(super) async fn run(
    tenants: &[String],
    run: &[String],
    context: &Context<'_>,
) -> Result<String, FailureDetails> {
    let on_event = |event| context.report(event, "demo tenants", "demo tenants complete");
    match bootstrap(context.state, tenants, run, false, &on_event).await {
        (bootstrapped, None) => Ok(bootstrapped.summary()),
        (_, Some(details)) => Err(details),
    }
}
