//! Runs `migrate` steps: applies pending migrations in the shared schema or in every tenant.

use super::context::Context;
use crate::{
    actions::{compat, migrate::apply},
    config::{CompatCheck, Scope},
    failure::{Failure, chain},
    outcome::{FailureDetails, compat as wording, event::Event},
    tenants::compat::Level,
};

/// The number of findings in the warnings.
const WARNINGS: usize = 10;

pub(super) async fn run(scope: Scope, context: &Context<'_>) -> Result<String, FailureDetails> {
    let before = || -> futures_util::future::LocalBoxFuture<'_, _> { Box::pin(may_replace(context)) };
    let applied = apply::scope(context.state, scope, &before, &|event| context.report(event)).await?;
    Ok(applied.summary())
}

/// Fails if the code of the release that serves must keep its schema.
async fn may_replace(context: &Context<'_>) -> Result<(), FailureDetails> {
    let state = context.state;
    let check = state.context.config.gate.compat;
    if check == CompatCheck::Off || state.may_replace.get() {
        return Ok(());
    }
    if let Some(details) = compat::judge_serving(&state.context).await? {
        let breaks = matches!(details.failure, Failure::Incompatible { breaks: 1.., .. });
        if check == CompatCheck::Warn || (check == CompatCheck::Breaks && !breaks) {
            context.warn(chain(&details.failure));
            let findings = details.incompatibilities.iter();
            let bad = findings.filter(|finding| finding.change.level() > Level::Note);
            for finding in bad.take(WARNINGS) {
                context.warn(format!("{}: {}", wording::part(&finding.part), wording::words(finding)));
            }
        } else {
            let warn = |text| context.warn(text);
            let how = state.bypasses.bypass(&state.context, &state.history, &details, false, &warn).await;
            let Some(how) = how else { return Err(details) };
            (context.on_event)(Event::GateBypassed { step: context.step, how, details });
        }
    }
    state.may_replace.set(true);
    Ok(())
}
