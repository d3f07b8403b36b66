//! Replaces the schema's name in a dump of pg_dump, safely for any new name.
//!
//! Every identifier in the dump is quoted, and the old name is unique: in quotes it is an identifier, in a string it is
//! text, and elsewhere (a function's body) it is code.

use std::borrow::Cow;

use super::quote::identifier;

/// The dump with `to` instead of the schema `from`, which is a lower-case word without special characters.
pub(super) fn rename(dump: &str, from: &str, to: &str) -> String {
    Rename { from, to, quoted: (&identifier(from), &identifier(to)), comments: false }.code(dump)
}

struct Rename<'a> {
    from: &'a str,
    to: &'a str,
    /// Both as identifiers.
    quoted: (&'a str, &'a str),
    /// Whether comments stay: pg_dump's own are dropped, those in a function's body are part of it.
    comments: bool,
}

impl Rename<'_> {
    fn code(&self, sql: &str) -> String {
        let mut out = String::with_capacity(sql.len());
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' => {
                    let length = text(rest, ends_in_e(&out));
                    out += &self.inside_text(&rest[..length]);
                    length
                }
                '"' => {
                    let length = quoted(rest);
                    let (from, to) = self.quoted;
                    out += if &rest[..length] == from { to } else { &rest[..length] };
                    length
                }
                '-' if rest.starts_with("--") => {
                    self.comment(&rest[..rest.find('\n').unwrap_or(rest.len())], &mut out)
                }
                '/' if rest.starts_with("/*") => self.comment(&rest[..block(rest)], &mut out),
                '$' => self.dollar(rest, &mut out),
                _ => {
                    let length = rest.find(['\'', '"', '-', '/', '$']).filter(|length| *length > 0);
                    let length = length.unwrap_or(if first.is_ascii() && "-/".contains(first) {
                        1
                    } else {
                        rest.len()
                    });
                    out += &self.replaced(&rest[..length], self.from, self.quoted.1);
                    length
                }
            };
            rest = &rest[length..];
        }
        out
    }

    /// Renames inside a string literal: a quoted name stays quoted, another one stays plain.
    fn inside_text(&self, text: &str) -> String {
        let doubled = |name: &str| name.replace('\'', "''");
        let (from, to) = self.quoted;
        self.replaced(&self.replaced(text, from, &doubled(to)), self.from, &doubled(self.to)).into_owned()
    }

    /// Replaces the name; pieces shorter than the name are not searched.
    fn replaced<'t>(&self, text: &'t str, from: &str, to: &str) -> Cow<'t, str> {
        if text.len() < self.from.len() { text.into() } else { text.replace(from, to).into() }
    }

    /// Renames inside a comment, without characters that could end the comment.
    fn comment(&self, comment: &str, out: &mut String) -> usize {
        if self.comments {
            let to: String = self.to.chars().map(|c| if "\n\r*/".contains(c) { ' ' } else { c }).collect();
            *out += &comment.replace(self.from, &to);
        }
        comment.len()
    }

    /// Renames inside a dollar-quoted body, which is code, with a tag that the body does not contain.
    fn dollar(&self, rest: &str, out: &mut String) -> usize {
        let is_tag_char = |c: char| c.is_alphanumeric() || c == '_';
        let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
        let tag = tag.filter(|tag| tag[1..tag.len() - 1].chars().all(is_tag_char));
        let after_a_word = out.chars().next_back().is_some_and(is_tag_char);
        let body = tag.filter(|_| !after_a_word).and_then(|tag| {
            let inner = &rest[tag.len()..];
            inner.find(tag).map(|end| (&inner[..end], tag.len()))
        });
        let Some((body, tag)) = body else {
            out.push('$');
            return 1;
        };
        if !body.contains(self.from) {
            *out += &rest[..body.len() + 2 * tag];
            return body.len() + 2 * tag;
        }
        let renamed = Rename { comments: true, ..*self }.code(body);
        let mut new_tag = "$portcullis$".to_owned();
        let mut number = 0;
        while renamed.contains(&new_tag) {
            number += 1;
            new_tag = format!("$portcullis{number}$");
        }
        *out += &format!("{new_tag}{renamed}{new_tag}");
        body.len() + 2 * tag
    }
}

/// The length of a string literal with its quotes; `escapes` for `E'...'`.
fn text(rest: &str, escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if escapes => drop(chars.next()),
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => drop(chars.next()),
            '\'' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a block comment; comments nest.
fn block(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(found) = rest[at..].find(['/', '*']) {
        at += found;
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => 1,
            [b'*', b'/', ..] => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if step != 0 && depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of a quoted identifier.
fn quoted(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => drop(chars.next()),
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Whether the next string literal has escapes.
fn ends_in_e(out: &str) -> bool {
    let mut back = out.chars().rev();
    matches!(back.next(), Some('e' | 'E')) && !back.next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FROM: &str = "portcullis_template_0123456789abcdef";

    fn renamed(sql: &str, to: &str) -> String {
        rename(&sql.replace("TPL", FROM), FROM, to)
    }

    #[test]
    fn the_new_name_is_quoted_for_its_context() {
        for (sql, expected) in [
            ("CREATE TABLE \"TPL\".\"item\" ();", "CREATE TABLE \"a'b\"\"c\".\"item\" ();"),
            ("SELECT setval('\"TPL\".\"s\"', 1);", "SELECT setval('\"a''b\"\"c\".\"s\"', 1);"),
            ("VALUES ('of TPL', 2);", "VALUES ('of a''b\"c', 2);"),
            ("VALUES ('it''s TPL');", "VALUES ('it''s a''b\"c');"),
            (
                "AS $$ SELECT * FROM TPL.item $$;",
                "AS $portcullis$ SELECT * FROM \"a'b\"\"c\".item $portcullis$;",
            ),
            ("AS $_$ SELECT $1, 'TPL' $_$;", "AS $portcullis$ SELECT $1, 'a''b\"c' $portcullis$;"),
            ("AS $_$ -- it's\n SELECT $1 /* ' */ $_$;", "AS $_$ -- it's\n SELECT $1 /* ' */ $_$;"),
            (
                "AS $$ -- it's TPL's\n SELECT 1 FROM TPL.item /* TPL /* ' */ \" */, TPL.more $$;",
                "AS $portcullis$ -- it's a'b\"c's\n SELECT 1 FROM \"a'b\"\"c\".item /* a'b\"c /* ' */ \" */, \"a'b\"\"c\".more $portcullis$;",
            ),
            ("-- Schema: TPL\nSELECT 1;", "\nSELECT 1;"),
            ("/* TPL */SELECT E'\\'TPL' - 1;", "SELECT E'\\'a''b\"c' - 1;"),
        ] {
            assert_eq!(renamed(sql, "a'b\"c"), expected, "{sql}");
        }
    }

    #[test]
    fn a_name_that_looks_like_the_end_of_a_body_does_not_end_it() {
        let sql = renamed("AS $$ SELECT * FROM TPL.item $$;", "x$portcullis$; DROP TABLE y; $$");
        assert!(sql.starts_with("AS $portcullis1$ ") && sql.ends_with(" $portcullis1$;"), "{sql}");
    }

    #[test]
    fn a_name_that_looks_like_the_end_of_a_comment_does_not_end_it() {
        let to = "x*/\nDROP TABLE y";
        assert_eq!(renamed("AS $$ -- TPL\n$$;", to), "AS $portcullis$ -- x   DROP TABLE y\n$portcullis$;");
        assert_eq!(renamed("AS $$ /* TPL */$$;", to), "AS $portcullis$ /* x   DROP TABLE y */$portcullis$;");
    }

    proptest! {
        #[test]
        fn text_without_the_old_name_never_gets_the_new_one(sql in "[a-z '\"$1;.\\n-]{0,60}") {
            let result = renamed(&sql, "other");
            prop_assert!(!result.contains("other"), "{result}");
        }
    }
}
