//! Makes tenants that are whole, or leaves nothing of them.

use tokio::time;

use super::{Work, apply, django, look::LOOK};
use crate::{
    config::Selection,
    failure::{Failure, words},
    report::{
        event::{SchemaFailure, Trouble},
        judgement,
    },
    tenants::gate::{Finding, Outcome, judge_schema},
};

/// Makes the tenants that are absent and migrates those that are there, each on its own: one that fails
/// neither hides nor stops the others. Returns a summary.
pub(crate) async fn bootstrap(
    work: &Work,
    tenants: &[String],
    run: &[String],
    say: &dyn Fn(String),
) -> Result<String, Trouble> {
    let mut absent = absent(work, tenants).await?;
    if !run.is_empty() && !absent.is_empty() {
        absent = make(work, tenants, run, say).await?;
    }
    let mut failed: Vec<SchemaFailure> = Vec::new();
    let mut trouble: Option<Trouble> = None;
    let (mut made, mut kept) = (0, 0);
    for tenant in tenants {
        let result = if absent.contains(tenant) {
            create(work, tenant, say).await.map(|()| {
                say(format!("`{tenant}` created, migrated and verified"));
                made += 1;
            })
        } else {
            keep(work, tenant, say).await.map(|()| {
                say(format!("`{tenant}` exists and is complete"));
                kept += 1;
            })
        };
        if let Err(mut other) = result {
            say(format!("`{tenant}` failed: {}", crate::failure::chain(&other.failure)));
            failed.append(&mut other.failed);
            match &mut trouble {
                None => trouble = Some(other),
                Some(first) => merge(first, other),
            }
        }
    }
    let summary = format!("{made} created, {kept} kept");
    match trouble {
        None => Ok(summary),
        Some(mut trouble) => {
            trouble.failed = failed;
            trouble.done = Some(format!("{summary}, {} failed", tenants.len() - made - kept));
            Err(trouble)
        }
    }
}

/// Makes one tenant: registry row, schema, every migration, verified; or nothing.
async fn create(work: &Work, tenant: &str, say: &dyn Fn(String)) -> Result<(), Trouble> {
    work.lock.hold(work, say).await?;
    if !absent(work, std::slice::from_ref(&tenant.to_owned())).await?.contains(&tenant.to_owned()) {
        // Another run made it while this one waited for the lock.
        return keep(work, tenant, say).await;
    }
    let expectation = work.expectation().await?;
    let expected = &expectation.manifest.tenant;
    let verify = |look: &_| {
        let verdict = judge_schema(expectation.manifest.framework, expected, look, work.rules(0));
        if verdict.outcome() == Outcome::Complete {
            return Ok(());
        }
        let said: Vec<String> = verdict
            .findings
            .iter()
            .map(|finding| {
                let (what, which) = judgement::words(finding);
                format!("{what}: {which}")
            })
            .collect();
        Err(format!("it was not complete after its migrations: {}", said.join("; ")))
    };
    let limits = work.limits()?;
    let timeout = work.migrations()?.apply.timeout;
    let provisioning = work.database()?.provision(tenant, &expectation.tenant, expected, &limits, &verify);
    let (why, rolled_back, failed) = match time::timeout(timeout, provisioning).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => {
            let failed = error.migration.map(|migration| SchemaFailure {
                tenant: Some(tenant.to_owned()),
                migration: Some(migration),
                place: error.place,
                why: error.why.clone(),
                dirty: false,
            });
            (error.why, error.rolled_back, failed)
        }
        Err(_) => (format!("ran longer than {}", words(timeout)), true, None),
    };
    Err(Trouble {
        failed: failed.into_iter().collect(),
        ..Trouble::from(Failure::Provisioning { tenant: tenant.to_owned(), why, rolled_back })
    })
}

/// A tenant that exists is migrated and judged, never made again.
async fn keep(work: &Work, tenant: &str, say: &dyn Fn(String)) -> Result<(), Trouble> {
    let only = Selection::Named(vec![tenant.to_owned()]);
    let note = |said| {
        if let apply::Said::Note(text) = said {
            say(text);
        }
    };
    apply::apply(work, Some(&only), &note).await?;
    let manifest = &work.expectation().await?.manifest;
    let found = work
        .look(manifest, false, Some(&only), LOOK)
        .await
        .map_err(|error| error.into_failure("verifying"))?;
    let judgement = gate_only(work.judge(manifest, &found));
    if judgement.outcome() == Outcome::Complete {
        return Ok(());
    }
    let summary = format!("the demo tenant `{tenant}` exists and is not complete");
    Err(Trouble { judgement: Some(judgement), ..Trouble::from(Failure::Incomplete { summary }) })
}

/// One tenant's judgement does not depend on the size of the registry.
fn gate_only(mut judgement: crate::tenants::gate::Judgement) -> crate::tenants::gate::Judgement {
    judgement.too_few = None;
    judgement
}

async fn absent(work: &Work, tenants: &[String]) -> Result<Vec<String>, Failure> {
    let manifest = &work.expectation().await?.manifest;
    let named = Selection::Named(tenants.to_vec());
    let found = work
        .look(manifest, false, Some(&named), LOOK)
        .await
        .map_err(|error| error.into_failure("looking for the demo tenants"))?;
    let judgement = work.judge(manifest, &found);
    let unregistered = |name: &&String| {
        judgement.tenants.get(*name).is_some_and(|verdict| verdict.findings.contains(&Finding::NotRegistered))
    };
    Ok(tenants.iter().filter(unregistered).cloned().collect())
}

/// Has the framework's own command make the tenants that are absent; returns what it left absent, which is nothing.
async fn make(
    work: &Work,
    tenants: &[String],
    run: &[String],
    say: &dyn Fn(String),
) -> Result<Vec<String>, Trouble> {
    work.lock.hold(work, say).await?;
    // Another run may have made them while this one waited for the lock.
    let missing = absent(work, tenants).await?;
    let Some(tenant) = missing.first().cloned() else { return Ok(missing) };
    let mut output = Vec::new();
    let ran = django::command(work, run, &mut output).await;
    let left = absent(work, tenants).await?;
    let why = match (ran, left.as_slice()) {
        (Ok(()), []) => {
            say(format!("made by `{}`: {}", run.join(" "), missing.join(", ")));
            return Ok(left);
        }
        (Ok(()), [first, ..]) => {
            format!("`{}` succeeded, and `{first}` is not in the registry", run.join(" "))
        }
        (Err(why), _) => why,
    };
    // The command makes the schema itself, so nothing proves which part of it is ours to remove.
    let failure = Failure::Provisioning { tenant, why, rolled_back: false };
    Err(Trouble { output, ..Trouble::from(failure) })
}

fn merge(first: &mut Trouble, other: Trouble) {
    match (&mut first.judgement, other.judgement) {
        (Some(judgement), Some(more)) => judgement.tenants.extend(more.tenants),
        (empty @ None, more) => *empty = more,
        (Some(_), None) => {}
    }
}
