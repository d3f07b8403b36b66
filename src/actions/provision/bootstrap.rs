//! Creates the configured demo tenants that are absent, and migrates those that exist.

use super::{
    command::{self, Created},
    create::create,
    recovery::refuse_unproved,
    tenant_request::TenantRequest,
};
use crate::{
    actions::{
        judge::inspect_named,
        migrate::{Limit, apply::apply},
        run_state::RunState,
        template,
    },
    config::{Bootstrap, Selection},
    failure::{Failure, chain},
    outcome::{ActionEvent, FailureDetails, SchemaFailure, bootstrap::Bootstrapped},
    tenants::gate::{Outcome, Verdict},
};

/// Creates each tenant separately: a failure neither hides nor stops the others, unless `stop` requests it.
pub(crate) async fn bootstrap(
    state: &RunState,
    settings: &Bootstrap,
    stop: bool,
    on_event: &dyn Fn(ActionEvent),
) -> (Bootstrapped, Option<FailureDetails>) {
    let mut bootstrapped = Bootstrapped::default();
    // Tenants that the framework's command has created and that are not complete yet.
    let mut created = Created::new();
    let result = each(state, settings, stop, &mut bootstrapped, &mut created, on_event).await;
    if !created.is_empty() {
        command::remove_rest(state, &created, &|text| on_event(ActionEvent::Note(text))).await;
    }
    (bootstrapped, result.err())
}

async fn each(
    state: &RunState,
    settings: &Bootstrap,
    stop: bool,
    bootstrapped: &mut Bootstrapped,
    created: &mut Created,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let (context, Bootstrap { tenants, run, .. }) = (&state.context, settings);
    let note = |text| on_event(ActionEvent::Note(text));
    let mut judgement = inspect_named(context, tenants).await?;
    let complete = |verdict: &Verdict| verdict.outcome() == Outcome::Complete;
    if !run.is_empty() && !judgement.tenants.values().all(complete) {
        // Only under the lock does a journal entry prove that its run was killed.
        let locked = state.acquire(&note).await?;
        judgement = inspect_named(context, tenants).await?;
        refuse_unproved(context, &locked, &judgement).await?;
        *created = command::create(state, &locked, settings, on_event).await?;
        judgement = inspect_named(context, tenants).await?;
    }
    let mut failed: Vec<SchemaFailure> = Vec::new();
    let mut details: Option<FailureDetails> = None;
    for (done, tenant) in tenants.iter().enumerate() {
        advance(state, done, tenants.len(), on_event).await;
        let new = created.contains_key(tenant);
        let result = match judgement.tenants.get(tenant) {
            Some(verdict) if verdict.is_absent() => create_absent(state, tenant, settings, on_event).await,
            Some(verdict) if complete(verdict) => Ok(new),
            _ => bring_up_to_date(state, tenant, on_event).await.map(|()| new),
        };
        let locked = state.lock.guard();
        let result = match result {
            Ok(new) => {
                command::complete(state, locked.as_ref(), tenant, created, &note).await;
                Ok(new)
            }
            Err(details) => Err(command::remove_one(state, locked.as_ref(), tenant, created, details).await),
        };
        drop(locked);
        match result {
            Ok(true) => {
                note(format!("`{tenant}` created, migrated and verified"));
                bootstrapped.created.push(tenant.clone());
            }
            Ok(false) => {
                note(format!("`{tenant}` exists and is complete"));
                bootstrapped.kept.push(tenant.clone());
            }
            Err(mut other) => {
                let why = chain(&other.failure);
                note(format!("`{tenant}` failed: {why}"));
                bootstrapped.failed.push((tenant.clone(), why));
                // The next tenant would fail for the same reason.
                let last = matches!(
                    other.failure,
                    Failure::LockTimedOut { .. } | Failure::LockLost { .. } | Failure::Refused { .. }
                );
                failed.append(&mut other.failed);
                details = Some(match details.take() {
                    None => other,
                    Some(first) if last => merged(other, first),
                    Some(first) => merged(first, other),
                });
                if stop || last {
                    break;
                }
            }
        }
    }
    let Some(mut details) = details else {
        advance(state, tenants.len(), tenants.len(), on_event).await;
        return Ok(());
    };
    details.failed = failed;
    details.done = Some(format!("{}, {} failed", bootstrapped.summary(), bootstrapped.failed.len()));
    Err(details)
}

/// The progress of a single tenant is not shown.
async fn advance(state: &RunState, done: usize, total: usize, on_event: &dyn Fn(ActionEvent)) {
    if total > 1 {
        on_event(ActionEvent::Progress { done, total, what: "demo tenants complete" });
        state.history.record_progress(&state.context, done, total).await;
    }
}

/// Creates an absent tenant; returns false if another run has created it in the meantime.
async fn create_absent(
    state: &RunState,
    tenant: &str,
    settings: &Bootstrap,
    on_event: &dyn Fn(ActionEvent),
) -> Result<bool, FailureDetails> {
    let locked = state.acquire(&|text| on_event(ActionEvent::Note(text))).await?;
    let named = [tenant.to_owned()];
    if !inspect_named(&state.context, &named).await?.tenants.get(tenant).is_some_and(Verdict::is_absent) {
        bring_up_to_date(state, tenant, on_event).await?;
        return Ok(false);
    }
    let new = TenantRequest::of_step(tenant, settings).creation(&state.context, on_event).await?;
    let template = template::configured(&state.context).await?;
    create(state, &locked, &new, template.as_ref(), on_event).await?;
    Ok(true)
}

/// Migrates and judges a tenant that exists; it is never created again.
async fn bring_up_to_date(
    state: &RunState,
    tenant: &str,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(), FailureDetails> {
    let named = vec![tenant.to_owned()];
    let on_event = |event| {
        if !matches!(event, ActionEvent::Progress { .. }) {
            on_event(event);
        }
    };
    apply(state, Some(&Selection::Named(named.clone())), Limit::default(), &on_event).await?;
    let judgement = inspect_named(&state.context, &named).await?;
    FailureDetails::unless_complete(judgement).map(drop)
}

fn merged(mut first: FailureDetails, other: FailureDetails) -> FailureDetails {
    match (&mut first.judgement, other.judgement) {
        (Some(judgement), Some(more)) => judgement.tenants.extend(more.tenants),
        (empty @ None, more) => *empty = more,
        (Some(_), None) => {}
    }
    first
}
