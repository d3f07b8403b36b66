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
    actions::{Work, django, record},
    database::{self, DatabaseError},
    failure::{Failure, Left},
    report::event::Trouble,
    tenants::{found::Look, gate::Judgement, manifest::Expected},
};

/// Those that were absent and that the command has made, each with its note's nonce.
pub(super) type Made = BTreeMap<String, String>;

/// Refuses what a killed command may have left: nothing proves whose it is.
pub(super) async fn refuse_unproved(work: &Work, judgement: &Judgement) -> Result<(), Trouble> {
    let tenants: Vec<String> = judgement.tenants.keys().cloned().collect();
    let database = work.database()?;
    let noted =
        database.announced(&tenants).await.map_err(|error| error.into_failure("reading the journal"))?;
    let mut done = Vec::new();
    for (nonce, tenant, begun) in noted {
        let complete = judgement.tenants.get(&tenant).is_some_and(|verdict| verdict.findings.is_empty());
        let gone = judgement.tenants.get(&tenant).is_some_and(crate::tenants::gate::Verdict::is_absent)
            && !stands(work, &tenant).await?;
        if complete || gone {
            done.push(nonce);
            continue;
        }
        let why =
            format!("{begun} had the framework make it and was killed, and nothing proves what it made");
        return Err(Failure::Provisioning { tenant, why, left: Left::Unproved }.into());
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
    say: &dyn Fn(String),
) -> Result<Made, Trouble> {
    let missing = absent(&judge_named(work, tenants).await?);
    let Some(first) = missing.first().cloned() else { return Ok(Made::new()) };
    for tenant in &missing {
        if stands(work, tenant).await? {
            let why = format!("a schema `{tenant}` stands there that the registry does not name");
            return Err(Failure::Provisioning { tenant: tenant.clone(), why, left: Left::Unproved }.into());
        }
    }
    work.record.begin(work).await;
    let before = registered(work).await?;
    let noted: Vec<(String, String)> =
        missing.iter().map(|tenant| (tenant.clone(), database::nonce())).collect();
    let journal = |error: DatabaseError| error.into_failure("writing the journal");
    work.database()?.announce(&work.run, &noted).await.map_err(journal)?;
    work.begun.note(Begun::Command(noted.clone()));
    let mut output = Vec::new();
    let ran = django::command(work, run, &mut output).await;
    let left = absent(&judge_named(work, tenants).await?);
    for newcomer in registered(work).await?.difference(&before).filter(|name| !missing.contains(name)) {
        say(format!("`{newcomer}` appeared meanwhile: it is nobody's that is named here, and is left alone"));
    }
    let (tenant, why) = match (ran, left.first()) {
        (Ok(()), None) => {
            work.begun.forget();
            for tenant in &missing {
                work.record.changed(Some(tenant), &[record::CREATED.into()]);
            }
            say(format!("made by `{}`: {}", run.join(" "), missing.join(", ")));
            return Ok(noted.into_iter().collect());
        }
        (Ok(()), Some(left)) => {
            (left.clone(), format!("`{}` succeeded, and `{left}` is not in the registry", run.join(" ")))
        }
        (Err(why), _) => (first, why),
    };
    Err(Trouble { output, ..taken_back(work, tenant, why).await })
}

/// Removes one that the command has made and that did not become whole.
pub(super) async fn remove_one(work: &Work, tenant: &str, nonce: &str, trouble: Trouble) -> Trouble {
    work.begun.note(Begun::Command(vec![(tenant.to_owned(), nonce.to_owned())]));
    let why = crate::failure::chain(&trouble.failure);
    let Trouble { failure, .. } = taken_back(work, tenant.to_owned(), why).await;
    Trouble { failure, ..trouble }
}

/// Removes those of the noted tenants that exist now, and their notes.
pub(super) async fn remove(work: &Work, noted: &[(String, String)]) -> Result<(), DatabaseError> {
    let internal = |failure: Failure| DatabaseError::Failed(failure.to_string());
    let (database, limits) = (work.database().map_err(internal)?, work.limits().map_err(internal)?);
    let domains = domains(work).await;
    database.end_programs(&work.run).await?;
    let now = registered(work).await.map_err(internal)?;
    for (tenant, nonce) in noted {
        if now.contains(tenant) || stands(work, tenant).await.map_err(internal)? {
            database.delete(tenant, domains, &work.run, &limits).await?;
        }
        database.strike(std::slice::from_ref(nonce)).await?;
    }
    Ok(())
}

async fn taken_back(work: &Work, tenant: String, why: String) -> Trouble {
    let (left, why) = match begun::take_back(work).await {
        begun::TakenBack::Nothing | begun::TakenBack::Whole => (Left::Nothing, why),
        // Whoever comes next cannot know what the command has made.
        begun::TakenBack::Unproved(what) | begun::TakenBack::Later(what) => {
            (Left::Unproved, format!("{why}; {what}"))
        }
    };
    work.begun.forget();
    Failure::Provisioning { tenant, why, left }.into()
}

async fn stands(work: &Work, schema: &str) -> Result<bool, Failure> {
    let framework = work.expectation().await?.manifest.framework;
    let look = work.database()?.look_at(schema, &Expected::default(), framework).await;
    Ok(look.map_err(|error| error.into_failure("looking for the demo tenants"))? != Look::NoSchema)
}

async fn registered(work: &Work) -> Result<BTreeSet<String>, Failure> {
    let names = work.database()?.registered().await;
    names.map_err(|error| error.into_failure("reading the registry"))
}
