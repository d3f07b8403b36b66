//! Reads what steps, the server and the framework's commands have in common: an argv, variables, a grace.

use std::{collections::BTreeMap, time::Duration};

use super::{
    environment::Environment, fill::Value, password, problem::Problem, secret::Secret, table::Table, values,
};

/// Docker kills ten seconds after its TERM.
pub(super) const GRACE: Duration = Duration::from_secs(8);

/// A program with its arguments. An argument may be empty, the program may not.
pub(super) fn argv(table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let words = table.list(key, values::text)?;
    let node = table.get(key)?;
    if let Value::List(list) = &node.value
        && let Some(first) = list.first()
        && matches!(&first.value, Value::Text(text) if text.is_empty())
    {
        table.report(Problem::error(first.span.clone(), format!("`{key}` begins with the program's name")));
    }
    Some(words)
}

/// The child's own variables. Here an empty text is a value: it sets the variable to nothing.
pub(super) fn variables(table: &Table<'_>, env: &Environment) -> BTreeMap<String, Secret> {
    let mut variables = BTreeMap::new();
    for entry in table.entries() {
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            let message = format!("`{}` cannot be a variable's name", entry.key.escape_debug());
            table.report(Problem::error(entry.key_span.clone(), message));
        }
        let Some(password) = password::read(&entry.node, env, table.problems) else {
            continue;
        };
        match password.read() {
            Ok(value) => {
                variables.insert(entry.key.clone(), value.unwrap_or_else(|| Secret::new("")));
            }
            Err(why) => table.report(Problem::error(entry.node.span.clone(), why)),
        }
    }
    variables
}
