//! Reads the forms of a password: a text, `{ env = "NAME" }` (also NAME_FILE), `{ file = "PATH" }`, and for a database
//! also a command or a cloud's token.

use super::{
    Cloud, CloudService, Password,
    command_fields::argv,
    environment::Environment,
    fields::Table,
    interpolate::{Node, Value},
    keys::{Key, Kind, Section, key},
    problem::Problem,
    reading::Reading,
    secret::{KnownSecret, Secret},
    values::{self, Read},
};

const ENV: Key = key!(env: Kind::Text, "The variable; if it is not set, the variable with `_FILE` after this name contains the path of a file.");
const FILE: Key = key!(file: Kind::Path, "The file.");

/// The forms of a variable's secret.
pub(super) const VARIABLE_FORMS: Section =
    Section::new("a password", "The source of a password: one of these.", &[ENV, FILE]);

/// The forms of a database's password.
pub(super) const FORMS: Section = Section::new(
    "a password",
    "The source of a password: one of these.",
    &[
        ENV,
        FILE,
        key!(command: Kind::Argv(1), "A program that prints the password in one line; it runs for every connection."),
        key!(timeout: Kind::Duration, = "10s", "The time limit of `command`."),
        key!(aws_rds: Kind::Table(&AWS_RDS), "A token of Amazon RDS."),
        key!(gcp_cloudsql: Kind::Table(&GCP_CLOUDSQL), "A token of Google Cloud SQL."),
        key!(azure: Kind::Table(&AZURE), "A token of Azure Database for PostgreSQL."),
    ],
);
/// The sources, of which a table has exactly one.
const SOURCES: [&str; 6] = ["env", "file", "command", "aws_rds", "gcp_cloudsql", "azure"];

const AWS_RDS: Section = Section::new(
    "`aws_rds`",
    "IAM authentication of Amazon RDS and Aurora.",
    &[
        key!(region: Kind::Text, ? "that of the server's name, else `AWS_REGION` or `AWS_DEFAULT_REGION`", "The server's region."),
    ],
);
const GCP_CLOUDSQL: Section =
    Section::new("`gcp_cloudsql`", "IAM database authentication of Google Cloud SQL.", &[]);
const AZURE: Section = Section::new(
    "`azure`",
    "Microsoft Entra authentication of Azure Database for PostgreSQL.",
    &[
        key!(client_id: Kind::Text, ? "`AZURE_CLIENT_ID`, else the system-assigned identity", "The identity, if the container has several."),
    ],
);

impl Read for Password {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let of_database = matches!(kind, Kind::Password);
        let password = match &node.value {
            Value::Text(text) if text.is_empty() => Password::None,
            Value::Text(text) => Password::Literal(Secret::new(text.clone())),
            Value::Table(_) => {
                let forms = if of_database { &FORMS } else { &VARIABLE_FORMS };
                match Table::of(node, forms, reading) {
                    Some(table) => from_table(table)?,
                    None => Password::None,
                }
            }
            _ => return Err(values::wrong_secret(node, "a text, { env = \"NAME\" } or { file = \"PATH\" }")),
        };
        match &password {
            Password::Literal(secret) => reading.remember([KnownSecret::plain(secret.expose())]),
            Password::File(path) => reading.remember_file(path.clone()),
            Password::None | Password::Command { .. } | Password::Cloud(_) => {}
        }
        Ok(password)
    }
}

/// `Password::None` if a problem was reported.
fn from_table(mut table: Table<'_>) -> Result<Password, Problem> {
    let place = table.node("env").map(|node| node.span.clone());
    let (span, env) = (table.span.clone(), table.reading.env);
    let given: Vec<&str> = SOURCES.into_iter().filter(|source| table.has(source)).collect();
    for name in SOURCES.into_iter().chain(["timeout"]) {
        // Marks it as read: every source but one is reported below.
        table.node(name);
    }
    let name: Option<String> = table.get("env");
    let file = table.get("file");
    let has_timeout = table.has("timeout");
    let cloud = |service| Password::Cloud(Box::new(Cloud { service, env: env.clone() }));
    let password = match given[..] {
        ["env"] => name.map(|name| from_variable(&name, env)),
        ["file"] => file.map(|file| Ok(Password::File(file))),
        ["command"] => argv(&mut table, "command")
            .zip(table.get("timeout"))
            .map(|(argv, timeout)| Ok(Password::Command { argv, timeout })),
        ["aws_rds"] => table.table("aws_rds").map(|mut table| {
            let region = table.get("region");
            table.finish();
            Ok(cloud(CloudService::AwsRds { region }))
        }),
        ["gcp_cloudsql"] => table.table("gcp_cloudsql").map(|table| {
            table.finish();
            Ok(cloud(CloudService::GcpCloudSql))
        }),
        ["azure"] => table.table("azure").map(|mut table| {
            let client_id = table.get("client_id");
            table.finish();
            Ok(cloud(CloudService::Azure { client_id }))
        }),
        _ => None,
    };
    let sources = SOURCES.into_iter().filter(|source| table.section.key(source).is_some());
    let sources: Vec<String> = sources.map(|source| format!("`{source}`")).collect();
    let timeout_alone = has_timeout && given != ["command"];
    if table.finish() > 0 {
        return Ok(Password::None);
    }
    if given.len() != 1 {
        let text = format!("a password comes from one of {}", sources.join(", "));
        return Err(Problem::error(span, text));
    }
    if timeout_alone {
        return Err(Problem::error(span, "`timeout` needs `command`"));
    }
    match password {
        Some(password) => password.map_err(|why| Problem::error(place.unwrap_or(span), why)),
        None => Ok(Password::None),
    }
}

/// Reads `NAME`, or the file that `NAME_FILE` names. If both are set, the choice would be ambiguous.
fn from_variable(name: &str, env: &Environment) -> Result<Password, String> {
    let file = format!("{name}_FILE");
    match (env.get(name), env.get(&file)) {
        (Some(_), Some(_)) => Err(format!("both `{name}` and `{file}` are set: unset one of them")),
        (Some(value), None) => Ok(Password::Literal(Secret::new(value))),
        (None, Some(path)) => Ok(Password::File(path.into())),
        (None, None) => Err(format!("neither `{name}` nor `{file}` is set")),
    }
}
