//! The headers of an SQL migration file: what its first comments declare. Pure.

use super::sql_lexer;
use crate::frameworks::sql;

/// The beginning of a file that runs outside a transaction, as sqlx reads it.
const NO_TRANSACTION: &str = "-- no-transaction";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileHeaders {
    /// The versions that a baseline replaces: the ranges in `-- replaces: 1-42, 44`.
    pub(crate) replaces: Vec<String>,
    /// The first line is `-- no-transaction`.
    pub(crate) no_transaction: bool,
}

impl FileHeaders {
    /// Reads the comments before the first statement. The error quotes the header.
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        Ok(Self { replaces: replaces(text)?, no_transaction: text.starts_with(NO_TRANSACTION) })
    }
}

fn replaces(text: &str) -> Result<Vec<String>, String> {
    let comments = sql_lexer::comments_before_code(text).split(['\n', '\r']).map(str::trim);
    let lists = comments.filter_map(|line| {
        let (word, list) = line.strip_prefix("--")?.trim_start_matches('-').trim().split_once(':')?;
        word.eq_ignore_ascii_case("replaces").then_some(list)
    });
    let ranges = lists.flat_map(|list| list.split(',')).map(str::trim).filter(|range| !range.is_empty());
    ranges
        .map(|range| match sql::range(range) {
            Some(versions) if versions.start() <= versions.end() => Ok(range.to_owned()),
            _ => Err(format!("`-- replaces: {range}` is neither a version nor a range such as `1-42`")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_baseline_is_declared_in_the_comments_before_the_first_statement() {
        for (text, found) in [
            ("-- replaces: 1-3, 5\nSELECT 1", &["1-3", "5"][..]),
            ("/* a\n licence */\n\n--Replaces: 0001-0042\r\nSELECT 1", &["0001-0042"]),
            ("-- licence\r-- replaces: 1-3\rSELECT 1", &["1-3"]),
            ("SELECT 1;\n-- replaces: 1", &[]),
            ("-- it replaces: 1", &[]),
        ] {
            assert_eq!(replaces(text).unwrap(), found, "{text}");
        }
        for text in ["-- replaces: 3-x", "-- replaces: 3-1", "-- replaces: -1"] {
            assert!(replaces(text).is_err(), "{text}");
        }
    }
}
