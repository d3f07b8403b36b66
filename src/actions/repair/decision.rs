//! Decides how to repair the state of a tenant. Pure.

use super::{
    request::{Method, RepairRequest},
    restore::Restoration,
};
use crate::{
    failure::Failure,
    outcome::{FailureDetails, wording},
    tenants::{
        gate::{Finding, Judgement, Verdict},
        inspection::Inspection,
        manifest::Manifest,
        replay::{Refusal, may_replay},
    },
};

/// The work that the state requires. The lists are names of migrations.
pub(super) enum Todo {
    Nothing,
    Apply(Vec<String>),
    Record(Vec<String>),
    /// The same, if the structure is complete.
    RecordIfComplete(Vec<String>),
    Restore(Box<Restoration>),
    /// The app's migrations, and its tables that also exist in the shared schema.
    Replay(Vec<String>, Vec<String>),
}

/// A finding that the method cannot fix ends the repair.
pub(super) fn decide(
    manifest: &Manifest,
    request: &RepairRequest<'_>,
    found: &Inspection,
    judgement: Judgement,
) -> Result<Todo, FailureDetails> {
    match (request.method, judgement.verdict(request.tenant)) {
        (Method::Replay { app, allow_code }, _) => {
            let tenant = request.tenant.unwrap_or_default();
            match replayable(manifest, tenant, app, found, allow_code) {
                Ok(copies) => Ok(Todo::Replay(migrations_of(manifest, app), copies)),
                Err(refusal) => {
                    let (app, tenant) = (app.to_owned(), tenant.to_owned());
                    let failure = Failure::NotReplayable { app, tenant, why: wording::refusal(&refusal) };
                    let judgement = Some(judgement);
                    Err(FailureDetails { judgement, refusal: Some(refusal), ..failure.into() })
                }
            }
        }
        (Method::Record, Some(verdict)) if !verdict.unrecorded().is_empty() && verdict.may_be_migrated() => {
            Ok(Todo::Record(verdict.unrecorded().to_vec()))
        }
        (Method::Record, Some(verdict)) if verdict.has_only_doubtful_records() => {
            Ok(Todo::RecordIfComplete(doubtful(manifest, request, verdict)))
        }
        (_, Some(verdict)) if verdict.is_pending() && may_be_migrated(verdict, request) => {
            Ok(Todo::Apply(verdict.pending().to_vec()))
        }
        _ => FailureDetails::unless_complete(judgement).map(|_| Todo::Nothing),
    }
}

/// The failed and altered migrations, or all of them if the ledger is lost.
fn doubtful(manifest: &Manifest, request: &RepairRequest<'_>, verdict: &Verdict) -> Vec<String> {
    let named = verdict.findings.iter().flat_map(|finding| match finding {
        Finding::Dirty { migrations } | Finding::Altered { migrations, .. } => migrations.to_vec(),
        Finding::NoLedger { .. } => {
            let expected = if request.tenant.is_some() { &manifest.tenant } else { &manifest.shared };
            manifest.framework.compare(expected, &[]).pending
        }
        _ => Vec::new(),
    });
    named.collect()
}

fn may_be_migrated(verdict: &Verdict, request: &RepairRequest<'_>) -> bool {
    verdict.may_be_migrated() || (request.tenant.is_none() && verdict.is_fresh())
}

fn replayable(
    manifest: &Manifest,
    tenant: &str,
    app: &str,
    found: &Inspection,
    allow_code: bool,
) -> Result<Vec<String>, Refusal> {
    let state = found.tenants.get(tenant).ok_or(Refusal::NoLedger)?;
    let tables = manifest.tables_of(found.types.get(tenant).map(String::as_str));
    may_replay(manifest, tables, app, state, &found.shadows, allow_code)
}

fn migrations_of(manifest: &Manifest, app: &str) -> Vec<String> {
    let of_app = manifest.tenant.migrations.iter().filter(|migration| migration.app == app);
    of_app.map(|migration| migration.name.clone()).collect()
}

/// If no tenant has tables of a replayed app, every tenant is listed.
pub(super) fn affected(
    manifest: &Manifest,
    found: &Inspection,
    judgement: &Judgement,
    method: Method<'_>,
) -> Vec<String> {
    let Method::Replay { app, .. } = method else {
        let tenants = judgement.tenants.iter().filter(|(_, verdict)| match method {
            Method::Record => !verdict.unrecorded().is_empty(),
            Method::Restore { .. } => verdict.lacks_objects(),
            Method::Apply | Method::Replay { .. } => verdict.is_pending(),
        });
        return tenants.map(|(tenant, _)| tenant.clone()).collect();
    };
    let check = |tenant: &String| (tenant.clone(), replayable(manifest, tenant, app, found, true));
    let checked: Vec<_> = found.tenants.keys().map(check).collect();
    let unknown = checked.iter().all(|(_, result)| *result == Err(Refusal::NoSuchApp));
    let lost = checked.into_iter().filter(|(_, result)| match result {
        Err(Refusal::NothingMissing) => false,
        // Another type of tenant has this app.
        Err(Refusal::NoSuchApp) => unknown,
        _ => true,
    });
    lost.map(|(tenant, _)| tenant).collect()
}
