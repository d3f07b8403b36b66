//! Makes tenants that are whole, or leaves nothing of them.

use tokio::time;

use super::{Work, apply, django, look::LOOK, record};
use crate::{
    config::{Selection, Source},
    failure::{Failure, words},
    report::{
        event::{SchemaFailure, Trouble},
        judgement,
    },
    tenants::gate::{Judgement, Outcome, Verdict, judge_schema},
};

/// Makes the tenants that are absent and migrates those that are there, each on its own: one that fails
/// neither hides nor stops the others. Returns a summary.
pub(crate) async fn bootstrap(
    work: &Work,
    tenants: &[String],
    run: &[String],
    say: &dyn Fn(String),
) -> Result<String, Trouble> {
    let mut judgement = judge_named(work, tenants).await?;
    if !absent(&judgement).is_empty() {
        if !run.is_empty() {
            make(work, tenants, run, say).await?;
            judgement = judge_named(work, tenants).await?;
        } else if let Source::Django(_) = work.migrations()?.source {
            // Only the project knows how to make a tenant of its own.
            let what = "making the tenants of a Django project".into();
            return Err(Failure::ConfigLacks { what, needs: "bootstrap.run" }.into());
        }
    }
    let mut failed: Vec<SchemaFailure> = Vec::new();
    let mut trouble: Option<Trouble> = None;
    let (mut made, mut kept) = (0, 0);
    for tenant in tenants {
        let verdict = judgement.tenants.get(tenant);
        let result = if verdict.is_some_and(Verdict::is_absent) {
            create(work, tenant, say).await.map(|()| {
                say(format!("`{tenant}` created, migrated and verified"));
                made += 1;
            })
        } else if verdict.is_some_and(|verdict| verdict.findings.is_empty()) {
            say(format!("`{tenant}` exists and is complete"));
            kept += 1;
            Ok(())
        } else {
            keep(work, tenant, say).await.map(|()| {
                say(format!("`{tenant}` exists and is complete"));
                kept += 1;
            })
        };
        if let Err(mut other) = result {
            say(format!("`{tenant}` failed: {}", crate::failure::chain(&other.failure)));
            if matches!(
                other.failure,
                Failure::LockTimedOut { .. } | Failure::LockLost { .. } | Failure::Refused { .. }
            ) {
                // The next tenant would meet the same.
                return Err(other);
            }
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
    let named = [tenant.to_owned()];
    if !judge_named(work, &named).await?.tenants.get(tenant).is_some_and(Verdict::is_absent) {
        // Another run made it while this one waited for the lock.
        return keep(work, tenant, say).await;
    }
    work.record.begin(work).await;
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
        Ok(Ok(())) => {
            work.record.changed(Some(tenant), &[record::CREATED.into()]);
            return Ok(());
        }
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
    let judgement = judge_named(work, &[tenant.to_owned()]).await?;
    if judgement.outcome() == Outcome::Complete {
        return Ok(());
    }
    let summary = format!("the demo tenant `{tenant}` exists and is not complete");
    Err(Trouble { judgement: Some(judgement), ..Trouble::from(Failure::Incomplete { summary }) })
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

/// Has the framework's own command make the tenants that are absent.
async fn make(work: &Work, tenants: &[String], run: &[String], say: &dyn Fn(String)) -> Result<(), Trouble> {
    work.lock.hold(work, say).await?;
    // Another run may have made them while this one waited for the lock.
    let missing = absent(&judge_named(work, tenants).await?);
    let Some(tenant) = missing.first().cloned() else { return Ok(()) };
    work.record.begin(work).await;
    let mut output = Vec::new();
    let ran = django::command(work, run, &mut output).await;
    let left = absent(&judge_named(work, tenants).await?);
    let why = match (ran, left.as_slice()) {
        (Ok(()), []) => {
            for tenant in &missing {
                work.record.changed(Some(tenant), &[record::CREATED.into()]);
            }
            say(format!("made by `{}`: {}", run.join(" "), missing.join(", ")));
            return Ok(());
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
