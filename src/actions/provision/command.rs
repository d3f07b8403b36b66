//! Has a framework's own command create tenants. The command creates the schemas itself, so no nonce can precede
//! them: the journal records which of the named tenants were absent. Only those are ever removed, and only by the run
//! that recorded them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    in_flight::{InFlight, registered, schema_exists},
    rollback::{self, Rollback, RollbackOutcome},
};
use crate::{
    actions::{
        blockers,
        context::RunContext,
        history,
        judge::inspect_named,
        lock::Locked,
        migrate::schema::{ATTEMPTS, PAUSES},
        run_state::RunState,
    },
    config::{Bootstrap, Keep, Privileges, Source},
    database::{self, DatabaseError},
    deadline::Deadline,
    failure::{Cleanup, Failure, chain},
    frameworks::{self, ProgramSessions, run_to_end},
    ordered::Ordered,
    outcome::{ActionEvent, FailureDetails},
    process::Child,
    retry::Retry,
    tenants::gate::{Judgement, Verdict},
};

/// The tenants that were absent and that the command has created, each with the nonce of its journal entry.
pub(super) type Created = BTreeMap<String, String>;

/// Runs the command if any of the tenants is absent. If it fails, removes the tenants that were absent, except for
/// complete ones with `keep = "complete"`. After a deadlock or a lock time-out and the removal of every tenant, the command
/// runs again.
pub(super) async fn create(
    state: &RunState,
    locked: &Locked<'_>,
    settings: &Bootstrap,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Created, FailureDetails> {
    let mut retry = Retry::new(PAUSES).at_most(ATTEMPTS);
    loop {
        let mut is_repeatable = false;
        let result = create_once(state, locked, settings, &mut is_repeatable, on_event).await;
        if result.is_ok() || !is_repeatable || !retry.pause().await {
            return result;
        }
        let attempt = retry.attempt();
        let text = format!(
            "another session held a lock, and the tenants of `{}` were rolled back; attempt {attempt} of {ATTEMPTS} follows",
            settings.run.join(" ")
        );
        on_event(ActionEvent::Note(text));
    }
}

async fn create_once(
    state: &RunState,
    locked: &Locked<'_>,
    Bootstrap { tenants, run, keep, .. }: &Bootstrap,
    is_repeatable: &mut bool,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Created, FailureDetails> {
    let note = |text| on_event(ActionEvent::Note(text));
    let context = &state.context;
    let missing = absent(&inspect_named(context, tenants).await?);
    let Some(first) = missing.first().cloned() else { return Ok(Created::new()) };
    let before = registered(context).await?;
    refuse_existing(context, &missing, &before).await?;
    state.history.start(context).await;
    let noted: Vec<(String, String)> =
        missing.iter().map(|tenant| (tenant.clone(), database::nonce())).collect();
    let journal = |error: DatabaseError| error.into_failure("writing the journal");
    context.database()?.record_intent(locked, &context.run, &noted).await.map_err(journal)?;
    state.rollback.register(InFlight::Command(noted.clone()));
    locked.record_programs(context).await?;
    let (ran, output) = run_command(context, run, on_event).await?;
    let mut failed = ran.err().map(|why| (first.clone(), why));
    let judgement = match after(state, tenants).await {
        Ok((judgement, now)) => {
            note_newcomers(&now, &before, &missing, &note);
            judgement
        }
        Err(failure) => {
            failed.get_or_insert((first, chain(&failure)));
            Judgement::default()
        }
    };
    let left = absent(&judgement).into_iter().next();
    let not_created = |left| {
        (String::clone(&left), format!("`{}` succeeded, but `{left}` is not in the registry", run.join(" ")))
    };
    failed = failed.or_else(|| left.map(not_created));
    let remains = |tenant: &String| match &failed {
        None => true,
        Some(_) => {
            *keep == Keep::Complete && judgement.tenants.get(tenant).is_some_and(Verdict::has_everything)
        }
    };
    let (created, rest): (Vec<_>, Vec<_>) = noted.into_iter().partition(|(tenant, _)| remains(tenant));
    if !created.is_empty() {
        let (names, nonces): (Vec<&str>, Vec<String>) =
            created.iter().map(|(tenant, nonce)| (tenant.as_str(), nonce.clone())).unzip();
        context.database()?.record_success(locked, &nonces).await.map_err(journal)?;
        for tenant in &names {
            state.history.record_change(Some(tenant), &[history::CREATED.into()]);
        }
        let names = names.join(", ");
        note(match &failed {
            None => format!("created by `{}`: {names}", run.join(" ")),
            Some((_, why)) => format!("{why}; the gate finds {names} complete, so `keep` lets it remain"),
        });
    }
    let Some((tenant, why)) = failed.filter(|_| !rest.is_empty()) else {
        return Ok(created.into_iter().into_map());
    };
    state.rollback.register(InFlight::Command(rest));
    let outcome = state.rollback.roll_back(context, locked).await;
    let is_absent = matches!(outcome, RollbackOutcome::Nothing) && created.is_empty();
    *is_repeatable = is_absent && frameworks::name_a_lock(&output);
    Err(FailureDetails { output, ..failure(tenant, why, outcome).into() })
}

/// Refuses tenants that exist although they count as absent.
async fn refuse_existing(
    context: &RunContext,
    missing: &[String],
    registered: &BTreeSet<String>,
) -> Result<(), Failure> {
    for tenant in missing {
        let why = if registered.contains(tenant) {
            format!("the registry contains `{tenant}`, in a row that `where` excludes")
        } else if schema_exists(context, tenant).await? {
            format!("a schema `{tenant}` exists, but the registry has no row for it")
        } else {
            continue;
        };
        let tenant = tenant.clone();
        return Err(Failure::Provisioning { tenant, why: why.into(), left: Cleanup::Unproven });
    }
    Ok(())
}

/// Returns why the command failed, if it did, and its last lines.
async fn run_command(
    context: &RunContext,
    argv: &[String],
    on_event: &dyn Fn(ActionEvent),
) -> Result<(Result<(), String>, Vec<String>), Failure> {
    let migrations = context.migrations()?;
    let (given, privileges) = match &migrations.source {
        Source::Sql { .. } => (&BTreeMap::new(), Privileges::default()),
        Source::External(project) => (&project.env, project.privileges.clone()),
    };
    let mut sessions = context.program_sessions().await?.cloned();
    let manifest = &context.expectation().await?.manifest;
    if manifest.creation_commits_by_itself(&manifest.tenant) {
        // A concurrent index build waits for older transactions.
        sessions = sessions.as_ref().map(ProgramSessions::without_time_outs);
    }
    let child = frameworks::child(&context.run, sessions.as_ref(), &[], given, argv.to_vec());
    let child = Child { privileges, ..child };
    let program = argv.first().map_or("", String::as_str);
    let timeout = migrations.apply.timeout;
    let ran = run_to_end(&context.processes, &child, Deadline::after(timeout), on_event);
    let (ran, blockers) = blockers::watch(context, ran, on_event).await;
    let finished = match ran {
        Ok(finished) => finished,
        Err(error) => return Ok((Err(format!("cannot start `{program}`: {error}")), Vec::new())),
    };
    let accepted = finished.accepted(program, &[0], timeout);
    let failed = |failure: Failure| blockers.add_to(failure.to_string(), None);
    Ok((accepted.map(drop).map_err(failed), finished.last.into()))
}

/// The judgement of the named tenants, and every tenant in the registry.
async fn after(state: &RunState, tenants: &[String]) -> Result<(Judgement, BTreeSet<String>), Failure> {
    let judgement = inspect_named(&state.context, tenants).await?;
    Ok((judgement, registered(&state.context).await?))
}

fn note_newcomers(
    now: &BTreeSet<String>,
    before: &BTreeSet<String>,
    missing: &[String],
    on_note: &dyn Fn(String),
) {
    for newcomer in now.difference(before).filter(|name| !missing.contains(name)) {
        on_note(format!(
            "another session created tenant `{newcomer}` during this step; Portcullis did not change it"
        ));
    }
}

/// Marks one created tenant as complete: deletes its journal entry, and excludes it from the rollback.
pub(super) async fn complete(
    state: &RunState,
    locked: Option<&Locked<'_>>,
    tenant: &str,
    created: &mut Created,
    on_note: &dyn Fn(String),
) {
    let Some(nonce) = created.remove(tenant) else { return };
    register_rest(&state.rollback, created);
    let deleted = match (state.context.database(), locked) {
        (Ok(database), Some(locked)) => {
            database.delete_entries(locked, &[nonce]).await.map_err(|error| error.to_string())
        }
        (Ok(_), None) => Err("this run no longer holds the lock".into()),
        (Err(failure), _) => Err(failure.to_string()),
    };
    if let Err(why) = deleted {
        on_note(format!(
            "the journal entry of `{tenant}` stays until the next run finds the tenant complete: {why}"
        ));
    }
}

/// Deletes a tenant whose verification failed. It stays registered for rollback until the delete has committed.
pub(super) async fn remove_one(
    state: &RunState,
    locked: Option<&Locked<'_>>,
    tenant: &str,
    created: &mut Created,
    details: FailureDetails,
) -> FailureDetails {
    let Some(nonce) = created.get(tenant) else { return details };
    let one = InFlight::Command(vec![(tenant.to_owned(), nonce.clone())]);
    let outcome = rollback::roll_back(&state.context, locked, &one, Deadline::after(rollback::LIMIT)).await;
    created.remove(tenant);
    register_rest(&state.rollback, created);
    let why = chain(&details.failure);
    FailureDetails { failure: failure(tenant.to_owned(), why, outcome), ..details }
}

/// Removes the created tenants that were not verified because others had failed.
pub(super) async fn remove_rest(state: &RunState, created: &Created, on_note: &dyn Fn(String)) {
    register_rest(&state.rollback, created);
    let deadline = Deadline::after(rollback::LIMIT);
    if let Some(text) = state.rollback.roll_back_in_flight(&state.context, &state.lock, deadline).await {
        on_note(text);
    }
}

fn register_rest(rollback: &Rollback, created: &Created) {
    if created.is_empty() {
        rollback.forget();
    } else {
        rollback.register(InFlight::Command(created.clone().into_iter().collect()));
    }
}

fn failure(tenant: String, why: String, outcome: RollbackOutcome) -> Failure {
    match outcome {
        RollbackOutcome::Nothing | RollbackOutcome::Complete => {
            Failure::Provisioning { tenant, why: why.into(), left: Cleanup::TenantsRemoved }
        }
        // The next run cannot prove what the command created.
        RollbackOutcome::Unproven(what) | RollbackOutcome::Later(what) => {
            Failure::Provisioning { tenant, why: format!("{why}; {what}").into(), left: Cleanup::Unproven }
        }
    }
}

/// The tenants that the registry does not contain.
fn absent(judgement: &Judgement) -> Vec<String> {
    let absent = judgement.tenants.iter().filter(|(_, verdict)| verdict.is_absent());
    absent.map(|(tenant, _)| tenant.clone()).collect()
}
