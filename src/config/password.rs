//! The forms of a password: a text, `{ env = "NAME" }` (also NAME_FILE) or `{ file = "PATH" }`.

use super::{
    environment::Environment,
    fill::{Node, Value},
    problem::{Problem, Problems},
    secret::{Password, Secret},
    table::Table,
    values,
};

/// None if a problem was reported; a password that is given as an empty text is none at all.
pub(super) fn read(node: &Node, env: &Environment, problems: &Problems) -> Option<Password> {
    match &node.value {
        Value::Text(text) if text.is_empty() => Some(Password::None),
        Value::Text(text) => Some(Password::Given(Secret::new(text.clone()))),
        Value::Table(_) => from_table(Table::of(node, "a password", problems)?, env),
        Value::Unfilled => None,
        _ => {
            let expected = "a text, { env = \"NAME\" } or { file = \"PATH\" }";
            problems.take(Err(values::wrong_secret(node, expected)))
        }
    }
}

fn from_table(mut table: Table<'_>, env: &Environment) -> Option<Password> {
    let name = table.read("env", |node| values::text(node).map(|name| (name, node.span.clone())));
    let file = table.read("file", values::path);
    let (span, given) = (table.span.clone(), usize::from(table.has("env")) + usize::from(table.has("file")));
    let problems = table.problems;
    if table.finish() > 0 {
        return None;
    }
    match (name, file) {
        (Some((name, place)), None) => {
            problems.take(from_variable(&name, env).map_err(|why| Problem::error(place, why)))
        }
        (None, Some(file)) => Some(Password::File(file)),
        (None, None) if given == 1 => None,
        _ => problems.take(Err(Problem::error(span, "a password comes from either `env` or `file`"))),
    }
}

/// `NAME`, or the file that `NAME_FILE` names. Both would leave open which one counts.
pub(super) fn from_variable(name: &str, env: &Environment) -> Result<Password, String> {
    let file = format!("{name}_FILE");
    match (env.get(name), env.get(&file)) {
        (Some(_), Some(_)) => Err(format!("both `{name}` and `{file}` are set: unset one of them")),
        (Some(value), None) => Ok(Password::Given(Secret::new(value))),
        (None, Some(path)) => Ok(Password::File(path.into())),
        (None, None) => Err(format!("neither `{name}` nor `{file}` is set")),
    }
}
