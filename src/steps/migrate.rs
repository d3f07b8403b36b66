//! Runs `migrate` steps: applies pending migrations in the shared schema or in every tenant.

use super::context::Context;
use crate::{actions::migrate::apply, config::Scope, outcome::FailureDetails};

pub(super) async fn run(scope: Scope, context: &Context<'_>) -> Result<String, FailureDetails> {
    apply::scope(context.state, scope, &|event| context.report(event)).await.map(|applied| applied.summary())
}
