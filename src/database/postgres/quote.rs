//! Quotes identifiers and literals in SQL.
//!
//! Statements use the simple protocol, which works through a pooler in transaction mode and has no parameters.

/// A quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", replace_nul(name).replace('"', "\"\""))
}

/// A quoted table name with its schema.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(table))
}

/// A string literal that is valid with any `standard_conforming_strings`.
pub(super) fn literal(text: &str) -> String {
    let text = replace_nul(text).replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", text.replace('\\', "\\\\")) } else { format!("'{text}'") }
}

/// A text array; elements may be null.
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

/// Replaces NUL, which would end the message: PostgreSQL allows it in no name, and no object has the replacement in its
/// name.
fn replace_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_name_and_any_text_is_quoted() {
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
