//! Reads the tables `[tenants]`, `[gate]`, `[lock]`, `[server]`, and `[[accept]]`.

use std::time::Duration;

use super::{
    Ahead, CompatCheck, Gate, GateMode, Mode, OnIncomplete, Registry, Server, StructureCheck,
    command_fields::argv,
    fields::Table,
    interpolate::{Node, Value},
    keys::{Keyword, Kind},
    privileges::privileges,
    problem::Problem,
    reading::Reading,
    values::{self, Read},
};
use crate::{signal_names, tenants::accept::Accept};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Incomplete {
    Block,
    Quarantine,
}

impl Keyword for Incomplete {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("block", Incomplete::Block), ("quarantine", Incomplete::Quarantine)];
}

impl Keyword for Ahead {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("warn", Ahead::Warn), ("block", Ahead::Block)];
}

impl Keyword for StructureCheck {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("off", StructureCheck::Off), ("warn", StructureCheck::Warn), ("block", StructureCheck::Block)];
}

impl Keyword for CompatCheck {
    const KEYWORDS: &'static [(&'static str, Self)] = &[
        ("off", CompatCheck::Off),
        ("warn", CompatCheck::Warn),
        ("breaks", CompatCheck::Breaks),
        ("block", CompatCheck::Block),
    ];
}

impl Keyword for GateMode {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("block", GateMode::Block), ("report", GateMode::Report)];
}

impl Keyword for Mode {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("exec", Mode::Exec), ("supervise", Mode::Supervise)];
}

pub(super) fn tenants(mut table: Table<'_>) -> Option<Registry> {
    let registry = table.table("registry").and_then(registry);
    table.finish();
    registry
}

fn registry(mut table: Table<'_>) -> Option<Registry> {
    let (name, schema_column) = (table.get("table"), table.get("schema_column"));
    let (condition, at_least) = (table.get("where"), table.value("min_rows"));
    let database = table.get("database");
    table.finish();
    Some(Registry { table: name?, schema_column: schema_column?, condition, at_least, database })
}

pub(super) fn gate(mut table: Table<'_>) -> Gate {
    let incomplete = incomplete(&mut table);
    let gate = Gate {
        ahead: table.get("ahead").unwrap_or(Ahead::Warn),
        settle: table.value("settle_timeout"),
        allow_standby: table.value("allow_standby"),
        mode: table.get("mode").unwrap_or(GateMode::Block),
        incomplete,
        structure: table.get("structure").unwrap_or(StructureCheck::Off),
        compat: table.get("compat").unwrap_or(CompatCheck::Off),
    };
    table.finish();
    gate
}

/// `max_quarantined` has no default: the operator must decide it.
fn incomplete(table: &mut Table<'_>) -> OnIncomplete {
    let incomplete = table.get("incomplete").unwrap_or(Incomplete::Block);
    let (at_most, file) = (table.get("max_quarantined"), table.get("quarantine_file"));
    if incomplete == Incomplete::Block {
        for key in ["max_quarantined", "quarantine_file"] {
            if table.node(key).is_some() {
                table.report_at(key, &format!("`{key}` needs `incomplete = \"quarantine\"`"), None);
            }
        }
        return OnIncomplete::Block;
    }
    if at_most.is_none() && !table.has("max_quarantined") {
        table.missing("max_quarantined");
    }
    at_most.map_or(OnIncomplete::Block, |at_most| OnIncomplete::Quarantine { at_most, file })
}

/// One entry for each named finding.
pub(super) fn accept(mut table: Table<'_>) -> Option<Vec<Accept>> {
    let tenant: Option<String> = table.get("tenant");
    let what: Option<Vec<String>> = table.get("what");
    if what.as_ref().is_some_and(Vec::is_empty) {
        table.missing("what");
    }
    let (until, reason) = (table.get("until"), table.get::<String>("reason"));
    table.finish();
    let (tenant, until, reason) = (tenant?, until?, reason?);
    let accept = |what| Accept { tenant: tenant.clone(), what, until, reason: reason.clone() };
    Some(what?.into_iter().map(accept).collect())
}

/// The time limit for acquiring the lock, and the silence after which a held lock counts as lost.
pub(super) fn lock(mut table: Table<'_>) -> (Duration, Duration) {
    let timeouts = (table.value("timeout"), table.value("silence_timeout"));
    table.finish();
    timeouts
}

pub(super) fn server(mut table: Table<'_>) -> Server {
    let grace = table.value("grace");
    let server = Server {
        command: argv(&mut table, "command").unwrap_or_default(),
        passthrough: table.get("passthrough").map_or_else(Vec::new, |ArgvPrefixes(list)| list),
        mode: table.get("mode").unwrap_or(Mode::Exec),
        grace,
        crash_grace: table.node("grace").map(|_| grace),
        stop_signal: table.get("stop_signal").map(|StopSignal(number)| number),
        privileges: privileges(&mut table),
    };
    table.finish();
    server
}

struct StopSignal(i32);

impl Read for StopSignal {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let Value::Text(text) = &node.value else {
            return Err(values::wrong(node, "a signal's name, as in \"SIGTERM\" or \"SIGRTMIN+3\""));
        };
        signal_names::number(text)
            .map(Self)
            .map_err(|_| values::wrong(node, "a signal's name, as in \"SIGTERM\""))
    }
}

/// Prefixes of argvs: each has at least one word, because an empty prefix would match every argv.
struct ArgvPrefixes(Vec<Vec<String>>);

impl Read for ArgvPrefixes {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let expected = "a list of words, as in [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]";
        let words = |node: &Node| match &node.value {
            Value::List(list) if !list.is_empty() => list.iter().map(values::name).collect(),
            _ => Err(values::wrong(node, expected)),
        };
        let filled = values::elements(node)?.iter().filter(|node| !matches!(node.value, Value::Unresolved));
        Ok(Self(filled.filter_map(|node| reading.value_or_report(words(node))).collect()))
    }
}
