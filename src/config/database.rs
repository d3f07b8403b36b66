//! Reads `[database]`: a URL or its parts, what `direct` and `reader` inherit, and the PG* variables.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Database, Postgres, Sqlite,
    environment::Environment,
    fill::{Node, Value},
    password,
    problem::Problem,
    secret::{Password, Secret},
    table::Table,
    url::{self, Endpoint, Fault, SSL_MODES},
    values,
};

const DEFAULT_PORT: u16 = 5432;

const SCHEMES: [&str; 3] = ["postgres", "postgresql", "sqlite"];

enum DatabaseUrl {
    Postgres(Box<Parts>),
    Sqlite(PathBuf),
}

/// What is known of how to reach a PostgreSQL database.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    name: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    parameters: BTreeMap<String, String>,
}

fn database_url(text: &str) -> Result<DatabaseUrl, Fault> {
    match text.split_once("://") {
        Some(("sqlite", folder)) if folder.contains('?') => Err("a sqlite:// URL takes no parameters".into()),
        Some(("sqlite", "")) => Err("a sqlite:// URL needs a folder".into()),
        Some(("sqlite", folder)) => Ok(DatabaseUrl::Sqlite(PathBuf::from(url::decode(folder)?))),
        _ => Ok(DatabaseUrl::Postgres(Box::new(Parts::of(Endpoint::parse(text, &SCHEMES)?)?))),
    }
}

impl Parts {
    /// libpq lets parameters stand for parts, too.
    fn of(url: Endpoint) -> Result<Self, Fault> {
        if url.path.contains('/') {
            return Err(url::DELIMITERS.into());
        }
        let mut parts = Self {
            host: Some(url.host).filter(|host| !host.is_empty()),
            port: url.port,
            name: Some(url.path).filter(|name| !name.is_empty()),
            user: url.user,
            password: url.password,
            parameters: BTreeMap::new(),
        };
        for (name, value) in url.query {
            let text = value.expose().to_owned();
            match name.as_str() {
                _ if text.is_empty() => {}
                "host" => parts.host = Some(text),
                "port" => {
                    let port = text.parse().ok().filter(|port| *port != 0);
                    parts.port = Some(port.ok_or("the host or the port in the URL is not valid")?);
                }
                "dbname" => parts.name = Some(text),
                "user" => parts.user = Some(text),
                "password" => parts.password = Some(value),
                _ => {
                    parts.parameters.insert(name, text);
                }
            }
        }
        Ok(parts)
    }
}

/// What one table says of a connection; `direct` and `reader` say what differs.
struct Said {
    parts: Parts,
    password: Option<Password>,
    folder: Option<PathBuf>,
}

/// None if a problem was reported.
pub(super) fn read(mut table: Table<'_>, env: &Environment) -> Option<Database> {
    let direct = table.table("direct", "`direct`");
    let reader = table.table("reader", "`reader`");
    let schema = table.read("schema", values::text).unwrap_or_else(|| "public".into());
    let (span, problems) = (table.span.clone(), table.problems);
    let said = said(table, env, None);
    let (direct, reader) = (
        direct.map(|table| said_beside(table, env, said.as_ref())),
        reader.map(|table| said_beside(table, env, said.as_ref())),
    );
    let said = said?;
    if let Some(folder) = said.folder {
        return Some(Database::Sqlite(Sqlite { folder }));
    }
    let base = problems.take(complete(said, env, schema).map_err(|why| {
        Problem::error(span, why).help("give `url`, or `host`, `name`, `user` and `password`")
    }))?;
    let beside = |said: Option<Option<Said>>| match said {
        None => Some(None),
        Some(said) => Some(inherit(&base, said?).map(Box::new)),
    };
    let (direct, reader) = (beside(direct)?, beside(reader)?);
    Some(Database::Postgres(Box::new(Postgres { direct, reader, ..base })))
}

/// Reads a table beside `[database]` itself. Beside SQLite it has no meaning, and its password is not asked for.
fn said_beside(table: Table<'_>, env: &Environment, base: Option<&Said>) -> Option<Said> {
    said(table, env, base.map(|base| base.folder.is_some()))
}

/// `beside_sqlite` is None for `[database]` itself.
fn said(mut table: Table<'_>, env: &Environment, beside_sqlite: Option<bool>) -> Option<Said> {
    let read_url = |node: &Node| {
        let Value::Text(text) = &node.value else {
            return Err(values::wrong_secret(node, "a database URL"));
        };
        database_url(text).map_err(|fault| values::wrong_url(node, fault))
    };
    let url_given = table.get("url").map(|node| node.span.clone());
    let url = table.read("url", read_url);
    // What is there and wrong is reported already: it must not be missed a second time.
    let broken = (url_given.is_some() && url.is_none())
        || ["url", "host", "port", "name", "user"].iter().any(|key| table.is_unfilled(key));
    let (mut parts, folder) = match url {
        Some(DatabaseUrl::Postgres(parts)) => (*parts, None),
        Some(DatabaseUrl::Sqlite(folder)) => (Parts::default(), Some(folder)),
        None => (Parts::default(), None),
    };
    let on_sqlite = beside_sqlite.is_none() && folder.is_some();
    if let (Some(place), Some(false), true) = (&url_given, beside_sqlite, folder.is_some()) {
        table.report(Problem::error(place.clone(), "this must be a postgres:// URL, as `[database]` is"));
    }
    place_part(&mut table, "host", &mut parts.host, on_sqlite, values::text);
    place_part(&mut table, "port", &mut parts.port, on_sqlite, values::number(1..=65535));
    place_part(&mut table, "name", &mut parts.name, on_sqlite, values::text);
    place_part(&mut table, "user", &mut parts.user, on_sqlite, values::text);
    let words: Vec<(&str, &str)> = SSL_MODES.iter().map(|word| (*word, *word)).collect();
    if let Some(mode) = table.read("sslmode", values::word(&words)) {
        parts.parameters.insert("sslmode".into(), mode.into());
    }
    if let Some(certificate) = table.read("sslrootcert", values::text) {
        parts.parameters.insert("sslrootcert".into(), certificate);
    }
    let problems = table.problems;
    let password = match table.get("password") {
        None => parts.password.take().map(Password::Given),
        Some(_) if on_sqlite || beside_sqlite == Some(true) => None,
        Some(node) if parts.password.is_some() => {
            table.report(Problem::error(node.span.clone(), "`password` is given twice: here and in `url`"));
            None
        }
        Some(node) => password::read(node, env, problems),
    };
    table.finish();
    (!broken).then_some(Said { parts, password, folder })
}

fn place_part<T>(
    table: &mut Table<'_>,
    key: &'static str,
    part: &mut Option<T>,
    on_sqlite: bool,
    read: impl Fn(&Node) -> Result<T, Problem>,
) {
    let Some(node) = table.get(key) else {
        return;
    };
    if on_sqlite {
        table.report(Problem::error(
            node.span.clone(),
            format!("`{key}` has no meaning beside a sqlite:// URL"),
        ));
    } else if part.is_some() {
        table.report(Problem::error(node.span.clone(), format!("`{key}` is given twice: here and in `url`")));
    } else {
        *part = table.problems.take(read(node));
    }
}

/// Fills what is absent from the PG* variables, as libpq does; the rest must be there.
fn complete(said: Said, env: &Environment, shared_schema: String) -> Result<Postgres, String> {
    let parts = said.parts;
    let variable = |name: &str| env.get(name).map(str::to_owned);
    let needed = |part: Option<String>, key: &str, name: &str| {
        part.or_else(|| variable(name))
            .ok_or_else(|| format!("`[database]` needs `{key}` (or the variable `{name}`)"))
    };
    let port = match (parts.port, env.get("PGPORT")) {
        (Some(port), _) => port,
        (None, None) => DEFAULT_PORT,
        (None, Some(port)) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            port.ok_or("the value of `PGPORT` is not a port from 1 to 65535")?
        }
    };
    Ok(Postgres {
        host: needed(parts.host, "host", "PGHOST")?,
        port,
        name: needed(parts.name, "name", "PGDATABASE")?,
        user: needed(parts.user, "user", "PGUSER")?,
        password: said.password.unwrap_or_else(|| {
            variable("PGPASSWORD").map_or(Password::None, |password| Password::Given(Secret::new(password)))
        }),
        parameters: parts.parameters,
        shared_schema,
        direct: None,
        reader: None,
    })
}

/// What is not said stays as in `[database]`. None if nothing is said at all.
fn inherit(base: &Postgres, said: Said) -> Option<Postgres> {
    let Said { parts, password, .. } = said;
    let mut parameters = base.parameters.clone();
    parameters.extend(parts.parameters);
    let one = Postgres {
        host: parts.host.unwrap_or_else(|| base.host.clone()),
        port: parts.port.unwrap_or(base.port),
        name: parts.name.unwrap_or_else(|| base.name.clone()),
        user: parts.user.unwrap_or_else(|| base.user.clone()),
        password: password.unwrap_or_else(|| base.password.clone()),
        parameters,
        ..base.clone()
    };
    (one != *base).then_some(one)
}
