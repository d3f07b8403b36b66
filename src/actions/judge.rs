//! Inspects the database once, read-only, and judges what was found by the configured rules.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::context::RunContext;
use crate::{
    config::{Ahead, Scope, Selection},
    database::{DatabaseError, InspectRequest, NO_PROGRESS},
    failure::Failure,
    outcome::wording,
    tenants::{
        day::Day,
        gate::{self, Judgement, Rules},
        inspection::Inspection,
        manifest::Manifest,
    },
    words,
};

/// How long one inspection may take where the configuration sets no limit.
pub(crate) const INSPECTION: Duration = Duration::from_mins(2);

/// Inspects the shared schema, if asked, and these tenants, by the run's own manifest. The size of the registry counts
/// only where every tenant is asked for.
pub(crate) async fn inspect(
    context: &RunContext,
    shared: bool,
    tenants: Option<&Selection>,
) -> Result<(Inspection, Judgement), Failure> {
    let manifest = &context.expectation().await?.manifest;
    let found = ask(context, &question(context, manifest, shared, tenants, INSPECTION)).await;
    let found = found.map_err(|error| error.into_failure("inspecting the schemas"))?;
    let mut judgement = judge(context, manifest, &found);
    if tenants != Some(&Selection::All) {
        judgement.too_few = None;
    }
    Ok((found, judgement))
}

/// The named tenants' judgement.
pub(crate) async fn inspect_named(context: &RunContext, tenants: &[String]) -> Result<Judgement, Failure> {
    let named = Selection::Named(tenants.to_vec());
    Ok(inspect(context, false, Some(&named)).await?.1)
}

/// Whether anything of this scope is pending, for `when = { pending = ... }`.
pub(crate) async fn is_pending(context: &RunContext, scope: Scope) -> Result<bool, Failure> {
    let tenants = (scope == Scope::Tenants).then_some(&Selection::All);
    let (_, judgement) = inspect(context, scope == Scope::Shared, tenants).await?;
    Ok(judgement.verdicts().any(|(_, verdict)| verdict.is_pending()))
}

pub(super) fn question<'a>(
    context: &RunContext,
    manifest: &'a Manifest,
    shared: bool,
    tenants: Option<&'a Selection>,
    timeout: Duration,
) -> InspectRequest<'a> {
    let allow_standby = context.config.gate.allow_standby;
    InspectRequest { manifest, shared, tenants, timeout, allow_standby, on_progress: NO_PROGRESS }
}

pub(super) async fn ask(
    context: &RunContext,
    question: &InspectRequest<'_>,
) -> Result<Inspection, DatabaseError> {
    let database = context.database().map_err(|failure| DatabaseError::Failed(failure.to_string().into()))?;
    let started = Instant::now();
    let found = database.inspect(question).await?;
    tracing::debug!(tenants = found.tenants.len(), took = ?started.elapsed(), "inspected");
    Ok(found)
}

/// Judges what was found by the configured rules.
pub(super) fn judge(context: &RunContext, manifest: &Manifest, found: &Inspection) -> Judgement {
    let at_least = context.config.registry.as_ref().map_or(0, |registry| registry.at_least);
    let mut judgement = gate::judge(manifest, found, rules(context, at_least));
    if !context.config.accepts.is_empty() {
        judgement.accept(&context.config.accepts, today());
    }
    judgement
}

/// The rules; `min_rows` is 0 for a single schema, where the size of the registry does not matter.
pub(super) fn rules(context: &RunContext, at_least: usize) -> Rules {
    Rules { ahead_blocks: context.config.gate.ahead == Ahead::Block, at_least }
}

/// Entries of `[[accept]]` that no longer do anything, in words.
pub(crate) fn stale_accepts(context: &RunContext, judgement: &Judgement) -> Vec<String> {
    let stale = judgement.stale(&context.config.accepts, today());
    stale.into_iter().map(|(accept, why)| wording::stale(accept, why)).collect()
}

/// The day on the clock, in UTC.
fn today() -> Day {
    // A clock that cannot be read counts as the last of all days, on which nothing is waived any more.
    words::rfc3339(SystemTime::now()).parse().unwrap_or(Day::LAST)
}
