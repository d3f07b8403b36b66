//! Makes tenants that are whole, or leaves nothing of them.

pub(crate) mod begun;
mod command;
mod create;
mod wanted;

pub(crate) use self::{
    create::{create, scratch},
    wanted::{Wanted, domains},
};
use super::{
    Work,
    apply::{self, Said},
    look::LOOK,
};
use crate::{
    config::Selection,
    failure::Failure,
    outcome::{FailureDetails, SchemaFailure, bootstrap::Bootstrapped},
    tenants::gate::{Judgement, Outcome, Verdict},
};

/// Makes the tenants that are absent and migrates those that are there, each on its own: one that fails
/// neither hides nor stops the others, unless `stop` says so.
pub(crate) async fn bootstrap(
    work: &Work,
    tenants: &[String],
    run: &[String],
    stop: bool,
    say: &dyn Fn(Said),
) -> (Bootstrapped, Option<FailureDetails>) {
    let mut became = Bootstrapped::default();
    match each(work, tenants, run, stop, &mut became, say).await {
        Ok(()) => (became, None),
        Err(trouble) => (became, Some(trouble)),
    }
}

async fn each(
    work: &Work,
    tenants: &[String],
    run: &[String],
    stop: bool,
    became: &mut Bootstrapped,
    say: &dyn Fn(Said),
) -> Result<(), FailureDetails> {
    let note = |text| say(Said::Note(text));
    let mut made = command::Made::new();
    let result = one_by_one(work, tenants, run, stop, became, &mut made, say).await;
    if !made.is_empty() {
        command::give_up(work, &made, &note).await;
    }
    result
}

/// What the framework's command has made, and is not whole yet, stays in `made`.
async fn one_by_one(
    work: &Work,
    tenants: &[String],
    run: &[String],
    stop: bool,
    became: &mut Bootstrapped,
    made: &mut command::Made,
    say: &dyn Fn(Said),
) -> Result<(), FailureDetails> {
    let note = |text| say(Said::Note(text));
    let mut judgement = judge_named(work, tenants).await?;
    let complete = |verdict: &Verdict| verdict.outcome() == Outcome::Complete;
    if !run.is_empty() && !judgement.tenants.values().all(complete) {
        // A note of the journal is a killed run's only once the lock is ours.
        work.lock.hold(work, &note).await?;
        judgement = judge_named(work, tenants).await?;
        command::refuse_unproved(work, &judgement).await?;
        *made = command::make(work, tenants, run, say).await?;
        judgement = judge_named(work, tenants).await?;
    }
    let mut failed: Vec<SchemaFailure> = Vec::new();
    let mut trouble: Option<FailureDetails> = None;
    for (done, tenant) in tenants.iter().enumerate() {
        advance(work, done, tenants.len(), say).await;
        let new = made.contains_key(tenant);
        let result = match judgement.tenants.get(tenant) {
            Some(verdict) if verdict.is_absent() => absent_one(work, tenant, &note).await,
            Some(verdict) if complete(verdict) => Ok(new),
            _ => keep(work, tenant, &note).await.map(|()| new),
        };
        let result = match result {
            Ok(new) => {
                command::whole(work, tenant, made, &note).await;
                Ok(new)
            }
            Err(trouble) => Err(command::remove_one(work, tenant, made, trouble).await),
        };
        match result {
            Ok(true) => {
                note(format!("`{tenant}` created, migrated and verified"));
                became.created.push(tenant.clone());
            }
            Ok(false) => {
                note(format!("`{tenant}` exists and is complete"));
                became.kept.push(tenant.clone());
            }
            Err(mut other) => {
                let why = crate::failure::chain(&other.failure);
                note(format!("`{tenant}` failed: {why}"));
                became.failed.push((tenant.clone(), why));
                // The next tenant would meet the same.
                let last = matches!(
                    other.failure,
                    Failure::LockTimedOut { .. } | Failure::LockLost { .. } | Failure::Refused { .. }
                );
                failed.append(&mut other.failed);
                trouble = Some(match trouble.take() {
                    None => other,
                    Some(first) if last => {
                        merge(&mut other, first);
                        other
                    }
                    Some(mut first) => {
                        merge(&mut first, other);
                        first
                    }
                });
                if stop || last {
                    break;
                }
            }
        }
    }
    let Some(mut trouble) = trouble else {
        advance(work, tenants.len(), tenants.len(), say).await;
        return Ok(());
    };
    trouble.failed = failed;
    trouble.done = Some(format!("{}, {} failed", became.summary(), became.failed.len()));
    Err(trouble)
}

/// One alone has no way to show.
async fn advance(work: &Work, done: usize, total: usize, say: &dyn Fn(Said)) {
    if total > 1 {
        say(Said::Progress { done, total });
        work.record.progress(work, done, total).await;
    }
}

/// Makes one that was absent; false if another run had made it meanwhile.
async fn absent_one(work: &Work, tenant: &str, say: &dyn Fn(String)) -> Result<bool, FailureDetails> {
    work.lock.hold(work, say).await?;
    let named = [tenant.to_owned()];
    if !judge_named(work, &named).await?.tenants.get(tenant).is_some_and(Verdict::is_absent) {
        // Another run made it while this one waited for the lock.
        keep(work, tenant, say).await?;
        return Ok(false);
    }
    let new = Wanted::named(tenant).creation(work).await?;
    create(work, &new, say).await?;
    Ok(true)
}

/// A tenant that exists is migrated and judged, never made again.
async fn keep(work: &Work, tenant: &str, say: &dyn Fn(String)) -> Result<(), FailureDetails> {
    let only = Selection::Named(vec![tenant.to_owned()]);
    let note = |said| {
        if let Said::Note(text) = said {
            say(text);
        }
    };
    apply::apply(work, Some(&only), &note).await?;
    let judgement = judge_named(work, &[tenant.to_owned()]).await?;
    FailureDetails::unless_complete(judgement).map(drop)
}

/// The named tenants' judgement, which does not depend on the size of the registry.
async fn judge_named(work: &Work, tenants: &[String]) -> Result<Judgement, Failure> {
    let manifest = &work.expectation().await?.manifest;
    let named = Selection::Named(tenants.to_vec());
    let found = work
        .look(manifest, false, Some(&named), LOOK)
        .await
        .map_err(|error| error.into_failure("looking for the demo tenants"))?;
    Ok(Judgement { too_few: None, ..work.judge(manifest, &found) })
}

/// The tenants that the registry does not hold.
fn absent(judgement: &Judgement) -> Vec<String> {
    let absent = judgement.tenants.iter().filter(|(_, verdict)| verdict.is_absent());
    absent.map(|(tenant, _)| tenant.clone()).collect()
}

fn merge(first: &mut FailureDetails, other: FailureDetails) {
    match (&mut first.judgement, other.judgement) {
        (Some(judgement), Some(more)) => judgement.tenants.extend(more.tenants),
        (empty @ None, more) => *empty = more,
        (Some(_), None) => {}
    }
}
