//! The third step of a repair: changes the tenant under the lock, after a second inspection, because another run may
//! have repaired the tenant in the meantime.

use super::{
    decision::Todo,
    request::{Method, RepairRequest},
    restore::Restoration,
    state,
    step_log::StepLog,
};
use crate::{
    actions::{
        lock::Locked,
        migrate::{Limit, apply},
        rebuild::rebuild,
        run_state::RunState,
    },
    config::Selection,
    database::ApplyError,
    failure::Failure,
    frameworks::Replay,
    outcome::{ActionEvent, FailureDetails, SchemaFailure, repair::StepResult, wording},
};

/// Makes the change and describes it. None if a dry run leaves work, so that nothing can be verified yet.
pub(super) async fn change(
    run: &RunState,
    request: &RepairRequest<'_>,
    todo: Todo,
    log: &mut StepLog<'_>,
) -> Result<Option<String>, FailureDetails> {
    let message = match todo {
        Todo::Nothing | Todo::RecordIfComplete(_) => "nothing to apply".into(),
        Todo::Record(names) if request.dry_run => {
            log.step(StepResult::NotRun, format!("would be recorded without running: {}", names.join(", ")));
            return Ok(None);
        }
        Todo::Apply(names) | Todo::Replay(names, _) if request.dry_run => {
            let again = if matches!(request.method, Method::Replay { .. }) { " again" } else { "" };
            log.step(StepResult::NotRun, format!("would be applied{again}: {}", names.join(", ")));
            log.repaired.applied = names;
            return Ok(None);
        }
        Todo::Restore(restoration) => return restore(run, request, &restoration, log).await,
        Todo::Apply(names) => apply_pending(run, request, &names, log).await?,
        Todo::Record(_) => {
            let recorded = record(run, request, log).await?;
            let rest = apply_pending(run, request, &[], log).await?;
            format!("recorded without running: {}; {rest}", recorded.join(", "))
        }
        Todo::Replay(names, _) => {
            for line in replay(run, request, log.on_event).await? {
                (log.on_event)(ActionEvent::Note(format!("{}: {line}", wording::name(request.tenant))));
            }
            let message = format!("applied again: {}", names.join(", "));
            log.repaired.applied = names;
            message
        }
    };
    Ok(Some(message))
}

async fn restore(
    run: &RunState,
    request: &RepairRequest<'_>,
    restoration: &Restoration,
    log: &mut StepLog<'_>,
) -> Result<Option<String>, FailureDetails> {
    let schema = wording::name(request.tenant);
    if request.method == (Method::Restore { print: true }) || request.dry_run {
        log.repaired.sql = Some(restoration.script(schema));
        log.step(StepResult::NotRun, format!("would be restored: {}", restoration.words()));
        return Ok(None);
    }
    let locked = run.acquire(&|text| (log.on_event)(ActionEvent::Note(text))).await?;
    let (found, judgement) = request.inspect(&run.context).await?;
    let Todo::Restore(restoration) = state::todo(&run.context, request, &found, judgement).await? else {
        return Ok(Some("nothing to restore: another run has restored it".into()));
    };
    for line in restoration.script(schema).lines() {
        (log.on_event)(ActionEvent::Note(line.to_owned()));
    }
    run.history.start(&run.context).await;
    locked.check().await?;
    restoration.apply(&run.context, &locked, request, log.on_event).await?;
    let words = restoration.words();
    run.history.record_change(request.tenant, &[format!("restored {words}")]);
    Ok(Some(format!("restored: {words}")))
}

async fn apply_pending(
    run: &RunState,
    request: &RepairRequest<'_>,
    names: &[String],
    log: &mut StepLog<'_>,
) -> Result<String, FailureDetails> {
    let tenant = request.tenant.map(str::to_owned);
    let selection = tenant.clone().map(|tenant| Selection::Named(vec![tenant]));
    let applied = apply::apply(run, selection.as_ref(), Limit::default(), log.on_event).await?;
    log.repaired.applied = applied.migrations.get(&tenant).cloned().unwrap_or_default();
    if !log.repaired.applied.is_empty() {
        return Ok(format!("{}: {}", applied.summary(), log.repaired.applied.join(", ")));
    }
    // Another run may have applied it first.
    Ok(if names.is_empty() {
        applied.summary()
    } else {
        "nothing to apply: another run has applied it".into()
    })
}

/// Inspects again under the lock.
async fn locked<'a>(
    run: &'a RunState,
    request: &RepairRequest<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(Locked<'a>, Todo), FailureDetails> {
    let locked = run.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let (found, judgement) = request.inspect(&run.context).await?;
    let todo = state::todo(&run.context, request, &found, judgement).await?;
    if !matches!(todo, Todo::Nothing) {
        run.history.start(&run.context).await;
        locked.check().await?;
    }
    Ok((locked, todo))
}

async fn record(
    run: &RunState,
    request: &RepairRequest<'_>,
    log: &StepLog<'_>,
) -> Result<Vec<String>, FailureDetails> {
    let (locked, todo) = locked(run, request, log.on_event).await?;
    let Todo::Record(names) = todo else { return Ok(Vec::new()) };
    let (context, tenant) = (&run.context, request.tenant);
    if context.project()?.is_some() {
        locked.prepare_framework(context).await?;
        if let Some(project) = context.project()? {
            let timeout = context.migrations()?.apply.timeout;
            let recorded = project.mark_applied(tenant, &names, timeout, log.on_event).await;
            recorded
                .map_err(|(failure, output)| FailureDetails { output, ..FailureDetails::from(failure) })?;
        }
    } else {
        let expectation = context.expectation().await?;
        let files = if tenant.is_some() { &expectation.tenant } else { &expectation.shared };
        let files: Vec<_> = files.iter().filter(|file| names.contains(&file.name())).cloned().collect();
        let schema = request.schema();
        let recorded = context.database()?.record(&locked, &schema, &files, &context.limits()?).await;
        recorded.map_err(|error| failed(tenant, error))?;
    }
    let entries: Vec<String> =
        names.iter().map(|name| format!("`{name}` recorded without running")).collect();
    run.history.record_change(tenant, &entries);
    Ok(names)
}

fn failed(tenant: Option<&str>, error: ApplyError) -> FailureDetails {
    let ApplyError { migration, place, why, .. } = error;
    let failed = SchemaFailure {
        tenant: tenant.map(str::to_owned),
        migration,
        place,
        why,
        ..SchemaFailure::default()
    };
    let failure = Failure::MigrationFailed { failed: 1, unmigratable: 0 };
    FailureDetails { failed: vec![failed], ..failure.into() }
}

async fn replay(
    run: &RunState,
    request: &RepairRequest<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Vec<String>, FailureDetails> {
    let (locked, todo) = locked(run, request, on_event).await?;
    let (Method::Replay { app, .. }, Todo::Replay(_, copies), Some(tenant)) =
        (request.method, todo, request.tenant)
    else {
        return Ok(Vec::new());
    };
    locked.prepare_framework(&run.context).await?;
    let project = run.context.project()?.ok_or_else(|| {
        let message = "only a framework's own program can replay migrations".into();
        Failure::Usage { message }
    })?;
    let timeout = run.context.migrations()?.apply.timeout;
    let replay = Replay { tenant, app, copies };
    let replayed = async {
        let (notes, recorded) = project.replay(&replay, timeout, on_event).await?;
        rebuild(&run.context, &locked, (app, tenant), recorded).await.map(|()| notes)
    };
    let replayed = replayed.await;
    if replayed.is_ok() {
        run.history.record_change(Some(tenant), &[format!("`{app}` replayed")]);
    }
    replayed.map_err(|(failure, output)| FailureDetails { output, ..FailureDetails::from(failure) })
}
