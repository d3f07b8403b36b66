//! Reads the tables that stand once: `[tenants]`, `[migrations]`, `[gate]`, `[lock]` and `[server]`.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Ahead, Apply, Gate, GateMode, Migrations, Mode, OnIncomplete, OnTenantFailure, Project, Registry, Server,
    Source,
    child::{GRACE, argv, variables},
    environment::Environment,
    fill::{Node, Value},
    problem::Problem,
    table::Table,
    values,
};

const MANIFEST: &str = "portcullis.manifest.json";
/// What `framework` may say; None if Portcullis applies the migrations itself.
pub(crate) const FRAMEWORKS: [(&str, Option<&str>); 2] = [("sql", None), ("django", Some("django"))];

const PYTHON: &str = "python";
const JOBS: usize = 4;
const TENANT_TIMEOUT: Duration = Duration::from_mins(10);
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_mins(2);
const RUN_LOCK_TIMEOUT: Duration = Duration::from_mins(30);

pub(super) fn tenants(mut table: Table<'_>) -> Option<Registry> {
    let inner = table.table("registry", "`registry`");
    if inner.is_none() && !table.has("registry") {
        table.missing("registry");
    }
    let registry = inner.and_then(registry);
    table.finish();
    registry
}

fn registry(mut table: Table<'_>) -> Option<Registry> {
    let name = table.require("table", identifier);
    let schema_column = table.require("schema_column", identifier);
    let condition = table.read("where", values::text);
    let at_least = table.read("at_least", values::number(0..=1_000_000)).unwrap_or(0);
    table.finish();
    Some(Registry { table: name?, schema_column: schema_column?, condition, at_least })
}

/// A name that SQL can quote, perhaps with its schema.
fn identifier(node: &Node) -> Result<String, Problem> {
    let text = values::text(node)?;
    let odd = |c: char| c == '"' || c.is_control() || c.is_whitespace();
    let fits =
        text.split('.').count() <= 2 && text.split('.').all(|part| !part.is_empty()) && !text.contains(odd);
    if fits { Ok(text) } else { Err(values::wrong(node, "a name such as \"tenants\" or \"public.tenants\"")) }
}

pub(super) fn migrations(mut table: Table<'_>, env: &Environment) -> Option<Migrations> {
    let external = table.read("framework", values::word(&FRAMEWORKS)).flatten();
    let files = if external.is_some() {
        None
    } else {
        let shared = table.require("shared", values::path);
        let tenant = table.require("tenant", values::path);
        Some((shared, tenant))
    };
    let (mut manifest, mut auto_manifest) = (None, false);
    if let Some(mut table) = table.table("manifest", "`manifest`") {
        manifest = table.read("file", values::path);
        auto_manifest = table.read("auto", values::boolean).unwrap_or(false);
        table.finish();
    }
    // Native tenants are made in one transaction as it is.
    let template = if external.is_some() { table.table("template", "`template`") } else { None }.and_then(
        |mut table| {
            let file = table.require("file", values::path);
            table.finish();
            file
        },
    );
    let mut project = external.map(|framework| Project {
        framework,
        interpreter: table.read("python", values::text).unwrap_or_else(|| PYTHON.into()),
        entry: table.read("manage", values::path),
        run: Vec::new(),
        env: BTreeMap::new(),
    });
    let inner = table.table("apply", "`apply`");
    let apply = inner.map_or_else(default_apply, |table| apply(table, project.as_mut(), env));
    table.finish();
    let manifest = manifest.unwrap_or_else(|| MANIFEST.into());
    let source = match (files, project) {
        (Some((shared, tenant)), _) => Source::Sql { shared: shared?, tenant: tenant? },
        (None, project) => Source::External(project?),
    };
    Some(Migrations { source, manifest, auto_manifest, template, apply })
}

fn default_apply() -> Apply {
    Apply {
        jobs: JOBS,
        canary: Vec::new(),
        cooperate: false,
        on_tenant_failure: OnTenantFailure::Stop,
        timeout: TENANT_TIMEOUT,
        lock_timeout: LOCK_TIMEOUT,
        statement_timeout: None,
    }
}

fn apply(mut table: Table<'_>, project: Option<&mut Project>, env: &Environment) -> Apply {
    let default = default_apply();
    if let Some(project) = project {
        project.run = argv(&mut table, "run").unwrap_or_default();
        if let (false, Some(node)) = (
            project.run.is_empty() || project.run.iter().any(|word| word.contains("{schema}")),
            table.get("run"),
        ) {
            let problem = Problem::error(node.span.clone(), "`run` does not say where `{schema}` stands");
            table.report(
                problem.help("as in [\"python\", \"manage.py\", \"migrate_schemas\", \"--schema={schema}\"]"),
            );
        }
        let given = table.table("env", "`env`");
        project.env = given.map(|table| variables(&table, env)).unwrap_or_default();
    }
    let canary = table.list("canary", values::text).unwrap_or_default();
    let words = [("stop", false), ("continue", true)];
    let goes_on = table.read("on_tenant_failure", values::word(&words)).unwrap_or(false);
    let at_most = table.read("max_failures", values::number(1..=1_000_000));
    if let (false, Some(node)) = (goes_on, table.get("max_failures")) {
        let problem =
            Problem::error(node.span.clone(), "`max_failures` needs `on_tenant_failure = \"continue\"`");
        table.report(problem);
    }
    let apply = Apply {
        jobs: table.read("jobs", values::number(1..=64)).unwrap_or(default.jobs),
        canary: canary.into_iter().filter(|name| !name.is_empty()).collect(),
        cooperate: table.read("cooperate", values::boolean).unwrap_or(default.cooperate),
        on_tenant_failure: if goes_on {
            OnTenantFailure::Continue { at_most }
        } else {
            OnTenantFailure::Stop
        },
        timeout: table.read("timeout", values::duration).unwrap_or(default.timeout),
        lock_timeout: table.read("lock_timeout", values::duration).unwrap_or(default.lock_timeout),
        statement_timeout: table.read("statement_timeout", values::duration),
    };
    table.finish();
    apply
}

pub(super) fn gate(table: Option<Table<'_>>) -> Gate {
    let Some(mut table) = table else {
        return Gate {
            ahead: Ahead::Warn,
            settle: SETTLE,
            allow_standby: false,
            mode: GateMode::Block,
            incomplete: OnIncomplete::Block,
        };
    };
    let modes = [("block", GateMode::Block), ("report", GateMode::Report)];
    let mode = table.read("mode", values::word(&modes)).unwrap_or(GateMode::Block);
    let incomplete = incomplete(&mut table);
    let words = [("warn", Ahead::Warn), ("block", Ahead::Block)];
    let gate = Gate {
        ahead: table.read("ahead", values::word(&words)).unwrap_or(Ahead::Warn),
        settle: table.read("settle", values::duration_or_zero).unwrap_or(SETTLE),
        allow_standby: table.read("allow_standby", values::boolean).unwrap_or(false),
        mode,
        incomplete,
    };
    table.finish();
    gate
}

/// `max` has no default: how many may be kept out is the decision itself.
fn incomplete(table: &mut Table<'_>) -> OnIncomplete {
    let words = [("block", false), ("quarantine", true)];
    let quarantine = table.read("incomplete", values::word(&words)).unwrap_or(false);
    let at_most = table.read("max", values::number(1..=1_000));
    let file = table.read("quarantine_file", values::path);
    if !quarantine {
        for key in ["max", "quarantine_file"] {
            if let Some(node) = table.get(key) {
                let message = format!("`{key}` needs `incomplete = \"quarantine\"`");
                table.report(Problem::error(node.span.clone(), message));
            }
        }
        return OnIncomplete::Block;
    }
    if at_most.is_none() && !table.has("max") {
        table.missing("max");
    }
    at_most.map_or(OnIncomplete::Block, |at_most| OnIncomplete::Quarantine { at_most, file })
}

pub(super) fn lock_timeout(table: Option<Table<'_>>) -> Duration {
    let Some(mut table) = table else {
        return RUN_LOCK_TIMEOUT;
    };
    let timeout = table.read("timeout", values::duration).unwrap_or(RUN_LOCK_TIMEOUT);
    table.finish();
    timeout
}

pub(super) fn server(table: Option<Table<'_>>) -> Server {
    let Some(mut table) = table else {
        return Server {
            command: Vec::new(),
            passthrough: Vec::new(),
            mode: Mode::Exec,
            grace: GRACE,
            crash_grace: None,
        };
    };
    let words = [("exec", Mode::Exec), ("supervise", Mode::Supervise)];
    let grace = table.read("grace", values::duration_or_zero);
    let server = Server {
        command: argv(&mut table, "command").unwrap_or_default(),
        passthrough: table.list("passthrough", beginning).unwrap_or_default(),
        mode: table.read("mode", values::word(&words)).unwrap_or(Mode::Exec),
        grace: grace.unwrap_or(GRACE),
        crash_grace: grace,
    };
    table.finish();
    server
}

/// The beginning of an argv: at least one word, or every argv would begin with it.
fn beginning(node: &Node) -> Result<Vec<String>, Problem> {
    let expected = "a list of words, as in [[\"sh\"], [\"python\", \"manage.py\", \"shell\"]]";
    let words = match &node.value {
        Value::List(list) if !list.is_empty() => list.iter().map(values::name).collect::<Result<_, _>>()?,
        _ => return Err(values::wrong(node, expected)),
    };
    Ok(words)
}
