//! `portcullis repair`: brings one tenant to completeness, and with `--replay` runs an app's migrations again.

use std::collections::BTreeSet;

use crate::{
    actions::{
        Work,
        apply::{self, Said},
        django::replay::{Replay, replay},
        look::LOOK,
    },
    cli,
    commands::Answer,
    config::Selection,
    failure::Failure,
    report::{self, event::Trouble, judgement},
    tenants::{
        found::Found,
        gate::{Judgement, Outcome},
        manifest::Manifest,
        replay::{Refusal, may_replay},
    },
};

pub(crate) async fn run(work: &Work, arguments: &cli::Repair) -> Result<Answer, Failure> {
    let note = |text: String| report::say(&text);
    work.lock.hold(work, &note).await?;
    work.record.at("portcullis repair");
    let result = match (&arguments.replay, arguments.tenant.as_slice()) {
        (Some(app), tenants) => replayed(work, app, tenants, arguments.allow_code).await,
        (None, tenants) => migrated(work, tenants).await,
    };
    work.finish(result.as_ref().map(drop).map_err(|trouble| &trouble.failure)).await;
    let (mut text, named) = match result {
        Ok(done) => done,
        Err(trouble) => return Ok(Answer::bad(trouble)),
    };
    let (_, judgement) = look(work, &named).await?;
    let summary = judgement::summary(&judgement);
    if judgement.outcome() == Outcome::Complete {
        text += &format!("complete: {summary}\n");
        return Ok(Answer::good(text));
    }
    let trouble = Trouble { judgement: Some(judgement), ..Trouble::from(Failure::Incomplete { summary }) };
    Ok(Answer { text, ..Answer::bad(trouble) })
}

/// Applies what is pending; what was said, and the tenants it was done for.
async fn migrated(work: &Work, tenants: &[String]) -> Result<(String, Selection), Trouble> {
    let named = Selection::Named(tenants.to_vec());
    let say = |said| {
        if let Said::Note(text) = said {
            report::say(&text);
        }
    };
    let applied = apply::apply(work, Some(&named), &say).await?;
    Ok((format!("{}\n", applied.summary()), named))
}

/// Replays for the tenants named, or if none is for all that have lost every table of the app.
async fn replayed(
    work: &Work,
    app: &str,
    tenants: &[String],
    allow_code: bool,
) -> Result<(String, Selection), Trouble> {
    let manifest = &work.expectation().await?.manifest;
    let all = tenants.is_empty();
    let asked = if all { Selection::All } else { Selection::Named(tenants.to_vec()) };
    let (found, judgement) = look(work, &asked).await?;
    let (mut text, mut done) = (String::new(), Vec::new());
    for (tenant, seen) in &found.tenants {
        let tables = manifest.tables_of(found.types.get(tenant).map(String::as_str));
        let copies = match may_replay(manifest, tables, app, seen, &found.shadows, allow_code) {
            Ok(copies) => copies,
            Err(Refusal::NothingMissing) if all => continue,
            Err(refusal) => {
                let why = words(&refusal, app, tenant);
                let summary = format!("`{app}` cannot be replayed for `{tenant}`: {why}");
                let done = (!done.is_empty()).then(|| format!("replayed for {}", done.join(", ")));
                let judgement = Some(judgement);
                return Err(Trouble { judgement, done, ..Trouble::from(Failure::Incomplete { summary }) });
            }
        };
        work.record.begin(work).await;
        match replay(work, &Replay { tenant, app, copies }).await {
            Ok(lines) => {
                work.record.changed(Some(tenant), &[format!("`{app}` replayed")]);
                for line in lines {
                    text += &format!("{tenant}: {line}\n");
                }
            }
            Err((failure, output)) => return Err(Trouble { output, ..Trouble::from(failure) }),
        }
        done.push(tenant.clone());
    }
    if let Some(unknown) = found.unregistered.first() {
        let summary = format!("the registry holds no tenant `{unknown}`");
        return Err(Failure::Incomplete { summary }.into());
    }
    if done.is_empty() {
        text += &format!("no tenant has lost a table of `{app}`\n");
    }
    Ok((text, asked))
}

async fn look(work: &Work, tenants: &Selection) -> Result<(Found, Judgement), Failure> {
    let manifest: &Manifest = &work.expectation().await?.manifest;
    let found = work
        .look(manifest, false, Some(tenants), LOOK)
        .await
        .map_err(|error| error.into_failure("looking at the tenant"))?;
    let mut judgement = work.judge(manifest, &found);
    // One tenant's judgement does not depend on the size of the registry.
    judgement.too_few = None;
    Ok((found, judgement))
}

fn words(refusal: &Refusal, app: &str, tenant: &str) -> String {
    let list = |names: &[String]| {
        names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect::<Vec<_>>().join(", ")
    };
    match refusal {
        Refusal::NotDjango => "the manifest is not of a Django project".into(),
        Refusal::NoSuchApp => "a tenant has no tables of such an app".into(),
        Refusal::NoLedger => "its schema or ledger is not there, or cannot be read".into(),
        Refusal::Pending(names) => {
            format!(
                "it has pending migrations ({}), so `portcullis migrate --tenant {tenant}` is enough",
                list(names)
            )
        }
        Refusal::NothingMissing => "all of its tables are there".into(),
        Refusal::Standing(tables) => format!(
            "{} still there, and running everything again would fail on it; restore the others from a backup",
            list(tables)
        ),
        Refusal::Code(names) => format!(
            "{} run code of their own; read them, then say `portcullis repair {tenant} --replay {app} --allow-code`",
            list(names)
        ),
        Refusal::NotAtomic(names) => format!("{} cannot be part of one transaction", list(names)),
    }
}
