//! Puts another schema's name into what pg_dump wrote of one, so that it can be nothing else than that name.
//!
//! The dump is made with every identifier quoted, and its schema's name stands nowhere else: where it is quoted it is an
//! identifier, in a text it is text, and elsewhere (a function's body) it is code.

use std::borrow::Cow;

use super::quote::identifier;

/// The dump with `to` in the place of the schema `from`, which is a plain lower-case word.
pub(super) fn rename(dump: &str, from: &str, to: &str) -> String {
    Rename { from, to, quoted: (&identifier(from), &identifier(to)), comments: false }.code(dump)
}

struct Rename<'a> {
    from: &'a str,
    to: &'a str,
    /// Both as identifiers.
    quoted: (&'a str, &'a str),
    /// pg_dump's own say what its objects are called; those in a body belong to it.
    comments: bool,
}

impl Rename<'_> {
    fn code(&self, sql: &str) -> String {
        let mut out = String::with_capacity(sql.len());
        let mut rest = sql;
        while let Some(first) = rest.chars().next() {
            let taken = match first {
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
            rest = &rest[taken..];
        }
        out
    }

    /// A text with its quotes: a qualified name in it is quoted, and everything else is as it is.
    fn inside_text(&self, text: &str) -> String {
        let doubled = |name: &str| name.replace('\'', "''");
        let (from, to) = self.quoted;
        self.replaced(&self.replaced(text, from, &doubled(to)), self.from, &doubled(self.to)).into_owned()
    }

    /// Most pieces are too short to hold the name, and are not searched.
    fn replaced<'t>(&self, text: &'t str, from: &str, to: &str) -> Cow<'t, str> {
        if text.len() < self.from.len() { text.into() } else { text.replace(from, to).into() }
    }

    /// A name could end the comment that it stands in.
    fn comment(&self, comment: &str, out: &mut String) -> usize {
        if self.comments {
            let to: String = self.to.chars().map(|c| if "\n\r*/".contains(c) { ' ' } else { c }).collect();
            *out += &comment.replace(self.from, &to);
        }
        comment.len()
    }

    /// A body between dollar quotes is code, and must not hold the mark that ends it.
    fn dollar(&self, rest: &str, out: &mut String) -> usize {
        let is_mark = |c: char| c.is_alphanumeric() || c == '_';
        let mark = rest[1..].find('$').map(|end| &rest[..end + 2]);
        let mark = mark.filter(|mark| mark[1..mark.len() - 1].chars().all(is_mark));
        let after_a_word = out.chars().next_back().is_some_and(is_mark);
        let body = mark.filter(|_| !after_a_word).and_then(|mark| {
            let inner = &rest[mark.len()..];
            inner.find(mark).map(|end| (&inner[..end], mark.len()))
        });
        let Some((body, mark)) = body else {
            out.push('$');
            return 1;
        };
        if !body.contains(self.from) {
            *out += &rest[..body.len() + 2 * mark];
            return body.len() + 2 * mark;
        }
        let renamed = Rename { comments: true, ..*self }.code(body);
        let mut metadata_schema = "$portcullis$".to_owned();
        let mut number = 0;
        while renamed.contains(&metadata_schema) {
            number += 1;
            metadata_schema = format!("$portcullis{number}$");
        }
        *out += &format!("{metadata_schema}{renamed}{metadata_schema}");
        body.len() + 2 * mark
    }
}

/// How long a text is, with its quotes; with escapes if it is written `E'...'`.
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

/// How long a comment between marks is; there may be others in it.
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

/// How long a quoted identifier is.
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

/// Whether a text that follows is written with escapes.
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
    fn the_name_is_quoted_as_its_place_asks() {
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
        fn what_does_not_hold_the_name_stays_as_it_is(sql in "[a-z '\"$1;.\\n-]{0,60}") {
            let writer_pool = renamed(&sql, "other");
            prop_assert!(!writer_pool.contains("other"), "{writer_pool}");
        }
    }
}
