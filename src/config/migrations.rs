//! Reads the table `[migrations]`: the framework, its files, its ledger, and how migrations are applied.

use std::path::PathBuf;

use super::{
    Apply, LedgerFiles, Migrations, OnTenantFailure, Overrides, Project, Source, Transaction, Wave,
    capabilities::Capabilities,
    command_fields::argv,
    fields::Table,
    file_pattern::{FilePattern, IdTemplate},
    frameworks::{External, is_custom, is_sql, reads_files},
    interpolate::{Node, Value},
    keys::{Keyword, Kind, words},
    privileges::privileges,
    problem::Problem,
    reading::Reading,
    values::{self, Names, Read},
};
use crate::tenants::ledger::OwnLayout;

/// The migrations that have a row in the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LedgerRows {
    Each,
    Latest,
}

impl Keyword for LedgerRows {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("each", LedgerRows::Each), ("latest", LedgerRows::Latest)];
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

impl Keyword for Transaction {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("file", Transaction::File), ("schema", Transaction::Schema)];
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
        let problem =
            Problem::error(table.span.clone(), "`[migrations]` has neither `shared` nor `framework`");
        let names: Vec<String> = words::<External>()
            .into_iter()
            .filter(|name| !is_sql(name))
            .map(|name| format!("\"{name}\""))
            .collect();
        let help = format!(
            "for SQL files that Portcullis applies: shared = \"migrations/shared\"; for migrations of a framework: \
             framework = {}",
            names.join(" or ")
        );
        table.report(problem.help(help));
        return None;
    }
    let (shared, tenant): (Vec<PathBuf>, Vec<PathBuf>) = (table.value("shared"), table.value("tenant"));
    if external.is_some_and(reads_files) && !table.has("shared") && !table.has("tenant") {
        let help = "name the folder of the shared schema's migrations, of the tenants', or both";
        table.report_at("framework", "`[migrations]` needs `shared` or `tenant`", Some(help));
    }
    let files = LedgerFiles { shared, tenant, ..ledger(&mut table, external) };
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
    let privileges = privileges(&mut inner);
    // The shared schema has no URL of its own.
    let has_url = engine.is_some_and(|engine| engine.tenant_databases) && files.shared.is_empty();
    if !run.is_empty() && !has_url && !run.iter().any(|word| word.contains("{schema}")) {
        let help = "the command migrates one schema, whose name replaces `{schema}`";
        inner.report_at("run", "`run` does not contain `{schema}`", Some(help));
    }
    if !run.is_empty() && inner.value::<bool>("replay") {
        let help = "remove `run`: without it, one Python process records the statements";
        inner.report_at("replay", "`replay` has no effect with `run`", Some(help));
    }
    if let Some(engine) = engine {
        engine.check_statement_timeout(&mut inner);
        if let Some(framework) = external {
            engine.check_project(&mut table, framework, !run.is_empty());
        }
    }
    let apply = apply(inner, overrides);
    table.finish();
    let source = match external {
        None => {
            Source::Sql { shared: files.shared.into_iter().next()?, tenant: files.tenant.into_iter().next()? }
        }
        Some(framework) => {
            Source::External(Project { framework, interpreter, entry, run, env, privileges, files })
        }
    };
    Some(Migrations { source, manifest: file, auto_manifest, empty_manifest, search_path, template, apply })
}

/// The ledger's layout and the names of its files, without the folders.
fn ledger(table: &mut Table<'_>, external: External) -> LedgerFiles {
    let is_custom = external.is_some_and(is_custom);
    if is_custom && !table.has("ledger") {
        table.missing("ledger");
    }
    let Some(mut table) = table.table("ledger") else { return LedgerFiles::default() };
    let layout = OwnLayout {
        table: table.get("table"),
        id: table.get("id"),
        succeeded: table.get("applied_when").map(ends_comment),
        rows: table.get("where").map(ends_comment),
    };
    if is_custom && !table.has("table") {
        table.missing("table");
    }
    if layout.table.as_ref().is_some_and(|name| name.contains('.')) {
        let help = "write the table's name alone: each schema has its own ledger";
        table.report_at("table", "the ledger's name contains a schema", Some(help));
    }
    let files = LedgerFiles {
        layout,
        patterns: table.value("files"),
        recorded_as: table.get("recorded_as"),
        latest: table.get("rows") == Some(LedgerRows::Latest),
        ..LedgerFiles::default()
    };
    table.finish();
    files
}

/// The line break ends a trailing comment in an SQL condition.
fn ends_comment(condition: String) -> String {
    condition + "\n"
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
        waves: waves(&mut table),
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

/// The canary, if any, and the configured waves.
fn waves(table: &mut Table<'_>) -> Vec<Wave> {
    let canary = table.get("canary").map(|Names(names)| names).filter(|names| !names.is_empty());
    let waves: Vec<Wave> = table.value("waves");
    let shares: Vec<u8> = waves.iter().filter_map(Wave::percent).collect();
    let help = "for example waves = [[\"demo\"], \"10%\", \"100%\"]";
    if !waves.is_empty() && waves.last().and_then(Wave::percent) != Some(100) {
        table.report_at("waves", "the last wave is not `\"100%\"`", Some(help));
    } else if !shares.is_sorted_by(|first, second| first < second) {
        table.report_at("waves", "the percentages do not increase", Some(help));
    }
    canary.map(Wave::Tenants).into_iter().chain(waves).collect()
}

impl Wave {
    fn percent(&self) -> Option<u8> {
        match self {
            Self::Percent(percent) => Some(*percent),
            Self::Tenants(_) => None,
        }
    }
}

/// A list of tenants or a percentage.
impl Read for Wave {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        if let Value::List(_) = node.value {
            return Names::read(node, Kind::Texts(1), reading).map(|Names(names)| Self::Tenants(names));
        }
        let percent = match &node.value {
            Value::Text(text) => text.strip_suffix('%').and_then(|number| number.parse().ok()),
            _ => None,
        };
        let percent = percent.filter(|percent| (1..=100).contains(percent));
        percent
            .map(Self::Percent)
            .ok_or_else(|| values::wrong(node, "a percentage from \"1%\" to \"100%\", or a list of tenants"))
    }
}

impl Read for FilePattern {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        parsed(node, "a pattern of files such as \"{number}_{name}.up.sql\"", FilePattern::parse)
    }
}

impl Read for IdTemplate {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        parsed(node, "an identifier such as \"{number}_{name}\"", IdTemplate::parse)
    }
}

fn parsed<T>(
    node: &Node,
    expected: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Problem> {
    parse(values::text(node)?).map_err(|why| values::wrong(node, expected).help(why))
}
