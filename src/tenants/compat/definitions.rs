//! Reads the parts of definitions as PostgreSQL writes them: identifiers, lists, columns.

/// The definition of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column<'a> {
    /// With its collation, if that is not the type's own.
    pub(super) type_name: &'a str,
    pub(super) value: Value<'a>,
    pub(super) not_null: bool,
}

/// The value of a column that a statement leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Default(&'a str),
    Identity {
        always: bool,
        options: &'a str,
    },
    /// Computed from other columns.
    Generated(&'a str),
}

impl<'a> Column<'a> {
    pub(super) fn parse(definition: &'a str) -> Self {
        let rest = definition.strip_suffix(" NOT VALID").unwrap_or(definition);
        let (rest, not_null) = rest.strip_suffix(" NOT NULL").map_or((rest, false), |rest| (rest, true));
        let at = |word| outside_quotes(rest, word).map_or(rest.len(), |at| at);
        let (default, generated) = (at(" DEFAULT "), at(" GENERATED "));
        let (type_name, value) = rest.split_at(default.min(generated));
        let value = match value.strip_prefix(" DEFAULT ") {
            Some(default) => Value::Default(default),
            None if value.is_empty() => Value::Null,
            None => match value.split_once(" AS IDENTITY ") {
                Some((when, options)) => Value::Identity { always: when.ends_with(" ALWAYS"), options },
                None => Value::Generated(value),
            },
        };
        Self { type_name, value, not_null }
    }
}

/// Where the word first stands outside of quotation marks.
fn outside_quotes(text: &str, word: &str) -> Option<usize> {
    let mut matches = text.match_indices(word).map(|(at, _)| at);
    matches.find(|at| text[..*at].matches('"').count().is_multiple_of(2))
}

/// The elements of the first list in parentheses, and the text after it. Quotation marks and inner parentheses stay.
pub(super) fn list(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut depth, mut start, mut quote, mut elements) = (0, 0, None, Vec::new());
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '[') if depth > 0 && text[..at].ends_with([' ', '(', '.']) => quote = Some(']'),
            (None, '(') => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            (None, ',') if depth == 1 => {
                elements.push(text[start..at].trim());
                start = at + 1;
            }
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    elements.push(text[start..at].trim());
                    return Some((elements, &text[at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// The identifier at the start of a text, without quotation marks, and the rest.
pub(super) fn identifier(text: &str) -> Option<(String, &str)> {
    let close = match text.chars().next()? {
        quote @ ('"' | '`') => quote,
        '[' => ']',
        _ => {
            let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == '$');
            let (name, rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
            return (!name.is_empty()).then(|| (name.to_owned(), rest));
        }
    };
    let mut name = String::new();
    let mut rest = &text[1..];
    loop {
        let (before, after) = rest.split_once(close)?;
        name += before;
        match after.strip_prefix(close) {
            Some(after) => {
                name.push(close);
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// Whether the text has this identifier as a word of its own.
pub(super) fn mentions(text: &str, name: &str) -> bool {
    if text.len() < name.len() {
        return false;
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let escaped = name.replace('"', "\"\"");
    !escaped.is_empty()
        && text
            .match_indices(&escaped)
            .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + escaped.len()..].starts_with(is_word))
}

/// A text literal at the start of a text, with its quotation marks, and the rest.
pub(super) fn literal(text: &str) -> Option<(&str, &str)> {
    let mut end = 1;
    text.strip_prefix('\'')?;
    loop {
        end += text[end..].find('\'')? + 1;
        if text[end..].starts_with('\'') {
            end += 1;
        } else {
            return Some(text.split_at(end));
        }
    }
}
