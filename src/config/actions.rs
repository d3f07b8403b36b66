//! Reads the action of a step: exactly one of the six kinds.

use std::ops::Range;

use super::{
    Action, Bootstrap, Command, Keep, Scope, Verify,
    command_fields::argv,
    fields::Table,
    interpolate::{Node, Value},
    keys::{KINDS, Keyword},
    privileges::privileges,
    problem::Problem,
    values::Names,
    wait,
};

impl Keyword for Scope {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("shared", Scope::Shared), ("tenants", Scope::Tenants)];
}

impl Keyword for Keep {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("none", Keep::None), ("complete", Keep::Complete)];
}

/// The result of reading a step's kinds.
pub(super) struct ParsedKinds {
    pub(super) action: Option<Action>,
    /// The number of kinds that are given.
    pub(super) count: usize,
    /// The key of the first kind.
    pub(super) place: Option<Range<usize>>,
    /// The place of `background = true`.
    pub(super) background: Option<Range<usize>>,
}

/// Reads every given kind, so that the problems of all are reported, and returns the first.
pub(super) fn read(step: &mut Table<'_>) -> ParsedKinds {
    let mut found = ParsedKinds { action: None, count: 0, place: None, background: None };
    for kind in KINDS {
        let Some(entry) = step.entry(kind) else { continue };
        let action = step.table(kind).and_then(|table| match kind {
            "wait" => wait::read(table).map(Action::Wait),
            "sql" => sql(table),
            "migrate" => migrate(table),
            "bootstrap" => bootstrap(table),
            "verify" => verify(table),
            _ => Some(command(table, &mut found.background)),
        });
        found.count += 1;
        if found.count == 1 {
            (found.action, found.place) = (action, Some(entry.key_span.clone()));
        } else {
            let message = format!("a step has exactly one kind: `{kind}` is one too many");
            step.report(Problem::error(entry.key_span.clone(), message).help("move it to a separate step"));
        }
    }
    found
}

fn sql(mut table: Table<'_>) -> Option<Action> {
    let (run, timeout, once) = (table.get("run"), table.value("timeout"), table.value("once_per_release"));
    table.finish();
    Some(Action::Sql { run: run?, timeout, once })
}

fn migrate(mut table: Table<'_>) -> Option<Action> {
    let choice = table.choice();
    table.finish();
    let (word, inner) = choice?;
    inner.finish();
    Some(Action::Migrate(if word == "shared" { Scope::Shared } else { Scope::Tenants }))
}

fn bootstrap(mut table: Table<'_>) -> Option<Action> {
    let tenants = table.get("tenants").map(|Names(names)| names);
    let run = argv(&mut table, "run").unwrap_or_default();
    let (keep, values, domain) = (table.value("keep"), table.value("values"), table.value("domain"));
    let unused: &[&'static str] = if run.is_empty() { &["keep"] } else { &["values", "domain"] };
    for key in unused {
        if let Some(entry) = table.entry(key) {
            let with = if run.is_empty() { "without" } else { "with" };
            let message = format!("`{key}` has no effect {with} `run`");
            table.report(Problem::error(entry.key_span.clone(), message).help("remove it"));
        }
    }
    table.finish();
    Some(Action::Bootstrap(Bootstrap { tenants: tenants?, run, values, domain, keep }))
}

fn verify(mut table: Table<'_>) -> Option<Action> {
    let (tenants, shared) = (table.get("tenants"), table.value("shared"));
    let (wait, timeout) = (table.get("wait"), table.value("timeout"));
    table.finish();
    Some(Action::Verify(Verify { tenants: tenants?, shared, wait, timeout }))
}

/// The keys of a program that ends before the next step, which a background program does not have.
const ATTEMPTS: [&str; 7] =
    ["timeout", "total_timeout", "retries", "backoff", "max_backoff", "accept", "exports"];

fn command(mut table: Table<'_>, background: &mut Option<Range<usize>>) -> Action {
    let command = Command {
        run: argv(&mut table, "run").unwrap_or_default(),
        env: table.value("env"),
        cwd: table.get("cwd"),
        privileges: privileges(&mut table),
        timeout: table.value("timeout"),
        total_timeout: table.get("total_timeout"),
        retries: table.value("retries"),
        backoff: table.value("backoff"),
        max_backoff: table.value("max_backoff"),
        accept: table.value("accept"),
        background: table.value("background"),
        once: table.value("once_per_release"),
        exports: table.value("exports"),
        grace: table.value("grace"),
    };
    if command.max_backoff < command.backoff {
        let key = if table.node("max_backoff").is_some() { "max_backoff" } else { "backoff" };
        table.report_at(key, "`max_backoff` is shorter than `backoff`", None);
    }
    if let Some(Node { value: Value::List(list), .. }) = table.node("accept")
        && list.is_empty()
    {
        table.report_at("accept", "`accept` is empty: no exit code would count as success", None);
    }
    if command.background && command.once {
        let message = "`once_per_release` cannot be combined with `background`";
        table.report_at("once_per_release", message, Some("remove `once_per_release`, or `background`"));
    }
    if command.exports && command.once {
        let message =
            "`exports` cannot be combined with `once_per_release`: a later start would lack the variables";
        table.report_at("exports", message, Some("remove `exports`, or `once_per_release`"));
    }
    if command.background {
        *background = table.node("background").map(|node| node.span.clone());
        for key in ATTEMPTS {
            if let Some(entry) = table.entry(key) {
                let message = format!("`{key}` has no effect with `background = true`");
                table.report(Problem::error(entry.key_span.clone(), message).help("remove it"));
            }
        }
    }
    table.finish();
    Action::Command(command)
}
