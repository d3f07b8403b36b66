//! The history: the entries that runs write, and the runs read from it. The SQL of the engines differs only in the
//! [`Dialect`].

use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::words::hex;

/// The number of releases whose manifests are stored.
const SERVED: u32 = 5;

/// One recorded run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Run {
    #[serde(rename = "run")]
    pub(crate) id: String,
    /// The manifest's digest; empty if the run had no manifest.
    pub(crate) release: String,
    pub(crate) version: String,
    pub(crate) role: Option<String>,
    pub(crate) host: String,
    pub(crate) started: String,
    /// None for a run that is still running or was killed.
    pub(crate) ended: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) exit_code: Option<u64>,
    pub(crate) at: Option<At>,
    pub(crate) steps: Vec<Step>,
    pub(crate) changes: Vec<Change>,
    pub(crate) exceptions: Vec<Exception>,
}

/// A run's progress in its current step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct At {
    pub(crate) step: String,
    pub(crate) done: u64,
    pub(crate) total: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) milliseconds: u64,
    pub(crate) outcome: String,
    pub(crate) message: String,
}

/// The changes to one schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// None for the shared schema.
    pub(crate) tenant: Option<String>,
    pub(crate) what: Vec<String>,
}

/// How long tenants needed for the same migrations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) tenants: u64,
    /// Of all of them together.
    pub(crate) total: Duration,
}

impl Times {
    pub(crate) fn average(self) -> Duration {
        self.total / u32::try_from(self.tenants).unwrap_or(u32::MAX).max(1)
    }
}

/// A gate that was opened despite findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Exception {
    /// `override` or `quarantine`.
    pub(crate) kind: String,
    pub(crate) reason: Option<String>,
    pub(crate) tenants: Vec<String>,
}

/// One entry of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Began {
        release: String,
        version: String,
        role: Option<String>,
        host: String,
    },
    At(At),
    Step(Step),
    /// A step with `once_per_release = true` was done; `what` is the digest of the step's content.
    Once {
        release: String,
        step: String,
        what: String,
    },
    Change(Change),
    Times {
        migrations: Vec<String>,
        times: Times,
    },
    Exception(Exception),
    Ended {
        outcome: String,
        exit_code: u8,
    },
    /// The run starts the server of this release.
    Serving(Serving),
}

/// The release that last started its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) release: String,
    /// The content of the manifest's file.
    pub(crate) manifest: String,
}

/// The run that wrote an entry, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) run: String,
    pub(crate) time: String,
}

/// Something that a release does only once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// `what` is the digest of the step's content.
    Step { release: &'a str, step: &'a str, what: &'a str },
    /// The gate was opened for this reason.
    Override { release: &'a str, reason: &'a str },
}

/// The differences between the engines.
pub(super) struct Dialect {
    /// The prefix of every table's name.
    pub(super) schema: &'static str,
    pub(super) literal: fn(&str) -> String,
    pub(super) now: &'static str,
    /// A timestamp column, as text.
    pub(super) time: fn(&str) -> String,
    /// The declaration of an auto-increment column.
    pub(super) counter: &'static str,
    pub(super) timestamp: &'static str,
}

impl Dialect {
    pub(super) fn tables(&self) -> String {
        let Self { schema, counter, timestamp, now, .. } = self;
        format!(
            "CREATE TABLE IF NOT EXISTS {schema}run (run text PRIMARY KEY, release text NOT NULL, version text NOT NULL, \
             role text, host text NOT NULL, started {timestamp} NOT NULL DEFAULT {now}, ended {timestamp}, outcome text, \
             exit_code integer, at_step text, done bigint, total bigint); \
             CREATE TABLE IF NOT EXISTS {schema}step ({counter}, run text NOT NULL, name text NOT NULL, \
             milliseconds bigint NOT NULL, outcome text NOT NULL, said text NOT NULL); \
             CREATE TABLE IF NOT EXISTS {schema}once (release text NOT NULL, step text NOT NULL, what text NOT NULL, \
             run text NOT NULL, made {timestamp} NOT NULL DEFAULT {now}, PRIMARY KEY (release, step, what)); \
             CREATE TABLE IF NOT EXISTS {schema}change ({counter}, run text NOT NULL, tenant text, what text NOT NULL); \
             CREATE TABLE IF NOT EXISTS {schema}exception ({counter}, run text NOT NULL, kind text NOT NULL, reason text, \
             tenants text NOT NULL, made {timestamp} NOT NULL DEFAULT {now}); \
             CREATE TABLE IF NOT EXISTS {schema}duration (registry text NOT NULL, migrations text NOT NULL, \
             tenants bigint NOT NULL, milliseconds bigint NOT NULL, PRIMARY KEY (registry, migrations)); \
             CREATE TABLE IF NOT EXISTS {schema}serving (registry text NOT NULL, release text NOT NULL, \
             manifest text NOT NULL, since {timestamp} NOT NULL DEFAULT {now}, PRIMARY KEY (registry, release))"
        )
    }

    /// The statements that write the entries of one run. Several registries may share the history.
    pub(super) fn write(&self, registry: &str, run: &str, entries: &[Entry]) -> String {
        let statements: Vec<String> =
            entries.iter().map(|entry| self.statement(registry, run, entry)).collect();
        statements.join("; ")
    }

    fn statement(&self, registry: &str, run: &str, entry: &Entry) -> String {
        let Self { schema, literal, now, .. } = self;
        let (text, id) = (|text: &str| literal(text), literal(run));
        let or_null = |text: Option<&String>| text.map_or_else(|| "NULL".to_owned(), |text| literal(text));
        match entry {
            Entry::Began { release, version, role, host } => format!(
                "INSERT INTO {schema}run (run, release, version, role, host) VALUES ({id}, {}, {}, {}, {}) \
                 ON CONFLICT (run) DO NOTHING",
                text(release),
                text(version),
                or_null(role.as_ref()),
                text(host),
            ),
            Entry::At(at) => format!(
                "UPDATE {schema}run SET at_step = {}, done = {}, total = {} WHERE run = {id}",
                text(&at.step),
                at.done,
                at.total
            ),
            Entry::Step(step) => format!(
                "INSERT INTO {schema}step (run, name, milliseconds, outcome, said) \
                 VALUES ({id}, {}, {}, {}, {})",
                text(&step.name),
                step.milliseconds,
                text(&step.outcome),
                text(&step.message),
            ),
            Entry::Once { release, step, what } => format!(
                "INSERT INTO {schema}once (release, step, what, run) VALUES ({}, {}, {}, {id}) \
                 ON CONFLICT (release, step, what) DO NOTHING",
                text(release),
                text(step),
                text(what),
            ),
            Entry::Change(change) => format!(
                "INSERT INTO {schema}change (run, tenant, what) VALUES ({id}, {}, {})",
                or_null(change.tenant.as_ref()),
                text(&list(&change.what)),
            ),
            Entry::Times { migrations, times } => format!(
                "INSERT INTO {schema}duration (registry, migrations, tenants, milliseconds) \
                 VALUES ({}, {}, {}, {}) ON CONFLICT (registry, migrations) DO UPDATE SET \
                 tenants = duration.tenants + excluded.tenants, \
                 milliseconds = duration.milliseconds + excluded.milliseconds",
                text(registry),
                text(&digest(migrations)),
                times.tenants,
                times.total.as_millis(),
            ),
            Entry::Exception(exception) => format!(
                "INSERT INTO {schema}exception (run, kind, reason, tenants) VALUES ({id}, {}, {}, {})",
                text(&exception.kind),
                or_null(exception.reason.as_ref()),
                text(&list(&exception.tenants)),
            ),
            Entry::Ended { outcome, exit_code } => format!(
                "UPDATE {schema}run SET ended = {now}, outcome = {}, exit_code = {exit_code}, at_step = NULL, \
                 done = NULL, total = NULL WHERE run = {id}",
                text(outcome),
            ),
            Entry::Serving(Serving { release, manifest }) => format!(
                "INSERT INTO {schema}serving (registry, release, manifest) VALUES ({registry}, {}, {}) \
                 ON CONFLICT (registry, release) DO UPDATE SET since = {now}; \
                 DELETE FROM {schema}serving WHERE registry = {registry} AND release IN \
                 (SELECT release FROM {schema}serving WHERE registry = {registry} \
                 ORDER BY since DESC LIMIT 1000 OFFSET {SERVED})",
                text(release),
                text(manifest),
                registry = text(registry),
            ),
        }
    }

    /// Selects the release that last started its server.
    pub(super) fn serving(&self, registry: &str) -> String {
        let Self { schema, literal, .. } = self;
        let registry = literal(registry);
        format!(
            "SELECT release, manifest FROM {schema}serving WHERE registry = {registry} ORDER BY since DESC LIMIT 1"
        )
    }

    /// Selects the times of tenants with exactly these migrations.
    pub(super) fn times(&self, registry: &str, migrations: &[String]) -> String {
        let Self { schema, literal, .. } = self;
        format!(
            "SELECT CAST(tenants AS text), CAST(milliseconds AS text) FROM {schema}duration \
             WHERE registry = {} AND migrations = {}",
            literal(registry),
            literal(&digest(migrations)),
        )
    }

    /// Selects the first run that did this.
    pub(super) fn author(&self, deed: Deed<'_>) -> String {
        let Self { schema, literal, time, .. } = self;
        match deed {
            Deed::Step { release, step, what } => format!(
                "SELECT run, {} FROM {schema}once WHERE release = {} AND step = {} AND what = {}",
                time("made"),
                literal(release),
                literal(step),
                literal(what),
            ),
            Deed::Override { release, reason } => format!(
                "SELECT e.run, {} FROM {schema}exception e JOIN {schema}run r ON r.run = e.run WHERE r.release = {} \
                 AND e.kind = 'override' AND e.reason = {} ORDER BY e.number LIMIT 1",
                time("e.made"),
                literal(release),
                literal(reason),
            ),
        }
    }

    /// Reads the newest runs first; `rows` sends one query.
    pub(super) async fn read<E>(
        &self,
        limit: u32,
        with_parts: bool,
        mut rows: impl AsyncFnMut(&str) -> Result<Vec<Row>, E>,
    ) -> Result<Vec<Run>, E> {
        let mut runs: Vec<Run> = rows(&self.runs(limit)).await?.iter().map(run).collect();
        if with_parts && !runs.is_empty() {
            let mut parts = [Vec::new(), Vec::new(), Vec::new()];
            for (part, sql) in parts.iter_mut().zip(self.parts(&runs)) {
                *part = rows(&sql).await?;
            }
            add_parts(&mut runs, &parts);
        }
        Ok(runs)
    }

    /// Selects the newest runs first.
    fn runs(&self, limit: u32) -> String {
        let Self { schema, time, .. } = self;
        format!(
            "SELECT run, release, version, role, host, {}, {}, outcome, CAST(exit_code AS text), at_step, \
             CAST(done AS text), CAST(total AS text) FROM {schema}run ORDER BY started DESC, run LIMIT {limit}",
            time("started"),
            time("ended"),
        )
    }

    /// Three statements that select the steps, changes and exceptions of these runs. The first column is the run.
    fn parts(&self, runs: &[Run]) -> [String; 3] {
        let Self { schema, literal, .. } = self;
        let runs: Vec<String> = runs.iter().map(|run| literal(&run.id)).collect();
        let of = format!("WHERE run IN ({}) ORDER BY number", runs.join(", "));
        [
            format!("SELECT run, name, CAST(milliseconds AS text), outcome, said FROM {schema}step {of}"),
            format!("SELECT run, tenant, what FROM {schema}change {of}"),
            format!("SELECT run, kind, reason, tenants FROM {schema}exception {of}"),
        ]
    }
}

/// One row of text columns.
pub(super) type Row = Vec<Option<String>>;

pub(super) fn serving(row: &Row) -> Serving {
    Serving { release: text(row, 0), manifest: text(row, 1) }
}

pub(super) fn times(row: &Row) -> Times {
    Times { tenants: number(row, 0), total: Duration::from_millis(number(row, 1)) }
}

pub(super) fn author(row: &Row) -> Author {
    Author { run: text(row, 0), time: text(row, 1) }
}

fn run(row: &Row) -> Run {
    Run {
        id: text(row, 0),
        release: text(row, 1),
        version: text(row, 2),
        role: column(row, 3),
        host: text(row, 4),
        started: text(row, 5),
        ended: column(row, 6),
        outcome: column(row, 7),
        exit_code: column(row, 8).and_then(|code| code.parse().ok()),
        at: column(row, 9).map(|step| At { step, done: number(row, 10), total: number(row, 11) }),
        ..Run::default()
    }
}

/// Adds the rows of [`Dialect::parts`] to their runs.
fn add_parts(runs: &mut [Run], [steps, changes, exceptions]: &[Vec<Row>; 3]) {
    let place =
        |runs: &[Run], row: &Row| runs.iter().position(|run| Some(&run.id) == column(row, 0).as_ref());
    for row in steps {
        if let Some(at) = place(runs, row) {
            let (name, milliseconds) = (text(row, 1), number(row, 2));
            let (outcome, message) = (text(row, 3), text(row, 4));
            runs[at].steps.push(Step { name, milliseconds, outcome, message });
        }
    }
    for row in changes {
        if let Some(at) = place(runs, row) {
            runs[at].changes.push(Change { tenant: column(row, 1), what: names(&text(row, 2)) });
        }
    }
    for row in exceptions {
        if let Some(at) = place(runs, row) {
            let (kind, reason, tenants) = (text(row, 1), column(row, 2), names(&text(row, 3)));
            runs[at].exceptions.push(Exception { kind, reason, tenants });
        }
    }
}

fn column(row: &Row, index: usize) -> Option<String> {
    row.get(index).cloned().flatten()
}

fn text(row: &Row, index: usize) -> String {
    column(row, index).unwrap_or_default()
}

fn number(row: &Row, index: usize) -> u64 {
    text(row, index).parse().unwrap_or_default()
}

/// Any number of names in one short key.
fn digest(names: &[String]) -> String {
    hex(&Sha256::digest(list(names)))
}

/// Names as one text, in JSON so that any character in a name is safe.
fn list(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

fn names(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}
