//! Fills `${VAR}` in the spanned tree. Each value keeps its place and the variables that it came from.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    environment::Environment, problem::Problem, reading::Reading, secret::KnownSecret,
    secret_names::is_secret_name,
};

use crate::ordered;

/// The maximum nesting of defaults that contain variables.
const MAX_NESTING: usize = 8;

/// A value at its place. It has no `Debug`: a filled-in text may be a password.
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
    /// The variables whose values it contains.
    pub(super) filled_by: Vec<String>,
}

pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A float, a date or a number out of range, which no key takes.
    Other(&'static str),
    /// It could not be interpolated, which is already reported.
    Unresolved,
}

impl Node {
    /// The value of a declared default.
    pub(super) fn of_default(text: &str) -> Self {
        Self { span: 0..0, value: Value::Text(text.to_owned()), filled_by: Vec::new() }
    }
}

/// One entry of a table.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

/// The source of values, and the receiver of problems.
pub(super) struct Interpolator<'f> {
    pub(super) text: &'f str,
    pub(super) reading: &'f Reading<'f>,
}

impl Interpolator<'_> {
    pub(super) fn table(&self, table: &Spanned<DeTable<'_>>) -> Node {
        Node { span: table.span(), value: self.entries(table.get_ref()), filled_by: Vec::new() }
    }

    fn entries(&self, table: &DeTable<'_>) -> Value {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
            key: ToString::to_string(key.get_ref()),
            key_span: key.span(),
            node: self.node(value),
        };
        let mut entries: Vec<Entry> = table.iter().map(entry).collect();
        ordered::sort_by_key(&mut entries, |entry| entry.key_span.start);
        Value::Table(entries)
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let mut filled_by = Vec::new();
        let value = match value.get_ref() {
            // The recovering parser inserts an empty value where one is missing.
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Boolean(_) if span.is_empty() => {
                Value::Unresolved
            }
            DeValue::String(text) => self.string(text, &span, &mut filled_by),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Value::Other("a number out of range"), Value::Integer),
            DeValue::Boolean(flag) => Value::Boolean(*flag),
            DeValue::Float(_) => Value::Other("a fraction"),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(list) => Value::List(list.iter().map(|value| self.node(value)).collect()),
            DeValue::Table(table) => self.entries(table),
        };
        Node { span, value, filled_by }
    }

    fn string(&self, text: &str, span: &Range<usize>, filled_by: &mut Vec<String>) -> Value {
        // Without escapes, a position in the string is a position in the file.
        let inside = span.start + 1..span.end.saturating_sub(1);
        let exact = self.text.get(inside.clone()).is_some_and(|raw| raw == text);
        let place = |at: Range<usize>| {
            if exact { inside.start + at.start..inside.start + at.end } else { span.clone() }
        };
        match fill(text, self.reading.env, filled_by, MAX_NESTING) {
            Ok(filled) => {
                // Includes a default: if the variable is not set, the default is the secret.
                if text != filled && references(text).any(is_secret_name) {
                    self.reading.remember(secret_parts(text, &filled));
                }
                Value::Text(filled)
            }
            Err(InterpolationError { at, message, help }) => {
                self.reading.report(Problem::error(place(at), message).help(help));
                Value::Unresolved
            }
        }
    }
}

/// The variables that a text refers to.
fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).map(|inside| split_name(inside).0)
}

/// The variable's name at the start, and the rest.
fn split_name(inside: &str) -> (&str, &str) {
    let end = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inside.len());
    inside.split_at(end)
}

/// The part of the filled text between the literal beginning and end.
fn secret_parts(text: &str, filled: &str) -> Option<KnownSecret> {
    let start = text.find("${")?;
    let end = text.len() - text.rfind('}')? - 1;
    let value = filled.get(start..filled.len().checked_sub(end)?)?;
    Some(KnownSecret::plain(value))
}

/// Why a text could not be filled, and the position of the error.
struct InterpolationError {
    at: Range<usize>,
    message: String,
    help: String,
}

fn fill(
    text: &str,
    env: &Environment,
    filled_by: &mut Vec<String>,
    depth: usize,
) -> Result<String, InterpolationError> {
    let mut filled = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        filled.push_str(&text[at..dollar]);
        let rest = &text[dollar + 1..];
        if rest.starts_with('$') {
            filled.push('$');
            at = dollar + 2;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let Some(length) = closing_brace(inside) else {
                return Err(InterpolationError {
                    at: dollar..text.len(),
                    message: "`${` has no `}`".into(),
                    help: "write `$$` for a `$`".into(),
                });
            };
            let end = dollar + 2 + length + 1;
            let one = Reference { inside: &inside[..length], at: dollar..end };
            filled.push_str(&one.value(env, filled_by, depth)?);
            at = end;
        } else {
            filled.push('$');
            at = dollar + 1;
        }
    }
    filled.push_str(&text[at..]);
    Ok(filled)
}

/// The position of the brace that closes the one before this text.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut last = '\0';
    for (at, c) in text.char_indices() {
        match c {
            '{' if last == '$' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
        last = c;
    }
    None
}

/// One `${...}`.
struct Reference<'r> {
    inside: &'r str,
    at: Range<usize>,
}

impl Reference<'_> {
    fn value(
        &self,
        env: &Environment,
        filled_by: &mut Vec<String>,
        depth: usize,
    ) -> Result<String, InterpolationError> {
        let (name, rest) = split_name(self.inside);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.unfilled(
                "`${` is not followed by a variable's name".into(),
                "write `$$` for a `$`".into(),
            ));
        }
        let set = env.get(name);
        if let Some(value) = set
            && (rest.is_empty() || rest.starts_with(":-") || rest.starts_with(":?"))
        {
            filled_by.push(name.to_owned());
            return Ok(value.to_owned());
        }
        if let Some(default) = rest.strip_prefix(":-") {
            return self.default(default, env, filled_by, depth);
        }
        match rest.strip_prefix(":?") {
            Some("") | None if rest.is_empty() || rest == ":?" => {
                let near: Vec<&str> = env.names().filter(|found| env.get(found).is_some()).collect();
                let help = super::problem::nearest(name, &near).map_or_else(
                    || format!("set it, or give a default: `${{{name}:-...}}`"),
                    |found| format!("did you mean `{found}`?"),
                );
                Err(self.unfilled(format!("the variable `{name}` is not set"), help))
            }
            Some(message) => Err(self
                .unfilled(format!("the variable `{name}` is not set: {message}"), format!("set `{name}`"))),
            None => Err(self.unfilled(
                format!("`${{{name}` is not followed by `}}`, `:-default}}` or `:?message}}`"),
                "write `$$` for a `$`".into(),
            )),
        }
    }

    fn default(
        &self,
        default: &str,
        env: &Environment,
        filled_by: &mut Vec<String>,
        depth: usize,
    ) -> Result<String, InterpolationError> {
        if depth == 0 {
            return Err(self.unfilled("defaults are nested too deeply".into(), "nest fewer defaults".into()));
        }
        fill(default, env, filled_by, depth - 1)
            .map_err(|unfilled| InterpolationError { at: self.at.clone(), ..unfilled })
    }

    fn unfilled(&self, message: String, help: String) -> InterpolationError {
        InterpolationError { at: self.at.clone(), message, help }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn variables_defaults_and_dollars_are_filled() {
        let env = Environment::from([("A", "one"), ("EMPTY", ""), ("DOLLAR", "${A}")]);
        for (text, filled) in [
            ("plain", "plain"),
            ("${A}-${A}", "one-one"),
            ("${EMPTY:-two}", "two"),
            ("${NONE:-}", ""),
            ("${NONE:-${A}}", "one"),
            ("${NONE:-a}b}", "ab}"),
            ("$$ $1 $", "$ $1 $"),
            ("$${A}", "${A}"),
            ("${DOLLAR}", "${A}"),
            ("${A:?why}", "one"),
        ] {
            let result = fill(text, &env, &mut Vec::new(), MAX_NESTING).ok();
            assert_eq!(result.as_deref(), Some(filled), "{text}");
        }
    }

    #[test]
    fn a_text_that_cannot_be_filled_has_its_reason() {
        let env = Environment::from([("DATABASE_URL", "x")]);
        for (text, message) in [
            ("${A}", "the variable `A` is not set"),
            ("${A:?}", "the variable `A` is not set"),
            ("${A:?name the port}", "the variable `A` is not set: name the port"),
            ("${A", "`${` has no `}`"),
            ("${}", "`${` is not followed by a variable's name"),
            ("${A-b}", "`${A` is not followed by `}`, `:-default}` or `:?message}`"),
        ] {
            assert_eq!(fill(text, &env, &mut Vec::new(), MAX_NESTING).err().unwrap().message, message);
        }
        let unfilled = fill("x${DATABSE_URL}", &env, &mut Vec::new(), MAX_NESTING).err().unwrap();
        assert_eq!((unfilled.at, unfilled.help.as_str()), (1..15, "did you mean `DATABASE_URL`?"));
    }
}
