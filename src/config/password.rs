//! Reads the forms of a password: a text, `{ env = "NAME" }` (also NAME_FILE) or `{ file = "PATH" }`.

use super::{
    environment::Environment,
    fields::Table,
    interpolate::{Node, Value},
    keys::{Kind, Section, key},
    problem::Problem,
    reading::Reading,
    secret::{KnownSecret, Password, Secret},
    values::{self, Read},
};

pub(super) const FORMS: Section = Section::new(
    "a password",
    "The source of a password: one of these.",
    &[
        key!(env: Kind::Text, "The variable; if it is not set, the variable with `_FILE` after this name contains the path of a file."),
        key!(file: Kind::Path, "The file."),
    ],
);

impl Read for Password {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let password = match &node.value {
            Value::Text(text) if text.is_empty() => Password::None,
            Value::Text(text) => Password::Literal(Secret::new(text.clone())),
            Value::Table(_) => match Table::of(node, &FORMS, reading) {
                Some(table) => from_table(table)?,
                None => Password::None,
            },
            _ => return Err(values::wrong_secret(node, "a text, { env = \"NAME\" } or { file = \"PATH\" }")),
        };
        match &password {
            Password::Literal(secret) => reading.remember([KnownSecret::plain(secret.expose())]),
            Password::File(path) => reading.remember_file(path.clone()),
            Password::None => {}
        }
        Ok(password)
    }
}

/// `Password::None` if a problem was reported.
fn from_table(mut table: Table<'_>) -> Result<Password, Problem> {
    let place = table.node("env").map(|node| node.span.clone());
    let name: Option<String> = table.get("env");
    let file = table.get("file");
    let given = usize::from(table.has("env")) + usize::from(table.has("file"));
    let (span, env) = (table.span.clone(), table.reading.env);
    if table.finish() > 0 {
        return Ok(Password::None);
    }
    match (name, file) {
        (Some(name), None) => {
            from_variable(&name, env).map_err(|why| Problem::error(place.unwrap_or(span), why))
        }
        (None, Some(file)) => Ok(Password::File(file)),
        (None, None) if given == 1 => Ok(Password::None),
        _ => Err(Problem::error(span, "a password comes from either `env` or `file`")),
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
