//! Reads the assignments of literals at the top level of a Python module, without Python. Everything else in the
//! module is skipped; a value that is not a literal is reported as such.

use std::collections::BTreeMap;

/// The literals that are assigned to names, with the module's docstring.
#[derive(Debug, Default)]
pub(super) struct Assignments {
    values: BTreeMap<String, Literal>,
    pub(super) docstring: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    /// `None` or an empty tuple, a text, or a tuple or list of texts.
    Strings(Vec<String>),
    /// An expression.
    Other,
}

/// A token of a logical line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, a number or a keyword.
    Word(String),
    /// A string without a prefix other than `r` or `u`.
    Text(String),
    Sign(char),
    /// An f-string or bytes.
    Computed,
}

impl Assignments {
    /// The error is a string that does not end.
    pub(super) fn of(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for (index, line) in logical_lines(text)?.into_iter().enumerate() {
            if let (0, [Token::Text(text)]) = (index, line.as_slice()) {
                found.docstring.clone_from(text);
            }
            if let Some((name, value)) = assignment(&line) {
                found.values.insert(name.to_owned(), value);
            }
        }
        Ok(found)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Literal> {
        self.values.get(name)
    }
}

/// Parses `NAME = VALUE` and `NAME: TYPE = VALUE`.
fn assignment(line: &[Token]) -> Option<(&str, Literal)> {
    let [Token::Word(name), rest @ ..] = line else { return None };
    let value = match rest {
        [Token::Sign('='), value @ ..] => value,
        [Token::Sign(':'), annotated @ ..] => {
            let at = annotated.iter().position(|token| *token == Token::Sign('='))?;
            annotated.get(at + 1..)?
        }
        // `revision += "x"`, `del revision`, `if X: revision = ...`
        _ if line.contains(&Token::Sign('=')) => return Some((name, Literal::Other)),
        _ => return None,
    };
    Some((name, literal(value)))
}

fn literal(value: &[Token]) -> Literal {
    let strings = match value {
        [Token::Word(word)] if word == "None" => Some(Vec::new()),
        [Token::Text(text)] => Some(vec![text.clone()]),
        [Token::Sign('('), inner @ .., Token::Sign(')')]
        | [Token::Sign('['), inner @ .., Token::Sign(']')] => elements(inner),
        _ => elements(value),
    };
    strings.map_or(Literal::Other, Literal::Strings)
}

/// Texts with commas between them; a comma after the last is optional.
fn elements(tokens: &[Token]) -> Option<Vec<String>> {
    let element = |pair: &[Token]| match pair {
        [Token::Text(text)] | [Token::Text(text), Token::Sign(',')] => Some(text.clone()),
        _ => None,
    };
    tokens.chunks(2).map(element).collect()
}

/// The logical lines that begin in the first column. Blocks are skipped, because their lines are indented.
fn logical_lines(text: &str) -> Result<Vec<Vec<Token>>, String> {
    let (mut lines, mut line, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    let mut is_indented = false;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\n' if depth == 0 => {
                if !std::mem::replace(&mut is_indented, false) && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                line.clear();
                is_indented = rest.get(1..).is_some_and(|next| next.starts_with([' ', '\t']));
                1
            }
            // A continued line.
            '\\' if rest.starts_with("\\\r\n") => 3,
            '\\' => 2,
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => {
                let (text, length) = string(rest, false)?;
                line.push(Token::Text(text));
                length
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                if after.starts_with(['"', '\'']) {
                    let prefix = word.to_ascii_lowercase();
                    let (text, length) = string(after, prefix.contains('r'))?;
                    line.push(if ["r", "u"].contains(&prefix.as_str()) {
                        Token::Text(text)
                    } else {
                        Token::Computed
                    });
                    end + length
                } else {
                    line.push(Token::Word(word.to_owned()));
                    end
                }
            }
            c if c.is_whitespace() => c.len_utf8(),
            c => {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                line.push(Token::Sign(c));
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    if !is_indented && !line.is_empty() {
        lines.push(line);
    }
    Ok(lines)
}

/// The content of the string literal at the beginning, and the literal's length. Escapes other than those of quotes and
/// backslashes are left as they are; no revision's name contains one.
fn string(text: &str, raw: bool) -> Result<(String, usize), String> {
    let quote = text.get(..1).unwrap_or_default();
    let triple = quote.repeat(3);
    let end = if text.starts_with(&triple) { triple.as_str() } else { quote };
    let mut content = String::new();
    let mut rest = text.get(end.len()..).unwrap_or_default();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(end) {
            return Ok((content, text.len() - after.len()));
        }
        let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        let (c, length) = match (escaped, rest.chars().next()) {
            (Some(c), _) if !raw && ['\\', '\'', '"'].contains(&c) => (Some(c), 2),
            (Some(c), _) => {
                content.push('\\');
                (Some(c), 1 + c.len_utf8())
            }
            (None, Some('\n')) if end.len() == 1 => break,
            (None, first) => (first, first.map_or(1, char::len_utf8)),
        };
        content.extend(c);
        rest = rest.get(length..).unwrap_or_default();
    }
    Err("a string does not end".into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn value(text: &str) -> Option<Literal> {
        Assignments::of(text).unwrap().get("revision").cloned()
    }

    fn strings(strings: &[&str]) -> Literal {
        Literal::Strings(strings.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn literals_are_read_in_every_form() {
        for (text, expected) in [
            ("revision = 'a'", &["a"][..]),
            ("revision: str = \"a\"\r\n", &["a"]),
            ("revision: Union[str, Sequence[str], None] = None\n", &[]),
            ("revision = ('a', 'b')", &["a", "b"]),
            ("revision = ('a',)", &["a"]),
            ("revision = ('a')", &["a"]),
            ("revision = ()", &[]),
            ("revision = 'a', 'b'", &["a", "b"]),
            ("revision = [\n    'a',  # first\n    \"b\",\n]\n", &["a", "b"]),
            ("revision = \\\n    'a'\n", &["a"]),
            ("revision = r'a'", &["a"]),
            ("revision = '''a'''", &["a"]),
            ("\u{feff}revision = 'a'", &["a"]),
            (
                "\"\"\"revision = 'x'\nrevision = 'y'\n\"\"\"\nrevision = 'a'\ndef upgrade():\n    revision = 'z'\n",
                &["a"],
            ),
            ("import os\nrevision = 'a'  # comment = 'b'\nop = f(revision='c')\n", &["a"]),
        ] {
            assert_eq!(value(text), Some(strings(expected)), "{text}");
        }
    }

    #[test]
    fn an_expression_is_no_literal() {
        for text in [
            "revision = f'a'",
            "revision = 'a' + 'b'",
            "revision = 'a' 'b'",
            "revision = name",
            "revision = ('a' 'b',)",
            "revision = ('a', name)",
            "revision = make('a')",
            "revision = b'a'",
            "revision += 'a'",
            "revision = other = 'a'",
        ] {
            assert_eq!(value(text), Some(Literal::Other), "{text}");
        }
        assert_eq!(value("x = 'a'\nif x:\n    revision = 'b'\n"), None);
        assert!(Assignments::of("revision = 'a\n").is_err());
    }

    #[test]
    fn the_docstring_is_the_first_statement() {
        assert_eq!(
            Assignments::of("# c\n\"\"\"add it\n\nmore\"\"\"\nx = 1\n").unwrap().docstring,
            "add it\n\nmore"
        );
        assert_eq!(Assignments::of("x = 1\n\"\"\"no\"\"\"\n").unwrap().docstring, "");
    }
}
