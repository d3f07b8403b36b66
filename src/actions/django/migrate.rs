//! Has a Django project apply its migrations: one start of Python for many schemas, or the configured command for each.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::child;
use crate::{
    actions::{
        Stopped, Work,
        apply::{Said, Todo, judgement},
    },
    config::{self, OnTenantFailure, Selection},
    database::Share as Sharing,
    failure::Failure,
    outcome::SchemaFailure,
    process::{How, Stream},
    words::duration,
};

const SCRIPT: &str = include_str!("migrate.py");

/// Begins the lines by which the script says where it is.
const MARK: &str = "\u{1e}portcullis ";

/// Enough that the start of Python does not count, few enough that progress is seen and memory is given back.
const BATCH: usize = 25;

/// The last lines of a schema's output that are kept.
const KEPT_LINES: usize = 60;

/// What became of one schema; None is the shared one.
pub(crate) type Outcome = (Option<String>, Result<(), Stopped>);

/// Shares the schemas out, each share for one start of a program.
pub(crate) fn shares(
    project: &config::Django,
    schemas: &[Option<String>],
    jobs: usize,
) -> Vec<Vec<Option<String>>> {
    let size = if project.run.is_empty() { schemas.len().div_ceil(jobs.max(1)).clamp(1, BATCH) } else { 1 };
    schemas.chunks(size).map(<[_]>::to_vec).collect()
}

/// What TERM means to a program that migrates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// What was begun is finished: it may not run in a transaction.
    AfterThis,
    /// All of it is removed afterwards.
    AtOnce,
}

/// Applies to one share, and says what became of each schema that was begun. With other replicas, to those schemas
/// that none of them has: the locks are our own session's, and the heartbeat watches over them. `say` hears
/// every line that the program prints.
pub(crate) async fn share(
    work: &Work,
    project: &config::Django,
    sharing: Sharing,
    schemas: Vec<Option<String>>,
    say: &dyn Fn(Said),
) -> Vec<Outcome> {
    if sharing == Sharing::Alone {
        return migrated(work, project, schemas, Ending::AfterThis, say).await;
    }
    let first = schemas.first().cloned().flatten();
    match claim(work, schemas).await {
        Err(failure) => vec![(first, Err(Stopped::Run(failure)))],
        Ok(Claim { ours, held, taken }) => {
            let mut outcomes = if ours.is_empty() {
                Vec::new()
            } else {
                migrated(work, project, ours, Ending::AfterThis, say).await
            };
            work.lock.give_tenants(held).await;
            outcomes.extend(taken.into_iter().map(|tenant| (tenant, Err(Stopped::Taken))));
            outcomes
        }
    }
}

/// What a replica has got of a share.
struct Claim {
    /// Pending, and locked by us.
    ours: Vec<Option<String>>,
    /// Whom we have locked.
    held: Vec<String>,
    /// Locked by others, or done by them.
    taken: Vec<Option<String>>,
}

async fn claim(work: &Work, schemas: Vec<Option<String>>) -> Result<Claim, Failure> {
    let names: Vec<String> = schemas.iter().flatten().cloned().collect();
    let had = work.lock.take_tenants(names.clone()).await?;
    let held: Vec<String> =
        names.into_iter().zip(had).filter_map(|(name, had)| had.then_some(name)).collect();
    let left = if held.is_empty() {
        Vec::new()
    } else {
        // Another replica may have finished one between the look and the lock.
        let locked = Selection::Named(held.clone());
        Todo::from(&judgement(work, Some(&locked)).await?).pending
    };
    let (ours, taken) = schemas.into_iter().partition(|schema| left.contains(schema));
    Ok(Claim { ours, held, taken })
}

/// Applies everything to a schema that is removed again if this fails.
pub(crate) async fn whole(work: &Work, project: &config::Django, schema: &str) -> Option<Outcome> {
    migrated(work, project, vec![Some(schema.to_owned())], Ending::AtOnce, &|_| {}).await.pop()
}

async fn migrated(
    work: &Work,
    project: &config::Django,
    schemas: Vec<Option<String>>,
    ending: Ending,
    say: &dyn Fn(Said),
) -> Vec<Outcome> {
    let run = async {
        work.lock.still_held().await?;
        let settings = &work.migrations()?.apply;
        let argv = if project.run.is_empty() {
            let manner = match (ending, settings.on_tenant_failure) {
                (Ending::AtOnce, _) => "at-once",
                (Ending::AfterThis, OnTenantFailure::Stop) => "stop",
                (Ending::AfterThis, OnTenantFailure::Continue { .. }) => "continue",
            };
            many(project, &schemas, manner)?
        } else {
            one(work, project, schemas.first().and_then(Option::as_deref)).await?
        };
        let mut share = Share::new(project, &schemas, say);
        let child = super::program(work, &project.env, argv);
        let timeout = settings.timeout;
        let mut hear = |stream, line: String| share.hear(stream, line).then(|| Instant::now() + timeout);
        let finished = child::run(work.processes()?, &child, Instant::now() + timeout, &mut hear).await;
        let program = child.argv.first().cloned().unwrap_or_default();
        match finished {
            Err(error) => Err(Failure::CommandMissing { program, why: error.to_string() }),
            Ok(child::Finished { how: How::NotStarted { why, .. }, .. }) => {
                Err(Failure::CommandMissing { program, why })
            }
            Ok(finished) if finished.timed_out => {
                Ok(share.ended(Err(format!("ran longer than {}", duration(timeout)))))
            }
            Ok(finished) if finished.how == How::Exited(0) => Ok(share.ended(Ok(()))),
            Ok(finished) => Ok(share.ended(Err(format!("`{program}` {}", child::words(&finished.how))))),
        }
    };
    match run.await {
        Ok(outcomes) => outcomes,
        Err(failure) => vec![(schemas.into_iter().next().flatten(), Err(Stopped::Run(failure)))],
    }
}

fn many(project: &config::Django, schemas: &[Option<String>], manner: &str) -> Result<Vec<String>, Failure> {
    let mut argv = vec![project.python.clone(), "-c".into(), SCRIPT.into(), super::manage(project)?];
    argv.push(manner.into());
    argv.extend(schemas.iter().map(|schema| mark(schema.as_ref())));
    Ok(argv)
}

/// The configured command, with the schema's name as the argument or the part of one that stands for it.
async fn one(work: &Work, project: &config::Django, schema: Option<&str>) -> Result<Vec<String>, Failure> {
    let django = work.expectation().await?.manifest.django.as_ref();
    let public = django.and_then(|django| django.public_schema.as_deref()).unwrap_or("public");
    Ok(project.run.iter().map(|word| word.replace("{schema}", schema.unwrap_or(public))).collect())
}

fn mark(schema: Option<&String>) -> String {
    schema.map_or_else(|| "shared".to_owned(), |name| format!("tenant:{name}"))
}

/// One start of a program, as its lines tell it.
struct Share<'a> {
    schemas: &'a [Option<String>],
    /// The schema that is being migrated, by its place.
    current: Option<usize>,
    lines: VecDeque<String>,
    /// The migration that was begun last, and not reported as done.
    applying: Option<String>,
    outcomes: Vec<Outcome>,
    say: &'a dyn Fn(Said),
}

impl<'a> Share<'a> {
    fn new(project: &config::Django, schemas: &'a [Option<String>], say: &'a dyn Fn(Said)) -> Self {
        // The configured command says nothing of where it is: it has one schema.
        let current = (!project.run.is_empty()).then_some(0);
        Self { schemas, current, lines: VecDeque::new(), applying: None, outcomes: Vec::new(), say }
    }

    /// True if another schema begins with this line.
    fn hear(&mut self, stream: Stream, line: String) -> bool {
        let Some((word, schema)) = line.strip_prefix(MARK).and_then(|rest| rest.split_once(' ')) else {
            if let Some((migration, done)) = applying(&line) {
                self.applying = (!done).then(|| migration.to_owned());
            }
            if self.lines.len() == KEPT_LINES {
                self.lines.pop_front();
            }
            if !line.trim().is_empty() {
                let tenant = self.current.and_then(|place| self.schemas.get(place)?.clone());
                (self.say)(Said::Output { tenant, stream, line: line.clone() });
            }
            self.lines.push_back(line);
            return false;
        };
        match word {
            "begin" => {
                self.current = self.schemas.iter().position(|known| mark(known.as_ref()) == schema);
                self.lines.clear();
                self.applying = None;
            }
            "done" => self.settle(Ok(())),
            _ => self.settle(Err(None)),
        }
        word == "begin"
    }

    fn settle(&mut self, result: Result<(), Option<String>>) {
        let Some(schema) = self.current.take().and_then(|place| self.schemas.get(place)) else { return };
        let lines: Vec<String> = std::mem::take(&mut self.lines).into();
        let applying = self.applying.take();
        let result = result.map_err(|why| {
            let failure = SchemaFailure {
                tenant: schema.clone(),
                migration: applying.clone(),
                place: None,
                why: why.or_else(|| reason(&lines)).unwrap_or_else(|| "it says nothing".into()),
                dirty: false,
            };
            Stopped::Schema(failure, lines)
        });
        self.outcomes.push((schema.clone(), result));
    }

    /// The program is gone, well or not: what was under way ended with it.
    fn ended(mut self, how: Result<(), String>) -> Vec<Outcome> {
        match how {
            Ok(()) => self.settle(Ok(())),
            Err(why) if self.current.is_some() => {
                let why =
                    reason(self.lines.make_contiguous()).map_or(why.clone(), |said| format!("{why}: {said}"));
                self.settle(Err(Some(why)));
            }
            // It died before it began anything, as when the settings cannot be imported.
            Err(why) if self.outcomes.is_empty() && !self.schemas.is_empty() => {
                let why =
                    reason(self.lines.make_contiguous()).map_or(why.clone(), |said| format!("{why}: {said}"));
                self.current = Some(0);
                self.settle(Err(Some(why)));
            }
            Err(_) => {}
        }
        self.outcomes
    }
}

/// A migration that a line says is being applied, and whether it also says that it was.
fn applying(line: &str) -> Option<(&str, bool)> {
    let (migration, rest) = line.split_once("Applying ")?.1.split_once("...")?;
    Some((migration, rest.contains(" OK")))
}

/// The last line of a traceback, or whatever was said last.
fn reason(lines: &[String]) -> Option<String> {
    let said = || lines.iter().rev().filter(|line| !line.trim().is_empty());
    let of_exception = |line: &&String| {
        let name = line.split(':').next().unwrap_or_default();
        name.contains('.') && !name.contains(' ') && line.contains(": ")
    };
    said().find(of_exception).or_else(|| said().next()).cloned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "tests")]

    use std::cell::RefCell;

    use super::*;

    fn project(run: &[&str]) -> config::Django {
        let run = run.iter().map(|word| (*word).to_owned()).collect();
        config::Django { python: "python".into(), manage: None, run, env: std::collections::BTreeMap::new() }
    }

    fn tenants(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    #[test]
    fn each_schema_keeps_its_own_output_and_its_own_failure() {
        let (project, schemas) = (project(&[]), tenants(&["acme", "demo", "last"]));
        let said = RefCell::new(Vec::new());
        let say = |said_now| {
            if let Said::Output { tenant, .. } = said_now {
                said.borrow_mut().push(tenant);
            }
        };
        let mut share = Share::new(&project, &schemas, &say);
        for line in [
            "\u{1e}portcullis begin tenant:acme",
            "  Applying finance.0004_invoice_payment... OK",
            "\u{1e}portcullis done tenant:acme",
            "\u{1e}portcullis begin tenant:demo",
            "  Applying finance.0004_invoice_payment...",
            "Traceback (most recent call last):",
            "django.db.utils.ProgrammingError: column \"total\" already exists",
            "",
            "\u{1e}portcullis failed tenant:demo",
        ] {
            share.hear(Stream::Out, line.into());
        }
        let outcomes = share.ended(Err("`python` exited with 1".into()));
        assert_eq!(outcomes.len(), 2, "the third was never begun");
        assert!(matches!(&outcomes[0], (schema, Ok(())) if *schema == schemas[0]));
        let (_, Err(Stopped::Schema(failure, lines))) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert_eq!(failure.migration.as_deref(), Some("finance.0004_invoice_payment"));
        assert_eq!(failure.why, "django.db.utils.ProgrammingError: column \"total\" already exists");
        assert_eq!(lines.len(), 4);
        let named: Vec<Option<String>> =
            ["acme", "demo", "demo", "demo"].map(|name| Some(name.to_owned())).into();
        assert_eq!(said.into_inner(), named, "each line with whose it is");
    }

    #[test]
    fn a_python_that_dies_takes_only_what_was_under_way_with_it() {
        let (project, schemas) = (project(&[]), tenants(&["acme", "demo"]));
        let mut share = Share::new(&project, &schemas, &|_| {});
        share.hear(Stream::Out, "\u{1e}portcullis begin tenant:acme".into());
        let outcomes = share.ended(Err("`python` was killed by SIGKILL".into()));
        let [(_, Err(Stopped::Schema(failure, _)))] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert_eq!(failure.why, "`python` was killed by SIGKILL");
    }

    #[test]
    fn many_schemas_share_a_python_and_the_configured_command_has_each_its_own() {
        let names: Vec<Option<String>> = (0..120).map(|n: u32| Some(n.to_string())).collect();
        let sizes =
            |run: &[&str], jobs| shares(&project(run), &names, jobs).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[], 4), [25, 25, 25, 25, 20]);
        assert_eq!(sizes(&[], 40)[..2], [3, 3]);
        assert!(sizes(&["migrate", "{schema}"], 4).iter().all(|size| *size == 1));
    }
}
