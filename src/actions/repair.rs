//! Brings one tenant to completeness in five steps, and stops at the first that fails.

use super::{
    Work,
    apply::{self, Said},
    look::LOOK,
};
use crate::{
    config::Selection,
    failure::Failure,
    frameworks::Replay,
    outcome::{
        FailureDetails,
        repair::{Ended, Repaired, STEPS, Step},
        wording,
    },
    tenants::{
        found::{Found, Rows},
        gate::Judgement,
        manifest::Manifest,
        replay::{Refusal, may_replay},
    },
};

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a str,
    /// Runs this app's migrations again instead of applying what is pending.
    pub(crate) replay: Option<&'a str>,
    pub(crate) allow_code: bool,
    /// Say what would be applied, and change nothing.
    pub(crate) dry_run: bool,
}

/// What is heard while it goes on.
pub(crate) enum Heard<'a> {
    /// A step is over; the number counts from 1.
    Step(usize, &'a Step),
    Note(String),
}

/// Works through the steps; the last one reached is the one that failed, if there is trouble.
pub(crate) async fn repair(work: &Work, asked: &Asked<'_>, hear: &dyn Fn(Heard<'_>)) -> Repaired {
    let mut told = Told { repaired: Repaired::default(), hear };
    work.record.at("portcullis repair");
    if let Err(mut trouble) = steps(work, asked, &mut told).await {
        let failed = told.repaired.steps.len();
        told.step(Ended::Failed, crate::failure::chain(&trouble.failure));
        let name = STEPS.get(failed).copied().unwrap_or_default();
        let stopped = format!("{failed} of {} steps; stopped at {}: {name}", STEPS.len(), failed + 1);
        trouble.done = Some(trouble.done.map_or(stopped.clone(), |done| format!("{stopped} ({done})")));
        told.repaired.trouble = Some(trouble);
    }
    let trouble = told.repaired.trouble.as_ref();
    work.finish(trouble.map_or(Ok(()), |trouble| Err(&trouble.failure))).await;
    told.repaired
}

struct Told<'a> {
    repaired: Repaired,
    hear: &'a dyn Fn(Heard<'_>),
}

impl Told<'_> {
    fn step(&mut self, ended: Ended, said: String) {
        let step = Step { ended, said };
        (self.hear)(Heard::Step(self.repaired.steps.len() + 1, &step));
        self.repaired.steps.push(step);
    }

    fn passed(&mut self, said: impl Into<String>) {
        self.step(Ended::Passed, said.into());
    }
}

/// What the state leaves to do.
enum Todo {
    Nothing,
    Apply(Vec<String>),
    /// The app's migrations, and those of its tables that the shared schema has copies of.
    Replay(Vec<String>, Vec<String>),
}

async fn steps(work: &Work, asked: &Asked<'_>, told: &mut Told<'_>) -> Result<(), FailureDetails> {
    let (found, judgement) = look(work, asked.tenant).await?;
    if found.unregistered.contains(asked.tenant) {
        let failure = Failure::NotRegistered { tenant: asked.tenant.to_owned() };
        return Err(FailureDetails { judgement: Some(judgement), ..failure.into() });
    }
    told.passed(format!("`{}` is registered", asked.tenant));

    let manifest = &work.expectation().await?.manifest;
    let said = state(&judgement);
    let todo = todo(manifest, asked, &found, judgement)?;
    told.passed(said);

    if !apply(work, asked, todo, told).await? {
        for _ in told.repaired.steps.len()..STEPS.len() {
            told.step(Ended::NotRun, "not in a dry run".into());
        }
        return Ok(());
    }

    let (found, judgement) = look(work, asked.tenant).await?;
    told.passed(FailureDetails::unless_complete(judgement)?);

    let kind = found.types.get(asked.tenant).map(String::as_str);
    let tables: Vec<String> = manifest.tables_of(kind).keys().cloned().collect();
    let answers = work.database()?.count(asked.tenant, &tables).await;
    let answers = answers.map_err(|error| error.into_failure("asking the tenant's tables"))?;
    let silent: Vec<String> = answers
        .iter()
        .filter_map(|(table, rows)| match rows {
            Rows::Failed(why) => Some(format!("`{table}`: {why}")),
            Rows::Counted(_) | Rows::Uncounted => None,
        })
        .collect();
    told.repaired.tables = answers;
    if silent.is_empty() {
        told.passed(wording::rows(&told.repaired.tables));
        return Ok(());
    }
    let what = format!("the tables of `{}` answer", asked.tenant);
    Err(Failure::Unproven { what, why: silent.join("; ").into() }.into())
}

/// Everything that the gate says of the tenant, in one line.
fn state(judgement: &Judgement) -> String {
    let findings = judgement.tenants.values().flat_map(|verdict| &verdict.findings);
    let said = wording::sentence(findings);
    if said.is_empty() { "complete".into() } else { said }
}

/// What can be done about the state; anything that applying does not change ends the repair here.
fn todo(
    manifest: &Manifest,
    asked: &Asked<'_>,
    found: &Found,
    judgement: Judgement,
) -> Result<Todo, FailureDetails> {
    if let Some(app) = asked.replay {
        return match replayable(manifest, asked, app, found) {
            Ok(copies) => Ok(Todo::Replay(migrations_of(manifest, app), copies)),
            Err(refusal) => {
                let (app, tenant) = (app.to_owned(), asked.tenant.to_owned());
                let failure = Failure::NotReplayable { app, tenant, why: wording::refusal(&refusal) };
                Err(FailureDetails { judgement: Some(judgement), refusal: Some(refusal), ..failure.into() })
            }
        };
    }
    match judgement.tenants.get(asked.tenant) {
        Some(verdict) if verdict.is_pending() && verdict.may_be_migrated() => {
            Ok(Todo::Apply(verdict.pending().to_vec()))
        }
        _ => FailureDetails::unless_complete(judgement).map(|_| Todo::Nothing),
    }
}

fn replayable(
    manifest: &Manifest,
    asked: &Asked<'_>,
    app: &str,
    found: &Found,
) -> Result<Vec<String>, Refusal> {
    let look = found.tenants.get(asked.tenant).ok_or(Refusal::NoLedger)?;
    let tables = manifest.tables_of(found.types.get(asked.tenant).map(String::as_str));
    may_replay(manifest, tables, app, look, &found.shadows, asked.allow_code)
}

fn migrations_of(manifest: &Manifest, app: &str) -> Vec<String> {
    let of_app = manifest.tenant.migrations.iter().filter(|migration| migration.app == app);
    of_app.map(|migration| migration.name.clone()).collect()
}

/// The third step. False if a dry run leaves something to do, so that there is nothing to verify yet.
async fn apply(
    work: &Work,
    asked: &Asked<'_>,
    todo: Todo,
    told: &mut Told<'_>,
) -> Result<bool, FailureDetails> {
    match todo {
        Todo::Nothing => told.passed("nothing to apply"),
        Todo::Apply(names) | Todo::Replay(names, _) if asked.dry_run => {
            let again = if asked.replay.is_some() { " again" } else { "" };
            told.step(Ended::NotRun, format!("would be applied{again}: {}", names.join(", ")));
            told.repaired.applied = names;
            return Ok(false);
        }
        Todo::Apply(names) => {
            let say = |said| {
                if let Said::Note(text) = said {
                    (told.hear)(Heard::Note(text));
                }
            };
            let only = Selection::Named(vec![asked.tenant.to_owned()]);
            let applied = apply::apply(work, Some(&only), &say).await?;
            told.repaired.applied =
                applied.migrations.get(&Some(asked.tenant.to_owned())).cloned().unwrap_or_default();
            // Another run may have been quicker.
            let mut said = applied.summary();
            if !told.repaired.applied.is_empty() {
                said = format!("{said}: {}", told.repaired.applied.join(", "));
            } else if !names.is_empty() {
                said = "nothing to apply: another run has applied it".into();
            }
            told.passed(said);
        }
        Todo::Replay(names, _) => {
            let lines = replayed(work, asked, told.hear).await?;
            for line in lines {
                (told.hear)(Heard::Note(format!("{}: {line}", asked.tenant)));
            }
            told.passed(format!("applied again: {}", names.join(", ")));
            told.repaired.applied = names;
        }
    }
    Ok(true)
}

/// Looks again under the lock: somebody else may have repaired it meanwhile.
async fn replayed(
    work: &Work,
    asked: &Asked<'_>,
    hear: &dyn Fn(Heard<'_>),
) -> Result<Vec<String>, FailureDetails> {
    work.lock.hold(work, &|text| hear(Heard::Note(text))).await?;
    let (found, judgement) = look(work, asked.tenant).await?;
    let manifest = &work.expectation().await?.manifest;
    match (asked.replay, todo(manifest, asked, &found, judgement)?) {
        (Some(app), Todo::Replay(_, copies)) => {
            work.record.begin(work).await;
            work.lock.still_held().await?;
            let project = work.project()?.ok_or_else(|| {
                let message = "only a framework's own program can replay migrations".into();
                Failure::Usage { message }
            })?;
            let replay = Replay { tenant: asked.tenant, app, copies };
            let replayed = project.replay(&replay, work.migrations()?.apply.timeout, &|_| {}).await;
            if replayed.is_ok() {
                work.record.changed(Some(asked.tenant), &[format!("`{app}` replayed")]);
            }
            replayed.map_err(|(failure, output)| FailureDetails { output, ..FailureDetails::from(failure) })
        }
        _ => Ok(Vec::new()),
    }
}

async fn look(work: &Work, tenant: &str) -> Result<(Found, Judgement), Failure> {
    let manifest: &Manifest = &work.expectation().await?.manifest;
    let named = Selection::Named(vec![tenant.to_owned()]);
    let found = work
        .look(manifest, false, Some(&named), LOOK)
        .await
        .map_err(|error| error.into_failure("looking at the tenant"))?;
    let mut judgement = work.judge(manifest, &found);
    // One tenant's judgement does not depend on the size of the registry.
    judgement.too_few = None;
    Ok((found, judgement))
}

/// The tenants that lost tables of an app, whether or not a replay brings them back. An app of which no tenant has
/// tables is everybody's to explain.
pub(crate) async fn affected(work: &Work, app: &str) -> Result<Vec<String>, Failure> {
    let manifest: &Manifest = &work.expectation().await?.manifest;
    let found = work
        .look(manifest, false, Some(&Selection::All), LOOK)
        .await
        .map_err(|error| error.into_failure("looking at the tenants"))?;
    let answer = |tenant: &String| {
        let asked = Asked { tenant, replay: Some(app), allow_code: true, dry_run: true };
        (tenant.clone(), replayable(manifest, &asked, app, &found))
    };
    let answers: Vec<_> = found.tenants.keys().map(answer).collect();
    let unknown = answers.iter().all(|(_, answer)| *answer == Err(Refusal::NoSuchApp));
    let lost = answers.into_iter().filter(|(_, answer)| match answer {
        Err(Refusal::NothingMissing) => false,
        // Another type of tenant has them.
        Err(Refusal::NoSuchApp) => unknown,
        _ => true,
    });
    Ok(lost.map(|(tenant, _)| tenant).collect())
}
