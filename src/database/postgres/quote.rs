//! Writes names and texts into SQL, so that they can be nothing else.
//!
//! Statements go over the simple protocol, which has no parameters: a pooler in transaction mode
//! understands nothing more.

/// A name, quoted.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", clean(name).replace('"', "\"\""))
}

/// A table in a schema.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(table))
}

/// A text, whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let text = clean(text).replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// An array of texts, some of which may be null.
pub(super) fn array<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let elements: Vec<String> = texts
        .into_iter()
        .map(|text| match text {
            Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            None => "NULL".to_owned(),
        })
        .collect();
    format!("{}::text[]", literal(&format!("{{{}}}", elements.join(","))))
}

/// PostgreSQL has no NUL in any name or text, and the message would end there: with the mark instead,
/// the name is one that nothing has.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(identifier("a\"b.c-D$$"), "\"a\"\"b.c-D$$\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(array([Some("a\"b"), None, Some("NULL")]), "E'{\"a\\\\\"b\",NULL,\"NULL\"}'::text[]");
    }

    proptest! {
        #[test]
        fn a_quoted_name_has_no_lone_quote(name in "[a-z\"'.\\\\$]{0,63}") {
            let quoted = identifier(&name);
            let inner = &quoted[1..quoted.len() - 1];
            prop_assert!(!inner.replace("\"\"", "").contains('"'));
            prop_assert_eq!(inner.replace("\"\"", "\""), name);
        }

        #[test]
        fn a_literal_has_no_lone_quote_and_no_lone_backslash(text in "[a-z\"'.\\\\$]{0,63}") {
            let quoted = literal(&text);
            let inner = quoted.trim_start_matches('E');
            let inner = inner[1..inner.len() - 1].replace("\\\\", "").replace("''", "");
            prop_assert!(!inner.contains('\'') && !inner.contains('\\'));
        }
    }
}
