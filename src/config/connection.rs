//! Reads `[database]`: a URL or its parts, the keys that `direct` and `reader` inherit, and libpq's variables.

use std::path::PathBuf;

use super::{
    CloudService, Database, Password, Postgres, Sqlite,
    fields::Table,
    interpolate::{Node, Value},
    keys::{Keyword, Kind},
    libpq::{self, Parameters, SSL_MODES},
    problem::Problem,
    reading::Reading,
    secret::{KnownSecret, Secret},
    url::{self, Fault},
    values::{self, Read},
};

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
    parameters: Parameters,
    password: Option<Password>,
    folder: Option<PathBuf>,
}

enum DatabaseUrl {
    Postgres(Parameters),
    Sqlite(PathBuf),
}

impl Read for DatabaseUrl {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let Value::Text(text) = &node.value else {
            return Err(values::wrong_secret(node, "a database URL"));
        };
        let wrong = |fault: Fault| values::wrong_url(node, fault);
        match text.split_once("://") {
            Some(("sqlite", "")) => Err(wrong("a sqlite:// URL needs a folder".into())),
            Some(("sqlite", folder)) if folder.contains('?') => {
                Err(wrong("a sqlite:// URL has no parameters".into()))
            }
            Some(("sqlite", folder)) => {
                url::decode(folder).map(|folder| Self::Sqlite(folder.into())).map_err(wrong)
            }
            Some(("postgres" | "postgresql", rest)) => {
                let (parameters, secrets) = libpq::parse(rest).map_err(wrong)?;
                reading.remember(secrets);
                Ok(Self::Postgres(parameters))
            }
            _ => Err(wrong(url::wrong_scheme(&SCHEMES))),
        }
    }
}

/// None if a problem was reported.
pub(super) fn read(mut table: Table<'_>) -> Option<Database> {
    let (direct, reader) = (table.table("direct"), table.table("reader"));
    let shared_schema: String = table.value("schema");
    let (span, reading) = (table.span.clone(), table.reading);
    let base = fields(table, None);
    // With SQLite these tables have no effect, and their passwords are not read.
    let base_is_sqlite = base.as_ref().map(|base| base.folder.is_some());
    let direct = direct.map(|table| (table.span.clone(), fields(table, base_is_sqlite)));
    let reader = reader.map(|table| (table.span.clone(), fields(table, base_is_sqlite)));
    let base = base?;
    if let Some(folder) = base.folder {
        return Some(Database::Sqlite(Sqlite { folder }));
    }
    let valid = |parameters, password, span| {
        let one = postgres(parameters, password, &shared_schema).map_err(|why| {
            Problem::error(span, why).help("give `url`, or `host`, `name`, `user` and `password`")
        });
        reading.value_or_report(one)
    };
    let parameters = libpq::complete(base.parameters, reading.env)
        .map_err(|why| Problem::error(span.clone(), format!("{why}: libpq would use it")));
    let parameters = reading.value_or_report(parameters)?;
    reading.remember(parameters.get("password").map(|password| KnownSecret::plain(password)));
    let given = valid(parameters.clone(), base.password, span)?;
    let inherited = |other: Option<(_, Option<ConnectionFields>)>| match other {
        None => Some(None),
        Some((span, fields)) => {
            let fields = fields?;
            let password = fields.password.unwrap_or_else(|| given.password.clone());
            let one = valid(inherit(&parameters, fields.parameters), Some(password), span)?;
            Some((one != given).then(|| Box::new(one)))
        }
    };
    let (direct, reader) = (inherited(direct)?, inherited(reader)?);
    Some(Database::Postgres(Box::new(Postgres { direct, reader, ..given })))
}

/// `base_is_sqlite` is None for `[database]` itself.
fn fields(mut table: Table<'_>, base_is_sqlite: Option<bool>) -> Option<ConnectionFields> {
    let url_given = table.node("url").map(|node| node.span.clone());
    let url = table.get::<DatabaseUrl>("url");
    // A key that is given but invalid is already reported; it is not reported as missing, too.
    let broken = (url_given.is_some() && url.is_none())
        || ["url", "host", "port", "name", "user"].iter().any(|key| table.is_unfilled(key));
    let (mut parameters, folder) = match url {
        Some(DatabaseUrl::Postgres(parameters)) => (parameters, None),
        Some(DatabaseUrl::Sqlite(folder)) => (Parameters::default(), Some(folder)),
        None => (Parameters::default(), None),
    };
    let on_sqlite = base_is_sqlite.is_none() && folder.is_some();
    if let (Some(place), Some(false), true) = (&url_given, base_is_sqlite, folder.is_some()) {
        table.report(Problem::error(
            place.clone(),
            "this must be a postgres:// URL, like that of `[database]`",
        ));
    }
    for (key, name) in [("host", "host"), ("name", "dbname"), ("user", "user")] {
        part::<String>(&mut table, key, name, &mut parameters, on_sqlite);
    }
    part::<u16>(&mut table, "port", "port", &mut parameters, on_sqlite);
    if let Some(SslMode(mode)) = table.get("sslmode") {
        parameters.insert("sslmode".into(), mode.into());
    }
    if let Some(certificate) = table.get("sslrootcert") {
        parameters.insert("sslrootcert".into(), certificate);
    }
    let in_url = parameters.remove("password");
    let password = match table.node("password") {
        None => in_url.map(|password| Password::Literal(Secret::new(password))),
        Some(_) if on_sqlite || base_is_sqlite == Some(true) => None,
        Some(_) if in_url.is_some() => {
            table.report_at("password", "`password` is given twice: here and in `url`", None);
            None
        }
        Some(_) => table.get("password"),
    };
    table.finish();
    (!broken).then_some(ConnectionFields { parameters, password, folder })
}

fn part<T: Read + ToString>(
    table: &mut Table<'_>,
    key: &'static str,
    name: &str,
    parameters: &mut Parameters,
    on_sqlite: bool,
) {
    if table.node(key).is_none() {
        return;
    }
    if on_sqlite {
        table.report_at(key, &format!("`{key}` cannot be combined with a sqlite:// URL"), None);
    } else if parameters.contains_key(name) {
        table.report_at(key, &format!("`{key}` is given twice: here and in `url`"), None);
    } else if let Some(value) = table.get::<T>(key) {
        parameters.insert(name.into(), value.to_string());
    }
}

/// The parameters of `[database]`, without those that `direct` or `reader` replaces.
fn inherit(base: &Parameters, own: Parameters) -> Parameters {
    let mut parameters = base.clone();
    if own.contains_key("host") || own.contains_key("hostaddr") {
        for name in ["host", "hostaddr"] {
            parameters.remove(name);
        }
    }
    parameters.extend(own);
    parameters
}

/// Host, name and user are required; libpq would guess them.
fn postgres(
    mut parameters: Parameters,
    password: Option<Password>,
    shared_schema: &str,
) -> Result<Postgres, String> {
    let missing =
        |key: &str, variable: &str| format!("`[database]` needs `{key}` (or the variable `{variable}`)");
    let hosts = libpq::hosts::take(&mut parameters)?.ok_or_else(|| missing("host", "PGHOST"))?;
    let name = parameters.remove("dbname").ok_or_else(|| missing("name", "PGDATABASE"))?;
    let user = parameters.remove("user").ok_or_else(|| missing("user", "PGUSER"))?;
    let given = parameters.remove("password").map(|password| Password::Literal(Secret::new(password)));
    let password = password.or(given).unwrap_or(Password::None);
    if let Password::Cloud(cloud) = &password {
        // A server may ask for the token in clear text.
        parameters.entry("sslmode".into()).or_insert_with(|| "require".into());
        let of_name = || hosts.iter().all(|host| CloudService::region_of(&host.name).is_some());
        let is_unknown = matches!(&cloud.service, CloudService::AwsRds { region: None });
        if is_unknown && cloud.env.aws_region().is_none() && !of_name() {
            return Err(
                "`aws_rds` needs `region`: neither the server's name nor `AWS_REGION` gives it".into()
            );
        }
    }
    Ok(Postgres {
        hosts,
        name,
        user,
        password,
        parameters,
        shared_schema: shared_schema.to_owned(),
        direct: None,
        reader: None,
    })
}
