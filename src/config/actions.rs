//! Reads what a step does: exactly one of the six kinds.

use std::{ops::Range, time::Duration};

use super::{
    Action, Awaited, Command, Scope, Selection, Verify, Wait,
    child::{GRACE, argv, variables},
    environment::Environment,
    fill::{Node, Value},
    problem::Problem,
    table::Table,
    values,
};

pub(super) const KINDS: [&str; 6] = ["wait", "sql", "migrate", "bootstrap", "verify", "command"];

const WAIT_TIMEOUT: Duration = Duration::from_mins(2);
const VERIFY_TIMEOUT: Duration = Duration::from_mins(2);
const COMMAND_TIMEOUT: Duration = Duration::from_mins(10);
const BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// What was found in a step.
pub(super) struct Found {
    pub(super) action: Option<Action>,
    /// How many kinds are written there.
    pub(super) count: usize,
    /// The first kind's key.
    pub(super) place: Option<Range<usize>>,
    /// Where it says that the command stays.
    pub(super) background: Option<Range<usize>>,
}

/// Reads each kind that is there, so that the problems of all are told, and takes the first.
pub(super) fn read(step: &mut Table<'_>, env: &Environment) -> Found {
    let mut found = Found { action: None, count: 0, place: None, background: None };
    for kind in KINDS {
        let Some(entry) = step.entry(kind) else {
            continue;
        };
        let (problems, name) = (step.problems, format!("`{kind}`"));
        let action = Table::of(&entry.node, &name, problems).and_then(|table| match kind {
            "wait" => wait(table),
            "sql" => sql(table),
            "migrate" => migrate(table),
            "bootstrap" => bootstrap(table),
            "verify" => verify(table),
            _ => Some(command(table, env, &mut found.background)),
        });
        found.count += 1;
        if found.count == 1 {
            (found.action, found.place) = (action, Some(entry.key_span.clone()));
        } else {
            let message = format!("a step does one thing: `{kind}` is one too many");
            step.report(Problem::error(entry.key_span.clone(), message).help("make it a step of its own"));
        }
    }
    found
}

/// The one key of a table that must have exactly one of `words`.
fn only<'t>(table: &mut Table<'t>, name: &str, words: &[&'static str]) -> Option<(&'static str, &'t Node)> {
    let mut given =
        words.iter().filter_map(|word| table.entry(word).map(|entry| (*word, entry))).collect::<Vec<_>>();
    given.sort_by_key(|(_, entry)| entry.key_span.start);
    for (word, entry) in given.iter().skip(1) {
        let message = format!("`{name}` takes one of {}: `{word}` is one too many", words.join(", "));
        table.report(Problem::error(entry.key_span.clone(), message));
    }
    if table.is_empty() {
        let problem = Problem::error(table.span.clone(), format!("`{name}` does not say what"));
        table.report(problem.help(format!("give it one of {}", words.join(", "))));
    }
    given.first().map(|(word, entry)| (*word, &entry.node))
}

fn wait(mut table: Table<'_>) -> Option<Action> {
    let problems = table.problems;
    let only = only(&mut table, "wait", &["tcp", "http", "database", "redis", "amqp", "file"]);
    table.finish();
    let (kind, node) = only?;
    let name = format!("`wait.{kind}`");
    let mut table = Table::of(node, &name, problems)?;
    let what = match kind {
        "tcp" => table.require("address", values::address).map(|(host, port)| Awaited::Tcp { host, port }),
        "http" => {
            let status = table.one_or_list("status", values::number(100..=599)).unwrap_or_default();
            table.require("url", values::url(&["http", "https"])).map(|url| Awaited::Http { url, status })
        }
        "database" => Some(Awaited::Database),
        "redis" => table.require("url", values::redis_url).map(|url| Awaited::Redis { url }),
        "amqp" => table.require("url", values::url(&["amqp", "amqps"])).map(|url| Awaited::Amqp { url }),
        _ => table.require("path", values::path).map(|path| Awaited::File { path }),
    };
    let timeout = table.read("timeout", values::duration).unwrap_or(WAIT_TIMEOUT);
    table.finish();
    Some(Action::Wait(Wait { what: what?, timeout }))
}

fn sql(mut table: Table<'_>) -> Option<Action> {
    let run = table.require("run", values::text);
    let timeout = table.read("timeout", values::duration).unwrap_or(COMMAND_TIMEOUT);
    let once = table.read("once", values::boolean).unwrap_or(false);
    table.finish();
    Some(Action::Sql { run: run?, timeout, once })
}

fn migrate(mut table: Table<'_>) -> Option<Action> {
    let problems = table.problems;
    let only = only(&mut table, "migrate", &["shared", "tenants"]);
    table.finish();
    let (word, node) = only?;
    let name = format!("`migrate.{word}`");
    Table::of(node, &name, problems)?.finish();
    Some(Action::Migrate(if word == "shared" { Scope::Shared } else { Scope::Tenants }))
}

fn bootstrap(mut table: Table<'_>) -> Option<Action> {
    let tenants = table.require("tenants", Ok).and_then(|node| table.problems.take(tenant_names(node)));
    let run = argv(&mut table, "run").unwrap_or_default();
    table.finish();
    Some(Action::Bootstrap { tenants: tenants?, run })
}

fn verify(mut table: Table<'_>) -> Option<Action> {
    let tenants = table.require("tenants", selection);
    let shared = table.read("shared", values::boolean).unwrap_or(true);
    let wait = table.read("wait", values::duration);
    let timeout = table.read("timeout", values::duration).unwrap_or(VERIFY_TIMEOUT);
    table.finish();
    Some(Action::Verify(Verify { tenants: tenants?, shared, wait, timeout }))
}

fn selection(node: &Node) -> Result<Selection, Problem> {
    match &node.value {
        Value::List(_) => tenant_names(node).map(Selection::Named),
        Value::Text(text) if text == "all" => Ok(Selection::All),
        Value::Text(text) if node.filled_by.is_empty() => {
            Err(values::wrong(node, "\"all\" or a list of names").help(
                if super::problem::nearest(text, &["all"]).is_some() {
                    "did you mean `all`?".to_owned()
                } else {
                    format!("write [\"{text}\"] for one tenant")
                },
            ))
        }
        _ => Err(values::wrong(node, "\"all\" or a list of names")),
    }
}

/// At least one name; an empty one, from a variable that is not set, does not count.
fn tenant_names(node: &Node) -> Result<Vec<String>, Problem> {
    let list = values::elements(node)?;
    let unfilled = list.iter().any(|node| matches!(node.value, Value::Unfilled));
    let known = list.iter().filter(|node| !matches!(node.value, Value::Unfilled));
    let mut names: Vec<String> = known.map(values::text).collect::<Result<_, _>>()?;
    names.retain(|name| !name.is_empty());
    if names.is_empty() && !unfilled {
        return Err(Problem::error(node.span.clone(), "this names no tenant"));
    }
    Ok(names)
}

/// What says how one attempt after another is made, of which a program that stays has none.
const ATTEMPTS: [&str; 6] = ["timeout", "total_timeout", "retries", "backoff", "max_backoff", "accept"];

fn command(mut table: Table<'_>, env: &Environment, background: &mut Option<Range<usize>>) -> Action {
    let run = argv(&mut table, "run");
    match (&run, table.get("run")) {
        (Some(run), Some(node)) if run.is_empty() => {
            table.report(Problem::error(node.span.clone(), "`run` is empty"));
        }
        (None, None) => table.missing("run"),
        _ => {}
    }
    let exit_codes = values::number(0..=255);
    let command = Command {
        run: run.unwrap_or_default(),
        env: table.table("env", "`env`").map(|table| variables(&table, env)).unwrap_or_default(),
        cwd: table.read("cwd", values::path),
        timeout: table.read("timeout", values::duration).unwrap_or(COMMAND_TIMEOUT),
        total_timeout: table.read("total_timeout", values::duration),
        retries: table.read("retries", values::number(0..=100)).unwrap_or(0),
        backoff: table.read("backoff", values::duration_or_zero).unwrap_or(BACKOFF),
        max_backoff: table.read("max_backoff", values::duration_or_zero).unwrap_or(MAX_BACKOFF),
        accept: table.one_or_list("accept", exit_codes).unwrap_or_else(|| vec![0]),
        background: table.read("background", values::boolean).unwrap_or(false),
        once: table.read("once", values::boolean).unwrap_or(false),
        grace: table.read("grace", values::duration_or_zero).unwrap_or(GRACE),
    };
    if let (true, Some(node)) =
        (command.max_backoff < command.backoff, table.get("max_backoff").or(table.get("backoff")))
    {
        table.report(Problem::error(node.span.clone(), "`max_backoff` is shorter than `backoff`"));
    }
    if let (true, Some(node)) = (command.accept.is_empty(), table.get("accept")) {
        table.report(Problem::error(node.span.clone(), "`accept` is empty: no exit code would do"));
    }
    if command.background && command.once {
        let place = table.get("once").map_or(table.span.clone(), |node| node.span.clone());
        let message = "what stays beside the server cannot be done once a release";
        table.report(Problem::error(place, message).help("remove `once`, or `background`"));
    }
    if command.background {
        *background = table.get("background").map(|node| node.span.clone());
        for key in ATTEMPTS {
            if let Some(entry) = table.entry(key) {
                let message = format!("`{key}` says nothing beside `background = true`");
                table.report(Problem::error(entry.key_span.clone(), message).help("remove it"));
            }
        }
    }
    table.finish();
    Action::Command(command)
}
