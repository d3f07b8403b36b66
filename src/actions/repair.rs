//! Makes one tenant complete in five steps, and stops at the first failure.

use super::{context::RunContext, judge::inspect, migrate::apply, rebuild::rebuild, run_state::RunState};
use crate::{
    config::Selection,
    failure::Failure,
    frameworks::Replay,
    outcome::{
        ActionEvent, FailureDetails,
        repair::{Repaired, STEPS, Step, StepResult},
        wording,
    },
    tenants::{
        gate::Judgement,
        inspection::{Inspection, Rows},
        manifest::Manifest,
        replay::{Refusal, may_replay},
    },
};

/// The options of a repair.
pub(crate) struct RepairRequest<'a> {
    pub(crate) tenant: &'a str,
    /// Runs this app's migrations again instead of applying the pending ones.
    pub(crate) replay: Option<&'a str>,
    pub(crate) allow_code: bool,
    /// Reports what would be applied, and changes nothing.
    pub(crate) dry_run: bool,
}

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

struct StepLog<'a> {
    repaired: Repaired,
    on_event: &'a dyn Fn(ActionEvent),
}

impl StepLog<'_> {
    fn step(&mut self, ended: StepResult, message: String) {
        let step = Step { ended, message };
        (self.on_event)(ActionEvent::RepairStep(self.repaired.steps.len() + 1, step.clone()));
        self.repaired.steps.push(step);
    }

    fn passed(&mut self, message: impl Into<String>) {
        self.step(StepResult::Passed, message.into());
    }
}

/// The work that the state requires.
enum Todo {
    Nothing,
    Apply(Vec<String>),
    /// The app's migrations, and its tables that also exist in the shared schema.
    Replay(Vec<String>, Vec<String>),
}

async fn steps(
    run: &RunState,
    request: &RepairRequest<'_>,
    log: &mut StepLog<'_>,
) -> Result<(), FailureDetails> {
    let (found, judgement) = inspect_one(&run.context, request.tenant).await?;
    if found.unregistered.contains(request.tenant) {
        let failure = Failure::NotRegistered { tenant: request.tenant.to_owned() };
        return Err(FailureDetails { judgement: Some(judgement), ..failure.into() });
    }
    log.passed(format!("`{}` is registered", request.tenant));

    let manifest = &run.context.expectation().await?.manifest;
    let message = state(&judgement);
    let todo = todo(manifest, request, &found, judgement)?;
    log.passed(message);

    if !apply_todo(run, request, todo, log).await? {
        for _ in log.repaired.steps.len()..STEPS.len() {
            log.step(StepResult::NotRun, "not in a dry run".into());
        }
        return Ok(());
    }

    let (found, judgement) = inspect_one(&run.context, request.tenant).await?;
    log.passed(FailureDetails::unless_complete(judgement)?);

    let kind = found.types.get(request.tenant).map(String::as_str);
    let tables: Vec<String> = manifest.tables_of(kind).keys().cloned().collect();
    let counts = run.context.database()?.count(request.tenant, &tables).await;
    let counts = counts.map_err(|error| error.into_failure("reading the tenant's tables"))?;
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
    let what = format!("the tables of `{}` are readable", request.tenant);
    Err(Failure::Unproven { what, why: unreadable.join("; ").into() }.into())
}

/// The gate's findings about the tenant, in one line.
fn state(judgement: &Judgement) -> String {
    let findings = judgement.tenants.values().flat_map(|verdict| &verdict.findings);
    let message = wording::sentence(findings);
    if message.is_empty() { "complete".into() } else { message }
}

/// Decides how to repair the state. A finding that applying migrations cannot fix ends the repair.
fn todo(
    manifest: &Manifest,
    request: &RepairRequest<'_>,
    found: &Inspection,
    judgement: Judgement,
) -> Result<Todo, FailureDetails> {
    if let Some(app) = request.replay {
        return match replayable(manifest, request, app, found) {
            Ok(copies) => Ok(Todo::Replay(migrations_of(manifest, app), copies)),
            Err(refusal) => {
                let (app, tenant) = (app.to_owned(), request.tenant.to_owned());
                let failure = Failure::NotReplayable { app, tenant, why: wording::refusal(&refusal) };
                Err(FailureDetails { judgement: Some(judgement), refusal: Some(refusal), ..failure.into() })
            }
        };
    }
    match judgement.tenants.get(request.tenant) {
        Some(verdict) if verdict.is_pending() && verdict.may_be_migrated() => {
            Ok(Todo::Apply(verdict.pending().to_vec()))
        }
        _ => FailureDetails::unless_complete(judgement).map(|_| Todo::Nothing),
    }
}

fn replayable(
    manifest: &Manifest,
    request: &RepairRequest<'_>,
    app: &str,
    found: &Inspection,
) -> Result<Vec<String>, Refusal> {
    let state = found.tenants.get(request.tenant).ok_or(Refusal::NoLedger)?;
    let tables = manifest.tables_of(found.types.get(request.tenant).map(String::as_str));
    may_replay(manifest, tables, app, state, &found.shadows, request.allow_code)
}

fn migrations_of(manifest: &Manifest, app: &str) -> Vec<String> {
    let of_app = manifest.tenant.migrations.iter().filter(|migration| migration.app == app);
    of_app.map(|migration| migration.name.clone()).collect()
}

/// The third step. Returns false if a dry run leaves work, so that nothing can be verified yet.
async fn apply_todo(
    state: &RunState,
    request: &RepairRequest<'_>,
    todo: Todo,
    log: &mut StepLog<'_>,
) -> Result<bool, FailureDetails> {
    match todo {
        Todo::Nothing => log.passed("nothing to apply"),
        Todo::Apply(names) | Todo::Replay(names, _) if request.dry_run => {
            let again = if request.replay.is_some() { " again" } else { "" };
            log.step(StepResult::NotRun, format!("would be applied{again}: {}", names.join(", ")));
            log.repaired.applied = names;
            return Ok(false);
        }
        Todo::Apply(names) => {
            let selection = Selection::Named(vec![request.tenant.to_owned()]);
            let applied = apply::apply(state, Some(&selection), log.on_event).await?;
            log.repaired.applied =
                applied.migrations.get(&Some(request.tenant.to_owned())).cloned().unwrap_or_default();
            // Another run may have applied it first.
            let mut message = applied.summary();
            if !log.repaired.applied.is_empty() {
                message = format!("{message}: {}", log.repaired.applied.join(", "));
            } else if !names.is_empty() {
                message = "nothing to apply: another run has applied it".into();
            }
            log.passed(message);
        }
        Todo::Replay(names, _) => {
            let lines = replayed(state, request, log.on_event).await?;
            for line in lines {
                (log.on_event)(ActionEvent::Note(format!("{}: {line}", request.tenant)));
            }
            log.passed(format!("applied again: {}", names.join(", ")));
            log.repaired.applied = names;
        }
    }
    Ok(true)
}

/// Inspects again under the lock, because another run may have repaired the tenant in the meantime.
async fn replayed(
    state: &RunState,
    request: &RepairRequest<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Vec<String>, FailureDetails> {
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let (found, judgement) = inspect_one(&state.context, request.tenant).await?;
    let manifest = &state.context.expectation().await?.manifest;
    match (request.replay, todo(manifest, request, &found, judgement)?) {
        (Some(app), Todo::Replay(_, copies)) => {
            state.history.start(&state.context).await;
            locked.check().await?;
            locked.prepare_framework(&state.context).await?;
            let project = state.context.project()?.ok_or_else(|| {
                let message = "only a framework's own program can replay migrations".into();
                Failure::Usage { message }
            })?;
            let timeout = state.context.migrations()?.apply.timeout;
            let replay = Replay { tenant: request.tenant, app, copies };
            let replayed = async {
                let (notes, recorded) = project.replay(&replay, timeout, on_event).await?;
                rebuild(&state.context, &locked, (app, request.tenant), recorded).await.map(|()| notes)
            };
            let replayed = replayed.await;
            if replayed.is_ok() {
                state.history.record_change(Some(request.tenant), &[format!("`{app}` replayed")]);
            }
            replayed.map_err(|(failure, output)| FailureDetails { output, ..FailureDetails::from(failure) })
        }
        _ => Ok(Vec::new()),
    }
}

async fn inspect_one(context: &RunContext, tenant: &str) -> Result<(Inspection, Judgement), Failure> {
    inspect(context, false, Some(&Selection::Named(vec![tenant.to_owned()]))).await
}

/// The tenants that lost tables of an app, whether or not a replay restores them. If no tenant has tables of the app,
/// every tenant is listed.
pub(crate) async fn affected(context: &RunContext, app: &str) -> Result<Vec<String>, Failure> {
    let manifest: &Manifest = &context.expectation().await?.manifest;
    let (found, _) = inspect(context, false, Some(&Selection::All)).await?;
    let check = |tenant: &String| {
        let request = RepairRequest { tenant, replay: Some(app), allow_code: true, dry_run: true };
        (tenant.clone(), replayable(manifest, &request, app, &found))
    };
    let checked: Vec<_> = found.tenants.keys().map(check).collect();
    let unknown = checked.iter().all(|(_, result)| *result == Err(Refusal::NoSuchApp));
    let lost = checked.into_iter().filter(|(_, result)| match result {
        Err(Refusal::NothingMissing) => false,
        // Another type of tenant has this app.
        Err(Refusal::NoSuchApp) => unknown,
        _ => true,
    });
    Ok(lost.map(|(tenant, _)| tenant).collect())
}
