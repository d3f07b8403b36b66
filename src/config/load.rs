//! From the file to a valid configuration, or every problem at its place.

use std::{fs, io, path::Path};

use toml::de::DeTable;

use super::{
    Config, Server, accept, check, database,
    environment::Environment,
    fill::{Filler, Node, Value},
    outside,
    problem::{Problem, Problems, Severity, render},
    sections, steps,
    table::Table,
    values,
};
use crate::failure::Failure;

/// Reads the file; warnings are not shown.
pub(crate) fn load(path: &Path, env: &Environment) -> Result<Config, Failure> {
    load_with_warnings(path, env, false).map(|(config, _)| config)
}

/// Reads the file, and renders its warnings (empty if there are none) or its errors.
pub(crate) fn load_with_warnings(
    path: &Path,
    env: &Environment,
    colour: bool,
) -> Result<(Config, String), Failure> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Failure::ConfigMissing { path: path.to_owned() },
        _ => Failure::ConfigUnreadable { path: path.to_owned(), source },
    })?;
    match parse(&text, env) {
        Ok((config, warnings)) => Ok((config, render(path, &text, &warnings, colour))),
        Err(problems) => Err(Failure::ConfigInvalid {
            path: path.to_owned(),
            count: problems.iter().filter(|problem| problem.severity == Severity::Error).count(),
            rendered: render(path, &text, &problems, colour),
        }),
    }
}

/// `[server]` of a file that is wrong elsewhere. None if there is any doubt about what its `passthrough` lists.
pub(crate) fn server_alone(path: &Path, env: &Environment) -> Option<Server> {
    let text = fs::read_to_string(path).ok()?;
    let (tree, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        return None;
    }
    let problems = Problems::default();
    let root = Filler { text: &text, env, problems: &problems }.table(&tree);
    let mut table = Table::of(&root, "the configuration", &problems)?.table("server", "`[server]`")?;
    let listed = table.get("passthrough")?.span.clone();
    let server = sections::server(Some(table));
    let doubtful = problems.into_sorted().iter().any(|problem| {
        problem.severity == Severity::Error
            && problem.span.start < listed.end
            && listed.start < problem.span.end.max(problem.span.start + 1)
    });
    (!doubtful).then_some(server)
}

/// A valid configuration with its warnings, or every error and warning in the order of the file.
pub(crate) fn parse(text: &str, env: &Environment) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let problems = Problems::default();
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let words = error.message().lines().collect::<Vec<_>>().join(", ");
        problems.report(Problem::error(error.span().unwrap_or(0..0), words));
    }
    let root = Filler { text, env, problems: &problems }.table(&tree);
    let config = read(&root, env, &problems, errors.is_empty());
    let problems = problems.into_sorted();
    match config {
        Some(config) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            Ok((config, problems))
        }
        _ => Err(problems),
    }
}

/// `whole` is false for a tree that was recovered from a text with errors: what it lacks says nothing.
fn read(root: &Node, env: &Environment, problems: &Problems, whole: bool) -> Option<Config> {
    let mut table = Table::of(root, "the configuration", problems)?;
    let role = table.read("role", values::text);
    let place = |table: &mut Table<'_>, key| table.entry(key).map(|entry| entry.key_span.clone());
    let places =
        check::Places { tenants: place(&mut table, "tenants"), migrations: place(&mut table, "migrations") };
    let database_node = table.table("database", "`[database]`");
    let tenants_node = table.table("tenants", "`[tenants]`");
    let migrations_node = table.table("migrations", "`[migrations]`");
    let server = sections::server(table.table("server", "`[server]`"));
    let gate = sections::gate(table.table("gate", "`[gate]`"));
    let given = check::Given {
        incomplete: gate.incomplete.clone(),
        mode: server.mode,
        database: database_node.is_some() || table.has("database"),
        tenants: tenants_node.is_some() || table.has("tenants"),
        migrations: migrations_node.is_some() || table.has("migrations"),
    };
    let database = database_node.and_then(|table| database::read(table, env));
    let registry = tenants_node.and_then(sections::tenants);
    let migrations = migrations_node.and_then(|table| sections::migrations(table, env));
    let accepts = match table.get("accept") {
        Some(Node { value: Value::List(list), .. }) => accept::read(list, problems),
        Some(node) => {
            let problem = values::wrong(node, "a list of tables");
            problems.report(problem.help("write `[[accept]]`, in two brackets"));
            Vec::new()
        }
        None => Vec::new(),
    };
    let lock_timeout = sections::lock_timeout(table.table("lock", "`[lock]`"));
    let log = outside::log(table.table("log", "`[log]`"));
    let status = outside::status(table.table("status", "`[status]`"));
    let notify = table.table("notify", "`[notify]`").and_then(outside::notify);
    let metrics = table.table("metrics", "`[metrics]`").and_then(outside::metrics);
    let drafts = match table.get("step") {
        Some(Node { value: Value::List(list), .. }) => steps::read(list, env, problems),
        Some(node) => {
            let problem = values::wrong(node, "a list of tables").help("write `[[step]]`, in two brackets");
            problems.report(problem);
            Vec::new()
        }
        None => Vec::new(),
    };
    if whole {
        table.finish();
        check::across(&drafts, &given, &places, problems);
    }
    let steps = drafts.into_iter().map(steps::Draft::into_step).collect::<Option<Vec<_>>>()?;
    Some(Config {
        role,
        database,
        registry,
        migrations,
        gate,
        accepts,
        lock_timeout,
        steps,
        server,
        log,
        status,
        notify,
        metrics,
    })
}
