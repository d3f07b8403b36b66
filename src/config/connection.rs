//! Reads `[database]`: a URL or its parts, the keys that `direct` and `reader` inherit, and the PG* variables.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Database, Postgres, Sqlite,
    environment::Environment,
    fields::Table,
    interpolate::{Node, Value},
    keys::{Keyword, Kind},
    problem::Problem,
    reading::Reading,
    secret::{Password, Secret},
    url::{self, Endpoint, Fault, SSL_MODES},
    values::{self, Read},
};

const DEFAULT_PORT: u16 = 5432;

/// libpq's keyword for the certificates that the operating system trusts.
pub(crate) const SYSTEM_ROOTS: &str = "system";

pub(super) const SCHEMES: [&str; 3] = ["postgres", "postgresql", "sqlite"];

#[derive(Clone, Copy)]
pub(super) struct SslMode(&'static str);

impl Keyword for SslMode {
    const KEYWORDS: &'static [(&'static str, Self)] = &{
        let mut words = [("", SslMode("")); SSL_MODES.len()];
        let mut at = 0;
        while at < words.len() {
            words[at] = (SSL_MODES[at], SslMode(SSL_MODES[at]));
            at += 1;
        }
        words
    };
}

/// The connection fields of one table; `direct` and `reader` contain only what differs.
struct ConnectionFields {
    parts: Parts,
    password: Option<Password>,
    folder: Option<PathBuf>,
}

/// The known parts of a PostgreSQL connection.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    name: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    parameters: BTreeMap<String, String>,
}

enum DatabaseUrl {
    Postgres(Box<Parts>),
    Sqlite(PathBuf),
}

impl Read for DatabaseUrl {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let Value::Text(text) = &node.value else {
            return Err(values::wrong_secret(node, "a database URL"));
        };
        let wrong = |fault: Fault| values::wrong_url(node, fault);
        if let Some(("sqlite", folder)) = text.split_once("://") {
            return match folder {
                "" => Err(wrong("a sqlite:// URL needs a folder".into())),
                _ if folder.contains('?') => Err(wrong("a sqlite:// URL has no parameters".into())),
                _ => url::decode(folder).map(|folder| Self::Sqlite(folder.into())).map_err(wrong),
            };
        }
        let endpoint = Endpoint::parse(text, &SCHEMES).map_err(wrong)?;
        reading.remember(endpoint.secrets());
        Parts::of(endpoint).map(|parts| Self::Postgres(Box::new(parts))).map_err(wrong)
    }
}

impl Parts {
    /// As in libpq, parameters may also give the parts.
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

/// None if a problem was reported.
pub(super) fn read(mut table: Table<'_>) -> Option<Database> {
    let (direct, reader) = (table.table("direct"), table.table("reader"));
    let schema = table.value("schema");
    let (span, reading) = (table.span.clone(), table.reading);
    let base = fields(table, None);
    // With SQLite these tables have no effect, and their passwords are not read.
    let base_is_sqlite = base.as_ref().map(|base| base.folder.is_some());
    let direct = direct.map(|table| fields(table, base_is_sqlite));
    let reader = reader.map(|table| fields(table, base_is_sqlite));
    let base = base?;
    if let Some(folder) = base.folder {
        return Some(Database::Sqlite(Sqlite { folder }));
    }
    let base = reading.value_or_report(complete(base, reading.env, schema).map_err(|why| {
        Problem::error(span, why).help("give `url`, or `host`, `name`, `user` and `password`")
    }))?;
    let inherited = |fields: Option<Option<ConnectionFields>>| match fields {
        None => Some(None),
        Some(fields) => Some(inherit(&base, fields?).map(Box::new)),
    };
    let (direct, reader) = (inherited(direct)?, inherited(reader)?);
    Some(Database::Postgres(Box::new(Postgres { direct, reader, ..base })))
}

/// `base_is_sqlite` is None for `[database]` itself.
fn fields(mut table: Table<'_>, base_is_sqlite: Option<bool>) -> Option<ConnectionFields> {
    let url_given = table.node("url").map(|node| node.span.clone());
    let url = table.get::<DatabaseUrl>("url");
    // A key that is given but invalid is already reported; it is not reported as missing, too.
    let broken = (url_given.is_some() && url.is_none())
        || ["url", "host", "port", "name", "user"].iter().any(|key| table.is_unfilled(key));
    let (mut parts, folder) = match url {
        Some(DatabaseUrl::Postgres(parts)) => (*parts, None),
        Some(DatabaseUrl::Sqlite(folder)) => (Parts::default(), Some(folder)),
        None => (Parts::default(), None),
    };
    let on_sqlite = base_is_sqlite.is_none() && folder.is_some();
    if let (Some(place), Some(false), true) = (&url_given, base_is_sqlite, folder.is_some()) {
        table.report(Problem::error(
            place.clone(),
            "this must be a postgres:// URL, like that of `[database]`",
        ));
    }
    part(&mut table, "host", &mut parts.host, on_sqlite);
    part(&mut table, "port", &mut parts.port, on_sqlite);
    part(&mut table, "name", &mut parts.name, on_sqlite);
    part(&mut table, "user", &mut parts.user, on_sqlite);
    if let Some(SslMode(mode)) = table.get("sslmode") {
        parts.parameters.insert("sslmode".into(), mode.into());
    }
    if let Some(certificate) = table.get("sslrootcert") {
        parts.parameters.insert("sslrootcert".into(), certificate);
    }
    let password = match table.node("password") {
        None => parts.password.take().map(Password::Literal),
        Some(_) if on_sqlite || base_is_sqlite == Some(true) => None,
        Some(_) if parts.password.is_some() => {
            table.report_at("password", "`password` is given twice: here and in `url`", None);
            None
        }
        Some(_) => table.get("password"),
    };
    table.finish();
    (!broken).then_some(ConnectionFields { parts, password, folder })
}

fn part<T: Read>(table: &mut Table<'_>, key: &'static str, part: &mut Option<T>, on_sqlite: bool) {
    if table.node(key).is_none() {
        return;
    }
    if on_sqlite {
        table.report_at(key, &format!("`{key}` cannot be combined with a sqlite:// URL"), None);
    } else if part.is_some() {
        table.report_at(key, &format!("`{key}` is given twice: here and in `url`"), None);
    } else {
        *part = table.get(key);
    }
}

/// libpq's variables that change a connection's security or target, with their parameters. Unsupported ones are
/// refused, like their parameters.
const VARIABLES: [(&str, &str); 19] = [
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGOPTIONS", "options"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGSERVICE", "service"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
];

/// The parameters, including those that only a variable gives.
fn with_variables(
    mut parameters: BTreeMap<String, String>,
    env: &Environment,
) -> Result<BTreeMap<String, String>, String> {
    for (variable, name) in VARIABLES {
        if let (false, Some(value)) = (parameters.contains_key(name), env.get(variable)) {
            url::check_parameter("postgres", name, value).map_err(|fault| {
                let why = fault
                    .message
                    .replace(&format!("parameter `{name}` of the URL"), &format!("variable `{variable}`"));
                format!("{why}: libpq would use it")
            })?;
            parameters.insert(name.into(), value.into());
        }
    }
    if parameters.get("sslrootcert").is_some_and(|roots| roots == SYSTEM_ROOTS) {
        let mode = parameters.entry("sslmode".into()).or_insert_with(|| "verify-full".into());
        if mode != "verify-full" {
            return Err("`sslrootcert = \"system\"` needs `sslmode = \"verify-full\"`".into());
        }
    }
    Ok(parameters)
}

/// Fills absent parts from the PG* variables, as libpq does; the others are required.
fn complete(fields: ConnectionFields, env: &Environment, shared_schema: String) -> Result<Postgres, String> {
    let parts = fields.parts;
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
        password: fields.password.unwrap_or_else(|| {
            variable("PGPASSWORD").map_or(Password::None, |password| Password::Literal(Secret::new(password)))
        }),
        parameters: with_variables(parts.parameters, env)?,
        shared_schema,
        direct: None,
        reader: None,
    })
}

/// Keys that are not given are those of `[database]`. None if nothing differs.
fn inherit(base: &Postgres, fields: ConnectionFields) -> Option<Postgres> {
    let ConnectionFields { parts, password, .. } = fields;
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
