//! Has a framework's own command make tenants. It makes the schemas itself, so that no nonce can precede them: the journal
//! notes which of the named tenants were absent, and only those are ever removed, by the run that noted them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    absent,
    begun::{self, Begun},
    judge_named,
    wanted::domains,
};
use crate::{
    actions::{Work, apply::Said, record},
    config::Source,
    database::{self, DatabaseError},
    failure::{Failure, Left},
    frameworks,
    outcome::FailureDetails,
    tenants::{
        found::Look,
        gate::{Judgement, Outcome, Verdict},
        manifest::Expected,
    },
};

/// Those that were absent and that the command has made, each with its note's nonce.
pub(super) type Made = BTreeMap<String, String>;

/// Strikes a killed command's note of one tenant if that is whole or gone; false if there is none, or if it is neither.
pub(super) async fn settle(work: &Work, tenant: &str) -> bool {
    let named = [tenant.to_owned()];
    let Ok(database) = work.database() else { return false };
    if !database.announced(&named).await.is_ok_and(|noted| !noted.is_empty()) {
        return false;
    }
    match judge_named(work, &named).await {
        Ok(judgement) => refuse_unproved(work, &judgement).await.is_ok(),
        Err(_) => false,
    }
}

/// Refuses what a killed command may have left: nothing proves whose it is.
pub(super) async fn refuse_unproved(work: &Work, judgement: &Judgement) -> Result<(), FailureDetails> {
    let tenants: Vec<String> = judgement.tenants.keys().cloned().collect();
    let database = work.database()?;
    let noted =
        database.announced(&tenants).await.map_err(|error| error.into_failure("reading the journal"))?;
    let mut done = Vec::new();
    for (nonce, tenant, begun) in noted {
        let verdict = judgement.tenants.get(&tenant);
        let complete = verdict.is_some_and(|verdict| verdict.outcome() == Outcome::Complete);
        let gone = verdict.is_some_and(Verdict::is_absent) && !stands(work, &tenant).await?;
        if complete || gone {
            done.push(nonce);
            continue;
        }
        let why =
            format!("{begun} had the framework make it and was killed, and nothing proves what it made");
        return Err(Failure::Provisioning { tenant, why: why.into(), left: Left::Unproved }.into());
    }
    if !done.is_empty() {
        database.strike(&done).await.map_err(|error| error.into_failure("writing the journal"))?;
    }
    Ok(())
}

/// Runs the command under the lock, if any of the tenants is absent. Where it fails, those that were absent are removed again.
pub(super) async fn make(
    work: &Work,
    tenants: &[String],
    run: &[String],
    say: &dyn Fn(Said),
) -> Result<Made, FailureDetails> {
    let missing = absent(&judge_named(work, tenants).await?);
    let Some(first) = missing.first().cloned() else { return Ok(Made::new()) };
    let before = registered(work).await?;
    for tenant in &missing {
        let why = if before.contains(tenant) {
            format!("the registry names `{tenant}`, in a row that `where` leaves out")
        } else if stands(work, tenant).await? {
            format!("a schema `{tenant}` stands there that the registry does not name")
        } else {
            continue;
        };
        return Err(
            Failure::Provisioning { tenant: tenant.clone(), why: why.into(), left: Left::Unproved }.into()
        );
    }
    work.record.begin(work).await;
    let noted: Vec<(String, String)> =
        missing.iter().map(|tenant| (tenant.clone(), database::nonce())).collect();
    let journal = |error: DatabaseError| error.into_failure("writing the journal");
    work.database()?.announce(&work.run, &noted).await.map_err(journal)?;
    work.begun.note(Begun::Command(noted.clone()));
    let note = |text| say(Said::Note(text));
    let (ran, output) = run_command(work, run, say).await?;
    let (tenant, why) = match (ran, after(work, tenants).await) {
        (Ok(()), Ok((left, now))) => {
            tell_of_newcomers(&now, &before, &missing, &note);
            let Some(left) = left.first() else {
                for tenant in &missing {
                    work.record.changed(Some(tenant), &[record::CREATED.into()]);
                }
                note(format!("made by `{}`: {}", run.join(" "), missing.join(", ")));
                return Ok(noted.into_iter().collect());
            };
            (left.clone(), format!("`{}` succeeded, and `{left}` is not in the registry", run.join(" ")))
        }
        (Err(why), after) => {
            if let Ok((_, now)) = after {
                tell_of_newcomers(&now, &before, &missing, &note);
            }
            (first, why)
        }
        (Ok(()), Err(failure)) => (first, crate::failure::chain(&failure)),
    };
    Err(FailureDetails { output, ..taken_back(work, tenant, why).await })
}

/// Runs the command that creates the tenants.
async fn run_command(
    work: &Work,
    run: &[String],
    say: &dyn Fn(Said),
) -> Result<(Result<(), String>, Vec<String>), Failure> {
    let migrations = work.migrations()?;
    let env = match &migrations.source {
        Source::Sql { .. } => &BTreeMap::new(),
        Source::External(project) => &project.env,
    };
    let processes = work.processes()?;
    let timeout = migrations.apply.timeout;
    Ok(frameworks::run_command(processes, &work.run, env, run, timeout, &|line| say(line.into())).await)
}

/// The named tenants that are still absent, and everybody who is in the registry.
async fn after(work: &Work, tenants: &[String]) -> Result<(Vec<String>, BTreeSet<String>), Failure> {
    Ok((absent(&judge_named(work, tenants).await?), registered(work).await?))
}

fn tell_of_newcomers(
    now: &BTreeSet<String>,
    before: &BTreeSet<String>,
    missing: &[String],
    say: &dyn Fn(String),
) {
    for newcomer in now.difference(before).filter(|name| !missing.contains(name)) {
        say(format!("`{newcomer}` appeared meanwhile: it is nobody's that is named here, and is left alone"));
    }
}

/// One of those that the command has made is whole: its note goes, and a signal takes back only the others.
pub(super) async fn whole(work: &Work, tenant: &str, made: &mut Made, say: &dyn Fn(String)) {
    let Some(nonce) = made.remove(tenant) else { return };
    note_rest(work, made);
    let struck = match work.database() {
        Ok(database) => database.strike(&[nonce]).await.map_err(|error| error.to_string()),
        Err(failure) => Err(failure.to_string()),
    };
    if let Err(why) = struck {
        say(format!("the note of `{tenant}` stays until the next run finds it whole: {why}"));
    }
}

/// Removes one that did not become whole. Until it is gone, a signal takes it back with the others.
pub(super) async fn remove_one(
    work: &Work,
    tenant: &str,
    made: &mut Made,
    trouble: FailureDetails,
) -> FailureDetails {
    let Some(nonce) = made.get(tenant) else { return trouble };
    let begun = Begun::Command(vec![(tenant.to_owned(), nonce.clone())]);
    let taken = begun::take_back_only(work, &begun).await;
    made.remove(tenant);
    note_rest(work, made);
    let why = crate::failure::chain(&trouble.failure);
    FailureDetails { failure: failure(tenant.to_owned(), why, taken), ..trouble }
}

/// Removes those that nobody has come to when the others had failed.
pub(super) async fn give_up(work: &Work, made: &Made, say: &dyn Fn(String)) {
    note_rest(work, made);
    if let Some(text) = begun::end(work).await {
        say(text);
    }
}

fn note_rest(work: &Work, made: &Made) {
    if made.is_empty() {
        work.begun.forget();
    } else {
        work.begun.note(Begun::Command(made.clone().into_iter().collect()));
    }
}

/// Removes those of the noted tenants that exist now, and their notes. Where nothing in the journal is this run's any more, somebody
/// else has had the lock meanwhile, and what stands there may be theirs.
pub(super) async fn remove(work: &Work, noted: &[(String, String)]) -> Result<(), DatabaseError> {
    let internal = |failure: Failure| DatabaseError::Failed(failure.to_string());
    let (database, limits) = (work.database().map_err(internal)?, work.limits().map_err(internal)?);
    let domains = domains(work).await;
    database.end_programs(&work.run).await?;
    let ours = database.at_work_on(&work.run).await?;
    let now = registered(work).await.map_err(internal)?;
    for (tenant, nonce) in noted.iter().filter(|(tenant, _)| ours.contains(tenant)) {
        if now.contains(tenant) || stands(work, tenant).await.map_err(internal)? {
            database.delete(tenant, domains, &work.run, &limits).await?;
        }
        database.strike(std::slice::from_ref(nonce)).await?;
    }
    Ok(())
}

async fn taken_back(work: &Work, tenant: String, why: String) -> FailureDetails {
    let taken = begun::take_back(work).await;
    work.begun.forget();
    failure(tenant, why, taken).into()
}

fn failure(tenant: String, why: String, taken: begun::TakenBack) -> Failure {
    match taken {
        begun::TakenBack::Nothing | begun::TakenBack::Whole => {
            Failure::Provisioning { tenant, why: why.into(), left: Left::Nothing }
        }
        // Whoever comes next cannot know what the command has made.
        begun::TakenBack::Unproved(what) | begun::TakenBack::Later(what) => {
            Failure::Provisioning { tenant, why: format!("{why}; {what}").into(), left: Left::Unproved }
        }
    }
}

async fn stands(work: &Work, schema: &str) -> Result<bool, Failure> {
    let shape = work.expectation().await?.manifest.framework.shape();
    let look = work.database()?.look_at(schema, &Expected::default(), shape).await;
    Ok(look.map_err(|error| error.into_failure("looking for the demo tenants"))? != Look::NoSchema)
}

async fn registered(work: &Work) -> Result<BTreeSet<String>, Failure> {
    let names = work.database()?.registered().await;
    names.map_err(|error| error.into_failure("reading the registry"))
}
