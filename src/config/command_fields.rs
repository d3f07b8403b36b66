//! Reads the fields that steps, the server and the framework's commands share: an argv and variables.

use std::collections::BTreeMap;

use super::{
    Password,
    fields::Table,
    interpolate::{Node, Value},
    keys::Kind,
    problem::{Problem, shown},
    reading::Reading,
    secret::{KnownSecret, Secret},
    secret_names::is_secret_name,
    secrets::of_url,
    values::{self, Read},
};

struct Argv(Vec<String>);

/// A program with its arguments; None if it is absent or invalid. An argument may be empty, the program may not.
pub(super) fn argv(table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let Argv(words) = table.get(key)?;
    let least = table.section.key(key).map(|key| key.kind);
    if words.is_empty() && matches!(least, Some(Kind::Argv(least)) if least > 0) {
        table.report_at(key, &format!("`{key}` is empty"), None);
    }
    if words.first().is_some_and(String::is_empty)
        && let Some(Node { value: Value::List(list), .. }) = table.node(key)
    {
        let message = format!("`{key}` must begin with the program's name");
        table.report(Problem::error(list[0].span.clone(), message));
    }
    Some(words)
}

impl Read for Argv {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let filled = values::elements(node)?.iter().filter(|node| !matches!(node.value, Value::Unresolved));
        let words: Vec<String> = filled
            .filter_map(|node| reading.value_or_report(values::text(node)).map(str::to_owned))
            .collect();
        // `--password X` and `--password=X`
        let option = |word: &str| word.strip_prefix('-').is_some_and(is_secret_name);
        for pair in words.windows(2).filter(|pair| option(&pair[0]) && !pair[0].contains('=')) {
            reading.remember([KnownSecret::plain(&pair[1])]);
        }
        for (name, value) in words.iter().filter_map(|word| word.split_once('=')) {
            if option(name) {
                reading.remember([KnownSecret::plain(value)]);
            }
        }
        reading.remember(words.iter().filter_map(|word| of_url(word)));
        Ok(Self(words))
    }
}

/// The child's own variables. An empty text is a value here: it sets the variable to the empty string.
impl Read for BTreeMap<String, Secret> {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let Value::Table(entries) = &node.value else { return Err(values::wrong(node, "a table")) };
        let mut variables = BTreeMap::new();
        for entry in entries {
            if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
                let message = format!("`{}` is not a valid name of a variable", shown(&entry.key));
                reading.report(Problem::error(entry.key_span.clone(), message));
            }
            let declared = matches!(entry.node.value, Value::Table(_)) || is_secret_name(&entry.key);
            let known =
                |text: &str| declared.then(|| KnownSecret::plain(text)).into_iter().chain(of_url(text));
            let value = match &entry.node.value {
                Value::Unresolved => continue,
                Value::Text(text) => Ok(Secret::new(text.clone())),
                _ => match reading.value_or_report(<Password as Read>::read(&entry.node, kind, reading)) {
                    None => continue,
                    Some(password) => {
                        password.read_now().map(|value| value.unwrap_or_else(|| Secret::new("")))
                    }
                },
            };
            match value {
                Ok(value) => {
                    reading.remember(known(value.expose()));
                    variables.insert(entry.key.clone(), value);
                }
                Err(why) => reading.report(Problem::error(entry.node.span.clone(), why)),
            }
        }
        Ok(variables)
    }
}
