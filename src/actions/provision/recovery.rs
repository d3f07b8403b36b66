//! Removes what killed runs left unfinished. A run does this first when it acquires the lock.

use super::{in_flight::schema_exists, rollback::Rollback, tenant_request::domains};
use crate::{
    actions::{context::RunContext, judge::inspect_named, lock::Locked},
    config::{Action, Bootstrap, Keep},
    database::{Intent, RecoveryResult},
    failure::{Cleanup, Failure, chain},
    outcome::FailureDetails,
    tenants::gate::{Judgement, Verdict},
};

pub(crate) async fn recover(
    context: &RunContext,
    locked: &Locked<'_>,
    rollback: &Rollback,
    on_note: &dyn Fn(String),
) {
    let (Ok(database), Ok(limits)) = (context.database(), context.removal_limits()) else { return };
    let leftovers = match database.recover(locked, domains(context).await, &limits).await {
        Ok(leftovers) => leftovers,
        Err(error) => {
            on_note(format!("cannot check for tenants that killed runs left unfinished: {error}"));
            return;
        }
    };
    let elsewhere = match context.project() {
        Ok(Some(_)) => "; what the project's command may have written outside of it stays",
        _ => "",
    };
    for left in leftovers {
        let (tenant, started_by) = (&left.tenant, &left.started_by);
        if matches!(left.result, RecoveryResult::Unproven(_)) {
            match settle(context, locked, tenant).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(why) => rollback.note_unproved(tenant.clone(), why),
            }
        }
        on_note(match left.result {
            RecoveryResult::Removed => {
                rollback.note_recovered(tenant.clone());
                format!("`{tenant}`, which {started_by} left unfinished, was removed{elsewhere}")
            }
            RecoveryResult::Unproven(why) => format!("`{tenant}` was not changed: {why}"),
            RecoveryResult::Failed(why) => {
                format!("`{tenant}`, which {started_by} left unfinished, could not be removed yet: {why}")
            }
        });
    }
}

/// Deletes the journal entry of a killed command's tenant if the tenant is complete or gone; returns false if it has
/// no entry. The error is the reason why the tenant must not be changed.
async fn settle(context: &RunContext, locked: &Locked<'_>, tenant: &str) -> Result<bool, String> {
    let named = [tenant.to_owned()];
    let Ok(database) = context.database() else { return Ok(false) };
    if !database.intents(&named).await.is_ok_and(|noted| !noted.is_empty()) {
        return Ok(false);
    }
    let judgement = inspect_named(context, &named).await.map_err(|failure| chain(&failure))?;
    match refuse_unproved(context, locked, &judgement).await.map_err(|details| details.failure) {
        Ok(()) => Ok(true),
        Err(Failure::Provisioning { why, .. }) => Err(why.to_string()),
        Err(failure) => Err(chain(&failure)),
    }
}

/// Whether a step keeps the tenant if the gate finds it complete.
fn keeps(context: &RunContext, tenant: &str) -> bool {
    context.config.steps.iter().any(|step| {
        matches!(&step.action, Action::Bootstrap(Bootstrap { tenants, keep: Keep::Complete, .. })
            if tenants.iter().any(|name| name == tenant))
    })
}

/// Refuses tenants that a killed command may have created, because nothing proves which run created them.
pub(super) async fn refuse_unproved(
    context: &RunContext,
    locked: &Locked<'_>,
    judgement: &Judgement,
) -> Result<(), FailureDetails> {
    let tenants: Vec<String> = judgement.tenants.keys().cloned().collect();
    let database = context.database()?;
    let noted =
        database.intents(&tenants).await.map_err(|error| error.into_failure("reading the journal"))?;
    let mut done = Vec::new();
    for Intent { nonce, tenant, started_by, succeeded } in noted {
        let verdict = judgement.tenants.get(&tenant);
        let is_kept = succeeded || (keeps(context, &tenant) && verdict.is_some_and(Verdict::has_everything));
        let absent = verdict.is_some_and(Verdict::is_absent);
        if (!absent && is_kept) || (absent && !schema_exists(context, &tenant).await?) {
            done.push(nonce);
            continue;
        }
        let why = format!("the framework's command of {started_by} was killed while it created the tenant");
        return Err(Failure::Provisioning { tenant, why: why.into(), left: Cleanup::CommandKilled }.into());
    }
    if !done.is_empty() {
        database
            .delete_entries(locked, &done)
            .await
            .map_err(|error| error.into_failure("writing the journal"))?;
    }
    Ok(())
}
