//! The wording of differences in structure.

use crate::tenants::structure::{
    Object, ObjectKind,
    difference::{Difference, Reference},
};

/// The longest definition that is shown in full.
const SHOWN: usize = 100;
/// The part of a longer definition before its first difference.
const BEFORE: usize = 30;

/// A difference in SQL words: `column invoice.net: numeric(10,2), not numeric(12,2) NOT NULL`.
pub(crate) fn difference(difference: &Difference) -> String {
    let Some(object) = difference.object() else { return String::new() };
    let name = name(object);
    match (&difference.expected, &difference.actual) {
        (Some(expected), None) => format!("{name} is missing{}", in_parentheses(&shown(&text(expected), 0))),
        (None, Some(actual)) => format!("{name} is not expected{}", in_parentheses(&shown(&text(actual), 0))),
        (Some(expected), Some(actual)) => {
            let (expected, actual) = (text(expected), text(actual));
            let same = expected.chars().zip(actual.chars()).take_while(|(one, other)| one == other).count();
            let from = same.saturating_sub(BEFORE);
            format!("{name}: {}, not {}", shown(&actual, from), shown(&expected, from))
        }
        (None, None) => name,
    }
}

/// The origin of the expected structure, for the end of a sentence.
pub(crate) fn reference(reference: &Reference) -> String {
    match reference {
        Reference::Manifest => String::new(),
        Reference::Template { example } => format!(" (compared with {example}, which equals the template)"),
        Reference::Majority { tenants: 1, example } => format!(" (compared with {example})"),
        Reference::Majority { tenants, example } => {
            format!(" (compared with {example} and {} equal)", crate::words::count(tenants - 1, "tenant"))
        }
    }
}

/// SQL's word for a kind of object.
pub(super) fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Type => "type",
        ObjectKind::Sequence => "sequence",
        ObjectKind::Function => "function",
        ObjectKind::Table => "table",
        ObjectKind::Column => "column",
        ObjectKind::Constraint => "constraint",
        ObjectKind::Index => "index",
        ObjectKind::View => "view",
        ObjectKind::MaterializedView => "materialized view",
        ObjectKind::Trigger => "trigger",
        ObjectKind::Rule => "rule",
        ObjectKind::Policy => "policy",
        ObjectKind::Statistics => "statistics",
        ObjectKind::Other => "object",
    }
}

fn name(object: &Object) -> String {
    let item = object.item();
    match object.kind {
        ObjectKind::Index => format!("index {item} on {}", object.table),
        ObjectKind::Other => item,
        other => format!("{} {item}", kind(other)),
    }
}

/// The definition and the state on one line.
fn text(object: &Object) -> String {
    let words = object.definition.split_whitespace().collect::<Vec<_>>().join(" ");
    match (words.as_str(), object.state.as_str()) {
        (_, "") => words,
        ("", state) => state.to_owned(),
        (words, state) => format!("{words} [{state}]"),
    }
}

/// At most [`SHOWN`] characters, starting at the character `from` if the text is longer.
fn shown(text: &str, from: usize) -> String {
    let length = text.chars().count();
    if text.is_empty() {
        return "ordinary".into();
    }
    if length <= SHOWN {
        return text.to_owned();
    }
    let part: String = text.chars().skip(from).take(SHOWN).collect();
    let (start, end) = (if from > 0 { "..." } else { "" }, if from + SHOWN < length { "..." } else { "" });
    format!("{start}{part}{end}")
}

fn in_parentheses(text: &str) -> String {
    if text == "ordinary" { String::new() } else { format!(" ({text})") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn object(kind: ObjectKind, table: &str, name: &str, definition: &str, state: &str) -> Arc<Object> {
        let (table, name, definition, state) = (table.into(), name.into(), definition.into(), state.into());
        Arc::new(Object { kind, table, name, definition, state })
    }

    fn words(expected: Option<Arc<Object>>, actual: Option<Arc<Object>>) -> String {
        difference(&Difference { expected, actual })
    }

    #[test]
    fn a_difference_is_described_in_the_words_of_sql() {
        let column = |definition| Some(object(ObjectKind::Column, "invoice", "net", definition, ""));
        let index = |state| Some(object(ObjectKind::Index, "invoice", "unpaid", "USING btree (net)", state));
        let view = |end: &str| {
            let text = format!("AS SELECT {}{end}", "a_long_name, ".repeat(12));
            Some(object(ObjectKind::View, "", "totals", &text, ""))
        };
        let table = |state| Some(object(ObjectKind::Table, "", "invoice", "", state));
        insta::assert_snapshot!([
            words(column("numeric(12,2) NOT NULL"), column("numeric(10,2)")),
            words(column("numeric"), None),
            words(index(""), index("invalid")),
            words(None, index("")),
            words(table(""), table("unlogged")),
            words(table(""), None),
            words(view("x"), view("y FROM t")),
        ].join("\n"), @r"
        column invoice.net: numeric(10,2), not numeric(12,2) NOT NULL
        column invoice.net is missing (numeric)
        index unpaid on invoice: USING btree (net) [invalid], not USING btree (net)
        index unpaid on invoice is not expected (USING btree (net))
        table invoice: unlogged, not ordinary
        table invoice is missing
        view totals: ...me, a_long_name, a_long_name, y FROM t, not ...me, a_long_name, a_long_name, x
        ");
    }
}
