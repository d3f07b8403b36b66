//! Has a project apply its migrations: one start of its program for many schemas, or the configured command for each.

use std::{future::pending, time::Duration};

use super::{
    channel::{self, Message},
    framework::{Progress, StopPolicy},
    output::LastLines,
    project::{ProgramExit, Project},
};
use crate::{
    cause::Cause,
    deadline::Deadline,
    failure::Failure,
    outcome::{ActionEvent, SchemaFailure},
    process::{StopReason, Stream},
    tenants::ledger::Commands,
    words::duration,
};

/// Enough that the program's start does not count, few enough that progress is seen and memory is given back.
const BATCH: usize = 25;

/// The class of the exception by which a project's program refuses to change another database.
pub(super) const OTHER_DATABASE: &str = "__main__.OtherDatabase";

/// How a project is to apply its migrations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migrating<'a> {
    pub(crate) stop_policy: StopPolicy,
    /// For one schema.
    pub(crate) timeout: Duration,
    /// Stands for the shared schema in the configured command.
    pub(crate) shared_schema: &'a str,
}

/// What became of one schema; None is the shared one.
pub(crate) type SchemaOutcome = (Option<String>, Result<(), MigrateError>);

/// Why a schema was not migrated.
#[derive(Debug)]
pub(crate) enum MigrateError {
    /// With the last lines of what was printed.
    Schema(SchemaFailure, Vec<String>),
    /// The program could not be started.
    Run(Failure),
}

impl Project<'_> {
    /// Shares the schemas out, each share for one start of a program.
    pub(crate) fn batches(&self, schemas: &[Option<String>], jobs: usize) -> Vec<Vec<Option<String>>> {
        batches(schemas, jobs, self.settings.run.is_empty())
    }

    /// Applies to one batch, and says what became of each schema that was begun. `on_event` gets every line that the
    /// project prints. Once `stop` is ready, the schema that is being migrated is the last; a configured command has one, which
    /// it may finish.
    pub(crate) async fn migrate(
        &self,
        schemas: &[Option<String>],
        migrating: Migrating<'_>,
        stop: impl Future<Output = ()>,
        on_event: &dyn Fn(ActionEvent),
    ) -> Vec<SchemaOutcome> {
        self.run_batch(schemas, migrating, stop, on_event).await.unwrap_or_else(|failure| {
            vec![(schemas.first().cloned().flatten(), Err(MigrateError::Run(failure)))]
        })
    }

    async fn run_batch(
        &self,
        schemas: &[Option<String>],
        Migrating { stop_policy, timeout, shared_schema }: Migrating<'_>,
        stop: impl Future<Output = ()>,
        on_event: &dyn Fn(ActionEvent),
    ) -> Result<Vec<SchemaOutcome>, Failure> {
        let own = &self.settings.run;
        let argv = if own.is_empty() {
            let keys: Vec<String> = schemas.iter().map(|schema| key(schema.as_ref())).collect();
            self.framework.migrate(self.settings, &keys, stop_policy)?
        } else {
            let schema = schemas.first().and_then(Option::as_deref).unwrap_or(shared_schema);
            own.iter().map(|word| word.replace("{schema}", schema)).collect()
        };
        let read_line = |line: &str| self.framework.read_line(line).map(Step::from);
        let commands = self.framework.about().commands;
        let mut batch = Batch::new(schemas, (!own.is_empty()).then_some(&read_line), commands, on_event);
        let on_line = |stream, line: &str| batch.line(stream, line).then(|| Deadline::after(timeout));
        let stop = async {
            stop.await;
            if !own.is_empty() {
                pending::<()>().await;
            }
        };
        let ProgramExit { program, finished } =
            self.start(argv, Deadline::after(timeout), stop, on_line).await?;
        if let Some(why) = batch.other_database.take() {
            return Err(Failure::OtherDatabase { why });
        }
        let ended = match (finished.reason.accepted(&program, &[0]), finished.cut) {
            (Err(failure @ (Failure::CommandMissing { .. } | Failure::CommandNotSpawned { .. })), _) => {
                return Err(failure);
            }
            (_, Some(StopReason::TimedOut)) => Err(format!("ran longer than {}", duration(timeout))),
            (Ok(_), _) => Ok(()),
            // It was stopped before it began another schema.
            (Err(_), Some(StopReason::Stopped(_))) if batch.current.is_none() => Ok(()),
            (Err(_), _) => Err(format!("`{program}` {}", finished.reason.words())),
        };
        Ok(batch.ended(ended))
    }
}

fn batches(schemas: &[Option<String>], jobs: usize, many: bool) -> Vec<Vec<Option<String>>> {
    let size = if many { schemas.len().div_ceil(jobs.max(1)).clamp(1, BATCH) } else { 1 };
    schemas.chunks(size).map(<[_]>::to_vec).collect()
}

/// A schema's name on the channel.
fn key(schema: Option<&String>) -> String {
    schema.map_or_else(|| "shared".to_owned(), |name| format!("tenant:{name}"))
}

/// The migration that was begun last, or None once it is done.
type Step = Option<String>;

impl From<Progress<'_>> for Step {
    fn from(progress: Progress<'_>) -> Self {
        match progress {
            Progress::Applying(migration) => Some(migration.to_owned()),
            Progress::Applied(_) => None,
        }
    }
}

/// Reads a line of a configured command.
type ReadLine<'a> = &'a dyn Fn(&str) -> Option<Step>;

/// One start of a program, as its lines tell it.
struct Batch<'a> {
    schemas: &'a [Option<String>],
    /// Reads the lines of a configured command, which knows no channel. It has one schema.
    read_line: Option<ReadLine<'a>>,
    commands: Commands,
    /// The schema that is being migrated, by its place.
    current: Option<usize>,
    /// The schema to which the output belongs, by its place.
    printing: Option<usize>,
    /// The last lines of each schema that printed something, by its place; those before the first come last.
    lines: Vec<LastLines>,
    applying: Step,
    /// What happened before the first schema.
    error: Option<Cause>,
    other_database: Option<String>,
    /// By the schema's place.
    outcomes: Vec<(usize, Result<(), SchemaFailure>)>,
    on_event: &'a dyn Fn(ActionEvent),
}

impl<'a> Batch<'a> {
    fn new(
        schemas: &'a [Option<String>],
        read_line: Option<ReadLine<'a>>,
        commands: Commands,
        on_event: &'a dyn Fn(ActionEvent),
    ) -> Self {
        let current = read_line.and(Some(0));
        let lines = std::iter::repeat_with(LastLines::default).take(schemas.len() + 1).collect();
        Self {
            schemas,
            read_line,
            commands,
            current,
            printing: current,
            lines,
            applying: None,
            error: None,
            other_database: None,
            outcomes: Vec::new(),
            on_event,
        }
    }

    /// True if another schema begins with this line.
    fn line(&mut self, stream: Stream, line: &str) -> bool {
        if let Some(read_line) = self.read_line {
            if let Some(step) = read_line(line) {
                self.applying = step;
            }
            self.output(stream, line);
            return false;
        }
        match stream {
            Stream::Err => match channel::separator(line).and_then(|schema| self.place(schema)) {
                Some(place) => self.printing = Some(place),
                None => self.output(Stream::Out, line),
            },
            Stream::Out => match channel::message(line) {
                Some(message) => return self.message(message),
                None => self.output(Stream::Out, line),
            },
        }
        false
    }

    fn output(&mut self, stream: Stream, text: &str) {
        if !text.trim().is_empty() {
            let tenant = self.printing.and_then(|place| self.schemas.get(place)?.clone());
            (self.on_event)(ActionEvent::Output { tenant, stream, line: text.to_owned() });
        }
        if let Some(lines) = self.lines.get_mut(self.printing.unwrap_or(self.schemas.len())) {
            lines.push(text);
        }
    }

    fn message(&mut self, message: Message) -> bool {
        match message {
            Message::Begin(schema) => {
                self.current = self.place(&schema);
                self.applying = None;
                return true;
            }
            Message::Applying(migration) => self.applying = Some(migration),
            Message::Applied(_) => self.applying = None,
            Message::Done(_) => self.settle(Ok(())),
            Message::Failed(error) if error.class.as_deref() == Some(OTHER_DATABASE) => {
                self.other_database = Some(error.message);
            }
            Message::Failed(error) if self.current.is_some() => self.settle(Err(error.cause())),
            Message::Failed(error) => self.error = Some(error.cause()),
            Message::Note(note) => self.output(Stream::Out, &note),
        }
        false
    }

    fn place(&self, schema: &str) -> Option<usize> {
        self.schemas.iter().position(|known| key(known.as_ref()) == schema)
    }

    fn settle(&mut self, result: Result<(), Cause>) {
        let Some(place) = self.current.take() else { return };
        let migration = self.applying.take();
        let tenant = self.schemas.get(place).cloned().flatten();
        let commands = self.commands;
        let failure = |why| SchemaFailure { tenant, migration, why, commands, ..SchemaFailure::default() };
        self.outcomes.push((place, result.map_err(failure)));
    }

    /// The program is gone, well or not: what was under way ended with it.
    fn ended(mut self, how: Result<(), String>) -> Vec<SchemaOutcome> {
        match how {
            Ok(()) => self.settle(Ok(())),
            Err(why) if self.current.is_some() => {
                let last = self.current.and_then(|place| self.lines.get(place)?.last());
                let why = last.map_or(why.clone(), |last| format!("{why}: {last}"));
                self.settle(Err(why.into()));
            }
            // It died before it began anything, as when the settings cannot be imported.
            Err(why) if self.outcomes.is_empty() && !self.schemas.is_empty() => {
                let before = self.lines.pop().unwrap_or_default();
                let cause = self.error.take().or_else(|| before.last().map(Cause::from));
                let cause = match cause {
                    Some(Cause { kind, code, text }) => Cause { kind, code, text: format!("{why}: {text}") },
                    None => why.into(),
                };
                self.lines[0] = before;
                self.current = Some(0);
                self.settle(Err(cause));
            }
            Err(_) => {}
        }
        let (schemas, mut lines) = (self.schemas, self.lines);
        let outcome = |(place, result): (usize, Result<(), SchemaFailure>)| {
            let last = lines.get_mut(place).map(std::mem::take).unwrap_or_default();
            let result = result.map_err(|failure| MigrateError::Schema(failure, last.into_vec()));
            (schemas.get(place).cloned().flatten(), result)
        };
        self.outcomes.into_iter().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "tests")]

    use std::cell::RefCell;

    use super::*;

    fn tenants(names: &[&str]) -> Vec<Option<String>> {
        names.iter().map(|name| Some((*name).to_owned())).collect()
    }

    /// Lines of standard output begin with `{`, all others are standard error's.
    fn feed(batch: &mut Batch<'_>, lines: &[&str]) {
        for line in lines {
            let stream = if line.starts_with('{') { Stream::Out } else { Stream::Err };
            batch.line(stream, line);
        }
    }

    #[test]
    fn each_schema_keeps_its_own_output_and_its_own_failure() {
        let schemas = tenants(&["acme", "demo", "last"]);
        let said = RefCell::new(Vec::new());
        let say = |event| {
            if let ActionEvent::Output { tenant, .. } = event {
                said.borrow_mut().push(tenant);
            }
        };
        let mut batch = Batch::new(&schemas, None, Commands::default(), &say);
        feed(
            &mut batch,
            &[
                r#"{"begin": "tenant:acme"}"#,
                r#"{"applying": "finance.0004_invoice_payment"}"#,
                r#"{"applied": "finance.0004_invoice_payment"}"#,
                r#"{"done": "tenant:acme"}"#,
                r#"{"begin": "tenant:demo"}"#,
                r#"{"applying": "finance.0004_invoice_payment"}"#,
                r#"{"failed": {"schema": "tenant:demo", "class": "db.ProgrammingError", "sqlstate": "42701", "message": "column \"total\" already exists\nLINE 1"}}"#,
                // The two streams are read independently of each other.
                "\u{1e}tenant:acme",
                "  Applying finance.0004_invoice_payment... OK",
                "\u{1e}tenant:demo",
                "  Applying finance.0004_invoice_payment...",
                "Traceback (most recent call last):",
                "",
            ],
        );
        let outcomes = batch.ended(Err("`python` exited with 1".into()));
        assert_eq!(outcomes.len(), 2, "the third was never begun");
        assert!(matches!(&outcomes[0], (schema, Ok(())) if *schema == schemas[0]));
        let (_, Err(MigrateError::Schema(failure, lines))) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert_eq!(failure.migration.as_deref(), Some("finance.0004_invoice_payment"));
        assert_eq!(failure.why.text, "db.ProgrammingError: column \"total\" already exists");
        assert_eq!(lines.len(), 2);
        let named: Vec<Option<String>> = ["acme", "demo", "demo"].map(|name| Some(name.to_owned())).into();
        assert_eq!(said.into_inner(), named, "each line with whose it is");
    }

    #[test]
    fn a_program_that_dies_takes_only_what_was_under_way_with_it() {
        let schemas = tenants(&["acme", "demo"]);
        let mut batch = Batch::new(&schemas, None, Commands::default(), &|_| {});
        feed(&mut batch, &[r#"{"begin": "tenant:acme"}"#]);
        let outcomes = batch.ended(Err("`python` was killed by SIGKILL".into()));
        let [(_, Err(MigrateError::Schema(failure, _)))] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(failure.why.text, "`python` was killed by SIGKILL");
    }

    #[test]
    fn what_fails_before_the_first_schema_is_the_first_ones_failure() {
        let schemas = tenants(&["acme", "demo"]);
        let mut batch = Batch::new(&schemas, None, Commands::default(), &|_| {});
        feed(
            &mut batch,
            &["loading settings...", r#"{"failed": {"class": "KeyError", "message": "'HOST'"}}"#],
        );
        let outcomes = batch.ended(Err("`python` exited with 1".into()));
        let [(_, Err(MigrateError::Schema(failure, lines)))] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(failure.why.text, "`python` exited with 1: KeyError: 'HOST'");
        assert_eq!(lines, &["loading settings..."]);
    }

    #[test]
    fn a_configured_command_has_one_schema_and_is_read_line_by_line() {
        let schemas = tenants(&["acme"]);
        let read_line = |line: &str| line.strip_prefix("at ").map(|migration| Some(migration.to_owned()));
        let mut batch = Batch::new(&schemas, Some(&read_line), Commands::default(), &|_| {});
        batch.line(Stream::Out, "at 0004");
        batch.line(Stream::Err, "disk full");
        let outcomes = batch.ended(Err("`migrate` exited with 3".into()));
        let [(_, Err(MigrateError::Schema(failure, _)))] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(
            (failure.migration.as_deref(), failure.why.text.as_str()),
            (Some("0004"), "`migrate` exited with 3: disk full")
        );
    }

    #[test]
    fn many_schemas_share_a_program_and_the_configured_command_has_each_its_own() {
        let names: Vec<Option<String>> = (0..120).map(|n: u32| Some(n.to_string())).collect();
        let sizes = |many, jobs| batches(&names, jobs, many).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(true, 4), [25, 25, 25, 25, 20]);
        assert_eq!(sizes(true, 40)[..2], [3, 3]);
        assert!(sizes(false, 4).iter().all(|size| *size == 1));
    }
}
