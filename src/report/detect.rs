//! Renders the ledgers of a database. The configuration is printed exactly, to be pasted.

use super::terminal_filter;
use crate::{
    outcome::detect::{Detected, DetectedLedger, FittingFiles},
    words::{count, hanging, list},
};

/// The maximum number of names in a line; the others are counted.
const NAMED: usize = 6;

/// For people.
pub(super) fn text(detected: &Detected, columns: usize) -> String {
    let mut text = String::new();
    let mut add = |start: &str, words: &str| {
        let lines = hanging(start, start.len(), words, columns);
        text.extend(lines.iter().map(|line| terminal_filter::line(line)));
    };
    add("", &format!("database {}", detected.database));
    for ledger in &detected.ledgers {
        add("", "");
        add("", &format!("{}: `{}` in {}", ledger.tool, ledger.table, places(ledger)));
        add("  files     ", &files(ledger.files.as_ref()));
        match &ledger.config {
            None if !ledger.is_judged => {
                add(
                    "  config    ",
                    "none: in SQLite, the gate reads the ledger of plain SQL migrations only",
                );
            }
            None if ledger.own_schema.is_some() => {
                add(
                    "  config    ",
                    "none: the gate reads ledgers in the shared schema and in tenants' schemas",
                );
            }
            None => add("  config    ", "none: the gate judges a schema for each tenant"),
            Some(config) => {
                if !ledger.schemas.is_empty() {
                    add("  registry  ", &registry(ledger));
                }
                add("  config    ", "for config.toml:");
                config.trim_end().lines().for_each(|line| add(line, ""));
            }
        }
    }
    for unknown in &detected.unknown {
        let (columns, schemas) = (unknown.columns.join(", "), list(&unknown.schemas, NAMED));
        add("", "");
        add("", &format!("unknown ledger: `{}` ({columns}) in {schemas}", unknown.table));
        add(
            "  config    ",
            "`framework = \"custom\"`, if it records migrations: docs/ledgers.md, \"Custom\"",
        );
    }
    if detected.ledgers.is_empty() && detected.unknown.is_empty() {
        add("", "no table has the name or the columns of a ledger");
    }
    text
}

fn places(ledger: &DetectedLedger) -> String {
    let schemas = match ledger.schemas.len() {
        0 => None,
        1 => Some(ledger.schemas[0].clone()),
        number => Some(format!("{} ({})", count(number, "schema"), list(&ledger.schemas, NAMED))),
    };
    let shared = ledger.shared.then(|| "the shared schema".to_owned());
    let own = ledger.own_schema.as_ref().map(|schema| format!("its own schema `{schema}`"));
    [schemas, shared, own].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn files(files: Option<&FittingFiles>) -> String {
    let Some(files) = files else { return "not compared here".into() };
    let Some(folder) = &files.folder else {
        return format!("no folder here has a migration that is recorded in {}", files.schema);
    };
    let migrations = count(files.migrations, "migration");
    let mut parts = vec![format!("`{folder}` has {migrations}")];
    match files.pending.len() {
        0 => parts.push(format!("each is recorded in {}", files.schema)),
        _ => parts.push(format!("not recorded in {}: {}", files.schema, list(&files.pending, NAMED))),
    }
    if !files.without_file.is_empty() {
        parts.push(format!("recorded without a file: {}", list(&files.without_file, NAMED)));
    }
    parts.join("; ")
}

fn registry(ledger: &DetectedLedger) -> String {
    match (&ledger.registry, ledger.unlisted) {
        (None, _) => "no table lists these schemas: correct `registry` below".into(),
        (Some(table), 0) => format!("`{table}` lists these schemas"),
        (Some(table), unlisted) => {
            format!("`{table}` lists these schemas, except for {}", count(unlisted, "schema"))
        }
    }
}
