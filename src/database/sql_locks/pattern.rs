//! Matches the tokens of a statement with a pattern. Text that the pattern does not describe completely does not match.

/// Keywords, types and functions of PostgreSQL that may precede a parenthesis. None of these functions reads a table.
const KNOWN: &str = " abs all and any array as asc avg between bigint bit boolean btree btrim bpchar by case cast ceil char \
    char_length character check coalesce concat conflict count current_time current_timestamp date date_part date_trunc decimal default \
    desc distinct double else elsif exists extract filter float floor format from gin gist greatest group hash having in \
    include index initcap int int4 int8 integer interval is join json jsonb jsonb_build_array jsonb_build_object key \
    least left length like limit localtime localtimestamp lower lpad ltrim max md5 min mod not now nullif numeric nvarchar octet_length \
    on or order over overlay partition position precision primary real references regexp_replace repeat replace returning \
    right round row rpad rtrim select set similar smallint some split_part spgist brin storage strpos substr substring sum \
    text then time timestamp timestamptz timetz to_char to_date to_number to_timestamp to_tsvector translate trim trunc \
    unique upper using values varbit varchar varying when where with xor ";

/// The names that the pattern captured, in order.
pub(super) type Captures = Vec<String>;

/// A pattern consists of words and of these items:
///
/// - `word?` is optional, `a|b` is one of them, `*word` is everything up to the first such word;
/// - `T` captures a table, `C` a column's table, `L` several tables, `N` is a name that is not captured;
/// - `#` is one token, `()` a parenthesized text, `()?` an optional one;
/// - `..` is the rest without subqueries, `..select` the rest with subqueries, both without calls of functions that are not
///   known; `..any` is any rest. A word after `-` must not occur in the rest.
pub(super) fn matches(pattern: &str, tokens: &[&str]) -> Option<Captures> {
    let (mut captures, mut rest) = (Captures::new(), tokens);
    for item in pattern.split_ascii_whitespace() {
        match item {
            "T" | "N" | "C" => {
                let (mut name, used) = name(rest)?;
                if item == "C" {
                    name.truncate(name.rfind('.')?);
                }
                if item != "N" {
                    captures.push(name);
                }
                rest = &rest[used..];
            }
            "L" => loop {
                let (name, used) = name(rest)?;
                captures.push(name);
                rest = &rest[used..];
                match rest.split_first() {
                    Some((&",", more)) => rest = more,
                    _ => break,
                }
            },
            "#" => rest = rest.split_first()?.1,
            "()" | "()?" => match parenthesized(rest) {
                Some(used) if !calls_unknown(&rest[..used]) => rest = &rest[used..],
                None if item == "()?" => {}
                _ => return None,
            },
            _ if item.starts_with("..") => {
                let mut parts = item[2..].split('-');
                let kind = parts.next().unwrap_or_default();
                let is_safe = kind == "any" || !calls_unknown(rest);
                let has = |word: &str| rest.iter().any(|token| token.eq_ignore_ascii_case(word));
                if !is_safe || (kind.is_empty() && has("select")) || parts.any(has) {
                    return None;
                }
                rest = &[];
            }
            _ => rest = after_words(item, rest)?,
        }
    }
    rest.is_empty().then_some(captures)
}

/// The tokens after a word, after one of several words, or after everything up to a word.
fn after_words<'a, 'b>(item: &str, tokens: &'b [&'a str]) -> Option<&'b [&'a str]> {
    let is = |token: &str, word: &str| token.eq_ignore_ascii_case(word);
    if let Some(word) = item.strip_prefix('*') {
        let at = tokens.iter().position(|token| is(token, word))?;
        return Some(&tokens[at + 1..]);
    }
    let (words, is_optional) = item.strip_suffix('?').map_or((item, false), |words| (words, true));
    match tokens.split_first() {
        Some((first, rest)) if words.split('|').any(|word| is(first, word)) => Some(rest),
        _ => is_optional.then_some(tokens),
    }
}

/// A name with its schema, without quotes, and its number of tokens.
pub(super) fn name(tokens: &[&str]) -> Option<(String, usize)> {
    let mut name = identifier(tokens.first()?)?;
    let mut used = 1;
    while tokens.get(used) == Some(&".") {
        name = name + "." + &identifier(tokens.get(used + 1)?)?;
        used += 2;
    }
    Some((name, used))
}

pub(super) fn identifier(token: &str) -> Option<String> {
    if let Some(quoted) = token.strip_prefix('"') {
        return Some(quoted.strip_suffix('"')?.replace("\"\"", "\""));
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let starts = token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (starts && token.chars().all(is_word)).then(|| token.to_lowercase())
}

/// The number of tokens of the parenthesized text at the start.
pub(super) fn parenthesized(tokens: &[&str]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then_some(at + 1);
        }
    }
    None
}

/// Whether the text calls a function that may do anything.
pub(super) fn calls_unknown(tokens: &[&str]) -> bool {
    tokens.windows(2).enumerate().any(|(at, pair)| {
        let [function, "("] = pair else { return false };
        let Some(function) = identifier(function) else { return false };
        let qualified = at > 0 && tokens[at - 1] == "." && !(at > 1 && tokens[at - 2] == "pg_catalog");
        qualified || !is_known(&function)
    })
}

fn is_known(word: &str) -> bool {
    KNOWN.split_ascii_whitespace().any(|known| known == word)
}

/// The parts between the commas that are not in parentheses.
pub(super) fn parts<'a, 'b>(tokens: &'b [&'a str]) -> impl Iterator<Item = &'b [&'a str]> {
    let mut depth = 0_usize;
    tokens.split(move |token| {
        match *token {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *token == ","
    })
}
