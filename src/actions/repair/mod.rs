//! Makes one tenant complete in five steps, and stops at the first failure.

mod change;
mod decision;
mod request;
mod restore;
mod state;
mod step_log;

pub(crate) use self::request::{Method, RepairRequest};
use self::step_log::StepLog;
use super::{context::RunContext, judge::inspect, run_state::RunState, structure_rules::inspect_structures};
use crate::{
    config::Selection,
    failure::Failure,
    outcome::{
        ActionEvent, FailureDetails,
        repair::{Repaired, STEPS, StepResult},
        wording,
    },
    tenants::{
        gate::Judgement,
        inspection::{Inspection, Rows},
        manifest::{Manifest, Tables},
    },
};

/// Runs the steps. After a failure, the last reported step is the one that failed.
pub(crate) async fn repair(
    state: &RunState,
    request: &RepairRequest<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Repaired {
    let mut log = StepLog { repaired: Repaired::default(), on_event };
    state.history.start_step("portcullis repair");
    if let Err(mut details) = steps(state, request, &mut log).await {
        let failed = log.repaired.steps.len();
        log.step(StepResult::Failed, crate::failure::chain(&details.failure));
        let name = STEPS.get(failed).copied().unwrap_or_default();
        let stopped = format!("{failed} of {} steps; stopped at {}: {name}", STEPS.len(), failed + 1);
        details.done = Some(details.done.map_or(stopped.clone(), |done| format!("{stopped} ({done})")));
        log.repaired.details = Some(details);
    }
    log.repaired
}

async fn steps(
    run: &RunState,
    request: &RepairRequest<'_>,
    log: &mut StepLog<'_>,
) -> Result<(), FailureDetails> {
    let (found, judgement) = request.inspect(&run.context).await?;
    match request.tenant {
        Some(tenant) if found.unregistered.contains(tenant) => {
            let failure = Failure::NotRegistered { tenant: tenant.to_owned() };
            return Err(FailureDetails { judgement: Some(judgement), ..failure.into() });
        }
        Some(tenant) => log.passed(format!("`{tenant}` is registered")),
        None => log.passed(wording::name(None)),
    }

    let manifest = &run.context.expectation().await?.manifest;
    let message = findings(&judgement);
    let todo = state::todo(&run.context, request, &found, judgement).await?;
    log.passed(message);

    let Some(message) = change::change(run, request, todo, log).await? else {
        for _ in log.repaired.steps.len()..STEPS.len() {
            log.step(StepResult::NotRun, "not in a dry run".into());
        }
        return Ok(());
    };
    log.passed(message);

    let (found, judgement) = request.inspect(&run.context).await?;
    log.passed(FailureDetails::unless_complete(judgement)?);

    let tables = tables(manifest, request, &found).keys().cloned().collect::<Vec<_>>();
    let counts = run.context.database()?.count(&request.schema(), &tables).await;
    let counts = counts.map_err(|error| error.into_failure("reading the tables"))?;
    let unreadable: Vec<String> = counts
        .iter()
        .filter_map(|(table, rows)| match rows {
            Rows::Failed(why) => Some(format!("`{table}`: {why}")),
            Rows::Counted(_) | Rows::Uncounted => None,
        })
        .collect();
    log.repaired.tables = counts;
    if unreadable.is_empty() {
        log.passed(wording::rows(&log.repaired.tables));
        return Ok(());
    }
    let what = format!("the tables of `{}` are readable", wording::name(request.tenant));
    Err(Failure::Unproven { what, why: unreadable.join("; ").into() }.into())
}

/// The expected tables of the schema.
fn tables<'a>(manifest: &'a Manifest, request: &RepairRequest<'_>, found: &Inspection) -> &'a Tables {
    match request.tenant {
        None => &manifest.shared.tables,
        Some(tenant) => manifest.tables_of(found.types.get(tenant).map(String::as_str)),
    }
}

/// The gate's findings about the schema, in one line.
fn findings(judgement: &Judgement) -> String {
    let findings = judgement.verdicts().flat_map(|(_, verdict)| &verdict.findings);
    let message = wording::sentence(findings);
    if message.is_empty() { "complete".into() } else { message }
}

/// The tenants with a finding that the method is for, whether or not it can fix it.
pub(crate) async fn affected(context: &RunContext, method: Method<'_>) -> Result<Vec<String>, Failure> {
    let manifest: &Manifest = &context.expectation().await?.manifest;
    let (found, judgement) = match method {
        Method::Restore { .. } => inspect_structures(context).await?,
        _ => inspect(context, false, Some(&Selection::All)).await?,
    };
    Ok(decision::affected(manifest, &found, &judgement, method))
}
