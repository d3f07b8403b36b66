//! Reads the tables `[tenants]`, `[migrations]`, `[gate]`, `[lock]`, `[server]`, and `[[accept]]`.

use std::time::Duration;

use super::{
    Ahead, Apply, Gate, GateMode, Migrations, Mode, OnIncomplete, OnTenantFailure, Overrides, Project,
    Registry, Server, Source, Transaction,
    capabilities::Capabilities,
    command_fields::argv,
    fields::Table,
    interpolate::{Node, Value},
    keys::{Keyword, Kind},
    problem::Problem,
    reading::Reading,
    values::{self, Names, Read},
};
use crate::{signal_names, tenants::accept::Accept};

/// The values of `framework`; None if Portcullis applies the migrations itself.
pub(crate) const FRAMEWORKS: &[(&str, External)] = &[("sql", None), ("django", Some("django"))];

pub(super) type External = Option<&'static str>;

impl Keyword for External {
    const KEYWORDS: &'static [(&'static str, Self)] = FRAMEWORKS;
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailed {
    Stop,
    Continue,
}

impl Keyword for OnFailed {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("stop", OnFailed::Stop), ("continue", OnFailed::Continue)];
}

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

impl Keyword for Transaction {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("file", Transaction::File), ("schema", Transaction::Schema)];
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
    table.finish();
    Some(Registry { table: name?, schema_column: schema_column?, condition, at_least })
}

/// `engine` is None if the engine is unknown.
pub(super) fn migrations(
    mut table: Table<'_>,
    overrides: &Overrides,
    engine: Option<&Capabilities>,
) -> Option<Migrations> {
    let external: External = table.get("framework").flatten();
    if let (Some(framework), Some(engine)) = (external, engine) {
        engine.check_framework(&mut table, framework);
    }
    table.only(external.unwrap_or("sql"));
    if external.is_none() && !table.has("framework") && !table.has("shared") {
        let frameworks = FRAMEWORKS.iter().filter(|(_, external)| external.is_some());
        let names: Vec<String> = frameworks.map(|(name, _)| format!("framework = \"{name}\"")).collect();
        let problem =
            Problem::error(table.span.clone(), "`[migrations]` has neither `shared` nor `framework`");
        let help = format!(
            "for SQL files that Portcullis applies: shared = \"migrations/shared\"; for migrations of a framework: {}",
            names.join(" or ")
        );
        table.report(problem.help(help));
        return None;
    }
    let (shared, tenant) = (table.get("shared"), table.get("tenant"));
    let search_path = table.get("search_path").map_or_else(Vec::new, |Names(names)| names);
    let (interpreter, entry) = (table.value("python"), table.get("manage"));
    let mut manifest = table.table_or_defaults("manifest")?;
    let (file, auto_manifest) = (manifest.value("file"), manifest.value("auto"));
    let empty_manifest = manifest.value("empty");
    manifest.finish();
    let template = table.table("template").and_then(|mut table| {
        let file = table.get("file");
        table.finish();
        file
    });
    let mut inner = table.table_or_defaults("apply")?;
    let (run, env) = (argv(&mut inner, "run").unwrap_or_default(), inner.value("env"));
    if !run.is_empty() && !run.iter().any(|word| word.contains("{schema}")) {
        let help = "as in [\"python\", \"manage.py\", \"migrate_schemas\", \"--schema={schema}\"]";
        inner.report_at("run", "`run` does not contain `{schema}`", Some(help));
    }
    if !run.is_empty() && inner.value::<bool>("replay") {
        let help = "remove `run`: without it, one Python process records the statements";
        inner.report_at("replay", "`replay` has no effect with `run`", Some(help));
    }
    if let Some(engine) = engine {
        engine.check_statement_timeout(&mut inner);
    }
    let apply = apply(inner, overrides);
    table.finish();
    let source = match external {
        None => Source::Sql { shared: shared?, tenant: tenant? },
        Some(framework) => Source::External(Project { framework, interpreter, entry, run, env }),
    };
    Some(Migrations { source, manifest: file, auto_manifest, empty_manifest, search_path, template, apply })
}

fn apply(mut table: Table<'_>, overrides: &Overrides) -> Apply {
    let on_failed = table.get("on_tenant_failure").unwrap_or(OnFailed::Stop);
    let at_most = table.get("max_failures");
    if on_failed == OnFailed::Stop && table.has("max_failures") {
        let message = "`max_failures` needs `on_tenant_failure = \"continue\"`";
        table.report_at("max_failures", message, None);
    }
    let apply = Apply {
        jobs: overrides.jobs.unwrap_or(table.value("jobs")),
        canary: table.get("canary").map_or_else(Vec::new, |Names(names)| names),
        cooperate: table.value::<bool>("cooperate") || overrides.cooperate,
        replay: table.value("replay"),
        on_tenant_failure: match on_failed {
            OnFailed::Stop => OnTenantFailure::Stop,
            OnFailed::Continue => OnTenantFailure::Continue { at_most },
        },
        timeout: table.value("timeout"),
        lock_timeout: table.value("lock_timeout"),
        statement_timeout: table.get("statement_timeout"),
        transaction: table.value("transaction"),
        given_options: table.reading.env.get("PGOPTIONS").map(str::to_owned),
    };
    table.finish();
    apply
}

pub(super) fn gate(mut table: Table<'_>) -> Gate {
    let incomplete = incomplete(&mut table);
    let gate = Gate {
        ahead: table.get("ahead").unwrap_or(Ahead::Warn),
        settle: table.value("settle_timeout"),
        allow_standby: table.value("allow_standby"),
        mode: table.get("mode").unwrap_or(GateMode::Block),
        incomplete,
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
