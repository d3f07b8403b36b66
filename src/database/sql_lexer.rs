//! Splits SQL text into tokens to find the line of an error and the words that are code. It knows only quotes, comments
//! and dollar quotes.

use std::ops::Range;

/// The line, from 1, of a position in characters, from 1, as PostgreSQL counts.
pub(super) fn line_of_position(sql: &str, position: usize) -> usize {
    1 + sql.chars().take(position.saturating_sub(1)).filter(|c| *c == '\n').count()
}

/// The line, from 1, on which the statement after `before` others starts.
pub(super) fn line_of_statement(sql: &str, before: usize) -> Option<usize> {
    let start = statements(sql).nth(before)?;
    Some(1 + sql.get(..start)?.matches('\n').count())
}

/// The same text with `CONCURRENTLY` blanked out where an index is created, dropped or rebuilt, so that it can run in a
/// transaction. Every position stays the same.
pub(super) fn without_concurrently(sql: &str) -> String {
    let mut text = sql.to_owned();
    let (mut first, mut previous) = ("", "");
    for token in tokens(sql) {
        if token.text == ";" {
            (first, previous) = ("", "");
            continue;
        }
        let is = |word: &str, others: &[&str]| others.iter().any(|other| word.eq_ignore_ascii_case(other));
        if is(token.text, &["concurrently"])
            && is(first, &["create", "drop", "reindex"])
            && is(previous, &["index", "table", "schema"])
        {
            let end = token.start + token.text.len();
            text.replace_range(token.start..end, &" ".repeat(token.text.len()));
        }
        if first.is_empty() {
            first = token.text;
        }
        previous = token.text;
    }
    text
}

/// The same statement without comments, with one space between words.
pub(super) fn condensed(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut end = 0;
    for token in tokens(sql) {
        let joined = token.start == end || out.ends_with('(') || [")", ",", "(", ";"].contains(&token.text);
        if !out.is_empty() && (!joined || out.ends_with(',')) {
            out.push(' ');
        }
        out += sql.get(token.start..token.end).unwrap_or_default();
        end = token.end;
    }
    out
}

/// Where the items of the first list in parentheses are: the columns and constraints of `CREATE TABLE`.
pub(super) fn list_items(sql: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let (mut depth, mut item) = (0_usize, None::<Range<usize>>);
    for token in tokens(sql) {
        let is_part = match token.text {
            ")" if depth == 1 => break,
            "(" => {
                depth += 1;
                depth > 1
            }
            ")" => {
                depth = depth.saturating_sub(1);
                true
            }
            "," if depth == 1 => {
                items.extend(item.take());
                false
            }
            _ => depth > 0,
        };
        if is_part {
            item = Some(item.map_or(token.start, |item| item.start)..token.end);
        }
    }
    items.extend(item);
    items
}

/// The text before the first statement: comments and blanks.
pub(super) fn comments_before_code(sql: &str) -> &str {
    let end = tokens(sql).next().map_or(sql.len(), |token| token.start);
    sql.get(..end).unwrap_or(sql)
}

struct Token<'a> {
    start: usize,
    end: usize,
    /// A word, or one other character; a quoted text is its opening quote.
    text: &'a str,
}

/// Each non-empty statement and its byte offset, split as psql splits them.
pub(super) fn split(sql: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut starts = statements(sql).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().copied().unwrap_or(sql.len());
        Some((start, sql.get(start..end)?))
    })
}

/// The byte offset of each non-empty statement. The body of a trigger or of `BEGIN ATOMIC` belongs to its statement.
fn statements(sql: &str) -> impl Iterator<Item = usize> {
    let (mut at_start, mut creating, mut depth, mut parentheses) = (true, false, 0_usize, 0_usize);
    tokens(sql).filter_map(move |token| {
        let is = |word: &str| token.text.eq_ignore_ascii_case(word);
        match token.text {
            ";" => {
                at_start |= depth == 0 && parentheses == 0;
                return None;
            }
            "(" => parentheses += 1,
            ")" => parentheses = parentheses.saturating_sub(1),
            _ => {}
        }
        let start = at_start.then_some(token.start);
        if at_start {
            (at_start, creating, depth) = (false, is("create"), 0);
            parentheses = usize::from(token.text == "(");
        } else if creating && (is("begin") || (depth > 0 && is("case"))) {
            depth += 1;
        } else if depth > 0 && is("end") {
            depth -= 1;
        }
        start
    })
}

/// The text up to the end of the last token, without the comments after it.
pub(super) fn without_trailing_comments(sql: &str) -> &str {
    tokens(sql).last().and_then(|token| sql.get(..token.end)).unwrap_or_default()
}

/// The tokens with the complete text of quoted ones.
pub(super) fn words(sql: &str) -> Vec<&str> {
    tokens(sql).filter_map(|token| sql.get(token.start..token.end)).collect()
}

fn tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = sql.get(at..)?;
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                at += first.len_utf8();
            } else if rest.starts_with("--") {
                // PostgreSQL also ends it at a CR alone.
                at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                at += comment(rest);
            } else {
                let (shown, length) = token(rest, first);
                let token = Token { start: at, end: at + length, text: rest.get(..shown)? };
                at += length;
                return Some(token);
            }
        }
    })
}

/// The length of a block comment; PostgreSQL's comments nest.
fn comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The visible length and the total length of a token.
fn token(rest: &str, first: char) -> (usize, usize) {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    match first {
        '\'' | '"' | '`' => (1, quoted(rest, first, false)),
        '$' => (1, dollar_quoted(rest).unwrap_or(1)),
        'e' | 'E' if rest[1..].starts_with('\'') => (1, 1 + quoted(&rest[1..], '\'', true)),
        c if word(c) => {
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            (end, end)
        }
        c => (c.len_utf8(), c.len_utf8()),
    }
}

fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag_end = 1 + rest.get(1..)?.find('$')?;
    let tag = rest.get(..=tag_end)?;
    let name = tag.trim_matches('$');
    if name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(|c| c.is_alphanumeric() || c == '_')
    {
        return None;
    }
    let body = rest.get(tag.len()..)?;
    Some(body.find(tag).map_or(rest.len(), |end| tag.len() + end + tag.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_counts_characters_not_bytes() {
        assert_eq!(line_of_position("SELECT 'ä';\nSELECT x", 13), 2);
        assert_eq!(line_of_position("SELECT x", 1), 1);
    }

    #[test]
    fn a_semicolon_in_a_string_or_comment_does_not_end_a_statement() {
        let sql = "-- one; two\nSELECT ';', $x$ ; $x$, \"a;b\"; /* ; /* ; */ */\n;;\nSELECT E'\\';' ;\n";
        assert_eq!(line_of_statement(sql, 0), Some(2));
        assert_eq!(line_of_statement(sql, 1), Some(4));
        assert_eq!(line_of_statement(sql, 2), None);
    }

    #[test]
    fn a_file_is_split_as_psql_splits_it() {
        let sql = "-- first\nVACUUM a;\nCREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; SELECT 2);; (SELECT 3);\n";
        let split: Vec<_> = split(sql).map(|(start, text)| (start, text.trim())).collect();
        let rule = "CREATE RULE r AS ON INSERT TO a DO ALSO (SELECT 1; SELECT 2);;";
        assert_eq!(split, [(9, "VACUUM a;"), (19, rule), (19 + rule.len() + 1, "(SELECT 3);")]);
    }

    #[test]
    fn a_carriage_return_ends_a_comment() {
        let split: Vec<_> = split("-- first\rVACUUM a;\r-- second\rVACUUM b;").collect();
        assert_eq!(split, [(9, "VACUUM a;\r-- second\r"), (29, "VACUUM b;")]);
    }

    #[test]
    fn a_condensed_statement_has_no_comments_and_no_line_ends() {
        let sql =
            "CREATE TABLE a ( -- the first\n  b text  DEFAULT 'x  y',\n\tc int /* two */ CHECK (c>1)\n)";
        assert_eq!(condensed(sql), "CREATE TABLE a(b text DEFAULT 'x  y', c int CHECK(c>1))");
        assert_eq!(condensed(&condensed(sql)), condensed(sql));
    }

    #[test]
    fn a_trigger_is_one_statement() {
        let sql = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 2;\nEND;\nSELECT 3";
        assert_eq!(line_of_statement(sql, 1), Some(4));
    }

    #[test]
    fn concurrently_is_blanked_only_in_an_index_statement() {
        let sql = "CREATE UNIQUE INDEX CONCURRENTLY a ON b (c); SELECT 'CREATE INDEX CONCURRENTLY'; -- INDEX CONCURRENTLY";
        let blanked = without_concurrently(sql);
        assert_eq!(blanked.len(), sql.len());
        assert!(blanked.starts_with("CREATE UNIQUE INDEX              a ON b"), "{blanked}");
        assert_eq!(blanked.matches("CONCURRENTLY").count(), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_lexer_panic(sql in "[-a'\"$/*;E\\\\ \nä1]{0,40}", before in 0_usize..4) {
            let _ = line_of_statement(&sql, before);
            prop_assert_eq!(without_concurrently(&sql).len(), sql.len());
        }
    }
}
