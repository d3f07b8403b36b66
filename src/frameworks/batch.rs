//! The results of one start of a program that migrates several schemas, read from its output lines.

use super::{
    channel::{self, Message},
    framework::Progress,
    output::LastLines,
};
use crate::{
    cause::{Cause, Kind},
    failure::Failure,
    outcome::{ActionEvent, SchemaFailure},
    process::Stream,
    tenants::ledger::Commands,
};

/// The result for one schema; None is the shared one.
pub(crate) type SchemaOutcome = (Option<String>, Result<(), MigrateError>);

/// Why a schema was not migrated.
#[derive(Debug)]
pub(crate) enum MigrateError {
    /// With the last lines of output.
    Schema(SchemaFailure, Vec<String>),
    /// The program could not be started.
    Run(Failure),
}

/// A schema's name on the channel.
pub(super) fn channel_name(schema: Option<&String>) -> String {
    schema.map_or_else(|| "shared".to_owned(), |name| format!("tenant:{name}"))
}

/// The migration in progress; None between two migrations.
pub(super) type Step = Option<String>;

impl From<Progress<'_>> for Step {
    fn from(progress: Progress<'_>) -> Self {
        match progress {
            Progress::Applying(migration) => Some(migration.to_owned()),
            Progress::Applied(_) => None,
        }
    }
}

/// Parses an output line of a configured command.
pub(super) type ReadLine<'a> = &'a dyn Fn(&str) -> Option<Step>;

/// The state of one start of a program, derived from its output lines.
pub(super) struct Batch<'a> {
    schemas: &'a [Option<String>],
    /// Parses the output of a configured command, which has no channel and one schema.
    read_line: Option<ReadLine<'a>>,
    commands: Commands,
    /// The index of the schema that is being migrated.
    pub(super) current: Option<usize>,
    /// The index of the schema to which the output belongs.
    printing: Option<usize>,
    /// The last output lines of each schema; the last element has the output before the first schema.
    lines: Vec<LastLines>,
    applying: Step,
    /// The error before the first schema.
    pub(super) error: Option<Cause>,
    pub(super) other_database: Option<String>,
    /// The pieces of the recording.
    pub(super) recorded: String,
    /// The results by the schema's index.
    outcomes: Vec<(usize, Result<(), SchemaFailure>)>,
    on_event: &'a dyn Fn(ActionEvent),
}

impl<'a> Batch<'a> {
    pub(super) fn new(
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
            recorded: String::new(),
            outcomes: Vec::new(),
            on_event,
        }
    }

    /// Processes a line; true if the line starts another schema.
    pub(super) fn line(&mut self, stream: Stream, line: &str) -> bool {
        if let Some(read_line) = self.read_line {
            if let Some(step) = read_line(line) {
                self.applying = step;
            }
            self.output(stream, line);
            return false;
        }
        match stream {
            Stream::Err => match channel::separator(line).and_then(|schema| self.index(schema)) {
                Some(index) => self.printing = Some(index),
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
            let tenant = self.printing.and_then(|index| self.schemas.get(index)?.clone());
            (self.on_event)(ActionEvent::Output { tenant, stream, line: text.to_owned() });
        }
        if let Some(lines) = self.lines.get_mut(self.printing.unwrap_or(self.schemas.len())) {
            lines.push(text);
        }
    }

    fn message(&mut self, message: Message) -> bool {
        match message {
            Message::Begin(schema) => {
                self.current = self.index(&schema);
                self.applying = None;
                return true;
            }
            Message::Applying(migration) => self.applying = Some(migration),
            Message::Applied(_) => self.applying = None,
            Message::Done(_) => self.finish_current(Ok(())),
            Message::Failed(error) if error.is_other_database() => {
                self.other_database = Some(error.message);
            }
            Message::Failed(error) if self.current.is_some() => self.finish_current(Err(error.cause())),
            Message::Failed(error) => self.error = Some(error.cause()),
            Message::Note(note) => self.output(Stream::Out, &note),
            Message::Values(_) | Message::Warning(_) => {}
            Message::Recorded(piece) => self.recorded += &piece,
        }
        false
    }

    fn index(&self, schema: &str) -> Option<usize> {
        self.schemas.iter().position(|known| channel_name(known.as_ref()) == schema)
    }

    fn finish_current(&mut self, result: Result<(), Cause>) {
        let Some(index) = self.current.take() else { return };
        let migration = self.applying.take();
        let tenant = self.schemas.get(index).cloned().flatten();
        let commands = self.commands;
        let failure = |why| SchemaFailure { tenant, migration, why, commands, ..SchemaFailure::default() };
        self.outcomes.push((index, result.map_err(failure)));
    }

    /// Whether the program has not reported the end of each schema; the first of the others is then the one in progress.
    pub(super) fn begin_missing(&mut self) -> bool {
        if self.read_line.is_some() || (self.current.is_none() && self.outcomes.len() == self.schemas.len()) {
            return false;
        }
        self.current = self.current.or(Some(self.outcomes.len()));
        true
    }

    /// The results after the exit of the program; the schema in progress ended with it.
    pub(super) fn into_outcomes(mut self, exit: Result<(), String>) -> Vec<SchemaOutcome> {
        match exit {
            Ok(()) => self.finish_current(Ok(())),
            Err(why) if self.current.is_some() => {
                let last = self.current.and_then(|index| self.lines.get(index)?.last());
                let why = last.map_or(why.clone(), |last| format!("{why}: {last}"));
                let is_locked = self.read_line.is_some() && self.lines.iter().any(LastLines::name_a_lock);
                let kind = if is_locked { Kind::Locked } else { Kind::Other };
                self.finish_current(Err(Cause::new(kind, why)));
            }
            // The program failed before the first schema, for example because the settings cannot be imported.
            Err(why) if self.outcomes.is_empty() && !self.schemas.is_empty() => {
                let early_lines = self.lines.pop().unwrap_or_default();
                let cause = self.error.take().or_else(|| early_lines.last().map(Cause::from));
                let cause = match cause {
                    Some(Cause { kind, code, text }) => Cause { kind, code, text: format!("{why}: {text}") },
                    None => why.into(),
                };
                self.lines[0] = early_lines;
                self.current = Some(0);
                self.finish_current(Err(cause));
            }
            Err(_) => {}
        }
        let (schemas, mut lines) = (self.schemas, self.lines);
        let outcome = |(index, result): (usize, Result<(), SchemaFailure>)| {
            let last = lines.get_mut(index).map(std::mem::take).unwrap_or_default();
            let result = result.map_err(|failure| MigrateError::Schema(failure, last.into_vec()));
            (schemas.get(index).cloned().flatten(), result)
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

    /// Lines that start with `{` are standard output, all others standard error.
    fn feed(batch: &mut Batch<'_>, lines: &[&str]) {
        for line in lines {
            let stream = if line.starts_with('{') { Stream::Out } else { Stream::Err };
            batch.line(stream, line);
        }
    }

    #[test]
    fn output_and_failures_are_assigned_to_their_schema() {
        let schemas = tenants(&["acme", "demo", "last"]);
        let printed = RefCell::new(Vec::new());
        let on_event = |event| {
            if let ActionEvent::Output { tenant, .. } = event {
                printed.borrow_mut().push(tenant);
            }
        };
        let mut batch = Batch::new(&schemas, None, Commands::default(), &on_event);
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
                // The two streams are read independently.
                "\u{1e}tenant:acme",
                "  Applying finance.0004_invoice_payment... OK",
                "\u{1e}tenant:demo",
                "  Applying finance.0004_invoice_payment...",
                "Traceback (most recent call last):",
                "",
            ],
        );
        let outcomes = batch.into_outcomes(Err("`python` exited with 1".into()));
        assert_eq!(outcomes.len(), 2, "the third was never started");
        assert!(matches!(&outcomes[0], (schema, Ok(())) if *schema == schemas[0]));
        let (_, Err(MigrateError::Schema(failure, lines))) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert_eq!(failure.migration.as_deref(), Some("finance.0004_invoice_payment"));
        assert_eq!(failure.why.text, "db.ProgrammingError: column \"total\" already exists");
        assert_eq!(lines.len(), 2);
        let named: Vec<Option<String>> = ["acme", "demo", "demo"].map(|name| Some(name.to_owned())).into();
        assert_eq!(printed.into_inner(), named, "each line has its tenant");
    }

    #[test]
    fn a_program_that_is_killed_fails_only_the_schema_in_progress() {
        let schemas = tenants(&["acme", "demo"]);
        let mut batch = Batch::new(&schemas, None, Commands::default(), &|_| {});
        feed(&mut batch, &[r#"{"begin": "tenant:acme"}"#]);
        let outcomes = batch.into_outcomes(Err("`python` was killed by SIGKILL".into()));
        let [(_, Err(MigrateError::Schema(failure, _)))] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(failure.why.text, "`python` was killed by SIGKILL");
    }

    #[test]
    fn an_error_before_the_first_schema_is_reported_for_the_first_schema() {
        let schemas = tenants(&["acme", "demo"]);
        let mut batch = Batch::new(&schemas, None, Commands::default(), &|_| {});
        feed(
            &mut batch,
            &["loading settings...", r#"{"failed": {"class": "KeyError", "message": "'HOST'"}}"#],
        );
        let outcomes = batch.into_outcomes(Err("`python` exited with 1".into()));
        let [(_, Err(MigrateError::Schema(failure, lines)))] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(failure.why.text, "`python` exited with 1: KeyError: 'HOST'");
        assert_eq!(lines, &["loading settings..."]);
    }

    #[test]
    fn the_output_of_a_configured_command_is_parsed_line_by_line() {
        let schemas = tenants(&["acme"]);
        let read_line = |line: &str| line.strip_prefix("at ").map(|migration| Some(migration.to_owned()));
        let mut batch = Batch::new(&schemas, Some(&read_line), Commands::default(), &|_| {});
        batch.line(Stream::Out, "at 0004");
        batch.line(Stream::Err, "disk full");
        let outcomes = batch.into_outcomes(Err("`migrate` exited with 3".into()));
        let [(_, Err(MigrateError::Schema(failure, _)))] = outcomes.as_slice() else {
            panic!("{outcomes:?}")
        };
        assert_eq!(
            (failure.migration.as_deref(), failure.why.text.as_str()),
            (Some("0004"), "`migrate` exited with 3: disk full")
        );
    }
}
