//! Inspects the database once, read-only, and judges the inspection by the configured rules.

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
        structure::judge::StructureRules,
    },
    words,
};

/// The time limit of one inspection if the configuration sets none.
pub(crate) const INSPECTION: Duration = Duration::from_mins(2);

/// Inspects the shared schema, if requested, and these tenants, by the run's own manifest. The size of the registry
/// counts only if every tenant is selected.
pub(crate) async fn inspect(
    context: &RunContext,
    shared: bool,
    tenants: Option<&Selection>,
) -> Result<(Inspection, Judgement), Failure> {
    let manifest = &context.expectation().await?.manifest;
    let found = observe(context, &inspect_request(context, manifest, shared, tenants, INSPECTION)).await;
    let found = found.map_err(|error| error.into_failure("inspecting the schemas"))?;
    let mut judgement = judge(context, manifest, &found, None);
    if tenants != Some(&Selection::All) {
        judgement.too_few = None;
    }
    Ok((found, judgement))
}

/// The judgement of the named tenants.
pub(crate) async fn inspect_named(context: &RunContext, tenants: &[String]) -> Result<Judgement, Failure> {
    let named = Selection::Named(tenants.to_vec());
    Ok(inspect(context, false, Some(&named)).await?.1)
}

/// Whether anything in this scope is pending, for `when = { pending = ... }`.
pub(crate) async fn is_pending(context: &RunContext, scope: Scope) -> Result<bool, Failure> {
    let tenants = (scope == Scope::Tenants).then_some(&Selection::All);
    let (_, judgement) = inspect(context, scope == Scope::Shared, tenants).await?;
    Ok(judgement.verdicts().any(|(_, verdict)| verdict.is_pending()))
}

pub(super) fn inspect_request<'a>(
    context: &RunContext,
    manifest: &'a Manifest,
    shared: bool,
    tenants: Option<&'a Selection>,
    timeout: Duration,
) -> InspectRequest<'a> {
    let allow_standby = context.config.gate.allow_standby;
    InspectRequest {
        manifest,
        shared,
        tenants,
        timeout,
        allow_standby,
        structure: false,
        on_progress: NO_PROGRESS,
    }
}

pub(super) async fn observe(
    context: &RunContext,
    request: &InspectRequest<'_>,
) -> Result<Inspection, DatabaseError> {
    let database = context.database().map_err(|failure| DatabaseError::Failed(failure.to_string().into()))?;
    let started = Instant::now();
    let found = database.inspect(request).await?;
    tracing::debug!(tenants = found.tenants.len(), took = ?started.elapsed(), "inspected");
    Ok(found)
}

/// Judges an inspection by the configured rules.
pub(super) fn judge(
    context: &RunContext,
    manifest: &Manifest,
    found: &Inspection,
    structure: Option<&StructureRules>,
) -> Judgement {
    let at_least = context.config.registry.as_ref().map_or(0, |registry| registry.at_least);
    let mut judgement = gate::judge(manifest, found, rules(context, at_least));
    if let Some(rules) = structure {
        judgement.compare_structures(manifest, found, rules);
    }
    if context.config.migrations.as_ref().is_some_and(|migrations| migrations.template.is_some())
        && manifest.types.is_empty()
    {
        // The template shows the objects of every tenant.
        judgement.without_example.retain(Option::is_none);
    }
    if !context.config.accepts.is_empty() {
        judgement.accept(&context.config.accepts, today());
    }
    judgement
}

/// The rules; `min_rows` is 0 for a single schema, where the size of the registry does not matter.
pub(super) fn rules(context: &RunContext, at_least: usize) -> Rules {
    Rules { ahead_blocks: context.config.gate.ahead == Ahead::Block, at_least }
}

/// Describes the `[[accept]]` entries that no longer match a finding.
pub(crate) fn stale_accepts(context: &RunContext, judgement: &Judgement) -> Vec<String> {
    let stale = judgement.stale(&context.config.accepts, today());
    stale.into_iter().map(|(accept, why)| wording::stale(accept, why)).collect()
}

/// Today's date, in UTC.
fn today() -> Day {
    // With an unreadable clock, the date is the last possible day, on which every acceptance has expired.
    words::rfc3339(SystemTime::now()).parse().unwrap_or(Day::LAST)
}
