//! Loads the file as a valid configuration, or returns every problem with its place.

use std::{collections::BTreeSet, io, path::Path};

use toml::de::DeTable;

use super::{
    Config, Migrations, Overrides, Server, check, connection,
    environment::Environment,
    fields::Table,
    interpolate::{Interpolator, Node},
    keys::ROOT,
    migrations, observability,
    problem::{Problem, Severity},
    reading::Reading,
    render::render,
    role,
    secret::KnownSecret,
    steps, tables,
    values::Names,
};
use crate::{failure::Failure, files};

/// A larger file is not a configuration.
const LARGEST: u64 = 1024 * 1024;
/// The maximum number of steps, and of `[[accept]]`.
const MOST_STEPS: usize = 1_000;
const MOST_ACCEPTS: usize = 10_000;

/// An invalid file.
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    /// The `[server]` table, unless its `passthrough` could be wrong.
    pub(crate) server: Option<Server>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, server: None }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

/// Reads the file; warnings are not shown.
pub(crate) fn load(path: &Path, env: &Environment, overrides: &Overrides) -> Result<Config, Failure> {
    Ok(load_with_warnings(path, env, overrides, false)?.0)
}

/// Reads the file, and renders its warnings (empty without any) or its errors.
pub(crate) fn load_with_warnings(
    path: &Path,
    env: &Environment,
    overrides: &Overrides,
    colour: bool,
) -> Result<(Config, String), Refused> {
    let text = files::read_text_now(path, LARGEST).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Failure::ConfigMissing { path: path.to_owned() },
        _ => Failure::ConfigUnreadable { path: path.to_owned(), source },
    })?;
    valid(path, &text, env, overrides, colour)
}

/// The configuration of a text that refers to variables only; an error names the environment.
pub(crate) fn of_environment(text: &str, env: &Environment) -> Result<Config, Failure> {
    Ok(valid(Path::new("environment"), text, env, &Overrides::default(), false)?.0)
}

fn valid(
    path: &Path,
    text: &str,
    env: &Environment,
    overrides: &Overrides,
    colour: bool,
) -> Result<(Config, String), Refused> {
    let Parsed { config, problems, passthrough } = parse(text, env, overrides);
    let rendered = render(path, text, &problems, colour);
    config.map(|config| (*config, rendered.clone())).ok_or_else(|| {
        let count = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        let failure = Failure::ConfigInvalid { path: path.to_owned(), count, rendered };
        Refused { failure, server: passthrough }
    })
}

/// The result of parsing a text.
pub(super) struct Parsed {
    /// None if one of the problems is an error.
    pub(super) config: Option<Box<Config>>,
    /// In the order of the file.
    pub(super) problems: Vec<Problem>,
    /// `[server]`, if its `passthrough` is certainly correct.
    pub(super) passthrough: Option<Server>,
}

pub(super) fn parse(text: &str, env: &Environment, overrides: &Overrides) -> Parsed {
    let reading = Reading::new(env);
    let (tree, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let words = error.message().lines().collect::<Vec<_>>().join(", ");
        reading.report(Problem::error(error.span().unwrap_or(0..0), words));
    }
    let root = Interpolator { text, reading: &reading }.table(&tree);
    let mut server = None;
    let config = read(&root, &reading, overrides, errors.is_empty(), &mut server);
    let (problems, secrets, secret_files) = reading.end();
    let mut wrong = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let config = config.filter(|_| wrong.clone().next().is_none());
    let passthrough = server.filter(|_| errors.is_empty()).and_then(|(server, listed)| {
        let is_in_doubt = |problem: &Problem| {
            problem.span.start < listed.end && listed.start < problem.span.end.max(problem.span.start + 1)
        };
        (!wrong.any(is_in_doubt)).then_some(server)
    });
    let config = config.map(|config| Box::new(Config { secrets, secret_files, ..config }));
    Parsed { config, problems, passthrough }
}

/// The configuration of a text; None if it is not valid.
pub(crate) fn of_text(text: &str, env: &Environment, role: Option<&str>) -> Option<Config> {
    let overrides = Overrides { role: role.map(str::to_owned), ..Overrides::default() };
    parse(text, env, &overrides).config.map(|config| *config)
}

/// `is_complete` is false for a tree that was recovered from a text with errors: absent keys are then not reported.
fn read<'t>(
    root: &'t Node,
    reading: &'t Reading<'t>,
    overrides: &Overrides,
    is_complete: bool,
    passthrough: &mut Option<(Server, std::ops::Range<usize>)>,
) -> Option<Config> {
    let mut table = Table::of(root, &ROOT, reading)?;
    let role: Option<String> = table.get("role");
    let role = overrides.role.clone().or(role);
    let roles = table.get("roles").map(|Names(names)| names);
    let place = |table: &mut Table<'_>, key| table.entry(key).map(|entry| entry.key_span.clone());
    let role_place = place(&mut table, "role");
    let places = check::TableSpans {
        tenants: place(&mut table, "tenants"),
        migrations: place(&mut table, "migrations"),
    };
    let database = table.table("database").and_then(connection::read);
    let registry = table.table("tenants").and_then(tables::tenants);
    let engine = database.as_ref().map(|database| database.capabilities(registry.as_ref()));
    let migrations =
        table.table("migrations").and_then(|table| migrations::migrations(table, overrides, engine));
    let mut server = table.table_or_defaults("server")?;
    let listed = server.node("passthrough").map(|node| node.span.clone());
    let server = tables::server(server);
    *passthrough = listed.map(|listed| (server.clone(), listed));
    let gate = tables::gate(table.table_or_defaults("gate")?);
    let accepts = table.tables("accept", MOST_ACCEPTS);
    let accepts = accepts.into_iter().filter_map(|(_, table)| tables::accept(table)).flatten().collect();
    let (lock_timeout, lock_silence_timeout) = tables::lock(table.table_or_defaults("lock")?);
    let log = observability::log(table.table_or_defaults("log")?);
    let status = observability::status(table.table_or_defaults("status")?);
    let notify = table.table("notify").and_then(observability::notify);
    let metrics = table.table("metrics").and_then(observability::metrics);
    let drafts = steps::read(table.tables("step", MOST_STEPS));
    if is_complete {
        let given = check::DeclaredTables {
            incomplete: &gate.incomplete,
            mode: server.mode,
            engine,
            database: table.has("database"),
            tenants: table.has("tenants"),
            migrations: table.has("migrations"),
            shared_alone: migrations.as_ref().is_some_and(Migrations::are_shared_alone),
            applies: migrations.as_ref().is_none_or(Migrations::are_applicable),
        };
        table.finish();
        check::across(&drafts, &given, &places, reading);
        let role = role.as_deref().map(|name| role::Role { name, span: role_place });
        role::check(role.as_ref(), roles.as_deref(), &drafts, reading);
    }
    let steps = drafts.into_iter().map(steps::ParsedStep::into_step).collect::<Option<Vec<_>>>()?;
    Some(Config {
        role,
        database,
        registry,
        migrations,
        gate,
        accepts,
        lock_timeout,
        lock_silence_timeout,
        steps,
        server,
        log,
        status,
        notify,
        metrics,
        secrets: Vec::<KnownSecret>::new(),
        secret_files: BTreeSet::new(),
    })
}
