//! Reads the variables that a step exports: TOML with texts at the top level, as the `exec.d` programs of Cloud Native
//! Buildpacks write it. A message names the place and the variable, and no value.

use std::{ops::Range, str};

use toml::de::{DeTable, DeValue};

use super::{
    environment::flag, problem::shown, secret::Secret, secret_names::is_secret_name, secrets::of_url,
};

use crate::ordered;

/// A longer text is refused.
pub(crate) const MOST_BYTES: usize = 64 * 1024;
/// Prefixes of names that steps cannot export: Portcullis' own, and those of the dynamic linker.
const RESERVED: [&str; 2] = ["PORTCULLIS_", "LD_"];
/// The last words of names whose values are not masked, because masking a host or a folder would hide it in every message.
const PUBLIC: [&str; 11] =
    ["USER", "USERNAME", "NAME", "HOST", "PORT", "DATABASE", "DB", "FILE", "PATH", "DIR", "SOCK"];

/// A variable for the steps that follow, and for the server.
pub(crate) type Variable = (String, Secret);

/// The variables in the order of the text, or its first error.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Variable>, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!("the text is longer than {} KiB", MOST_BYTES / 1024));
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        at(&valid, valid.len(), "the text is not UTF-8")
    })?;
    let table = DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        at(text, error.span().map_or(0, |span| span.start), &message)
    })?;
    let mut variables: Vec<(Range<usize>, Variable)> = Vec::new();
    let mut problems: Vec<(usize, String)> = Vec::new();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        match (name_problem(name), value.get_ref()) {
            (Some(problem), _) => problems.push((key.span().start, problem)),
            (None, DeValue::String(text)) if text.contains('\0') => {
                problems.push((value.span().start, format!("the value of `{}` contains a NUL", shown(name))));
            }
            (None, DeValue::String(text)) => {
                variables.push((key.span(), (name.to_owned(), Secret::new(text.as_ref()))));
            }
            (None, _) => {
                problems.push((value.span().start, format!("the value of `{}` is not a text", shown(name))));
            }
        }
    }
    if let Some((place, problem)) = problems.into_iter().min() {
        return Err(at(text, place, &problem));
    }
    ordered::sort_by_key(&mut variables, |(place, _)| place.start);
    Ok(variables.into_iter().map(|(_, variable)| variable).collect())
}

fn name_problem(name: &str) -> Option<String> {
    let valid = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !valid(name) {
        return Some(format!("`{}` is not a valid name of a variable", shown(name)));
    }
    RESERVED
        .iter()
        .any(|prefix| name.starts_with(prefix))
        .then(|| format!("`{}` is reserved and cannot be exported", shown(name)))
}

/// The message with the line and the column of a position.
fn at(text: &str, position: usize, message: &str) -> String {
    let before = &text[..text.floor_char_boundary(position)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    format!("line {line}, column {column}: {message}")
}

/// The texts to mask in all output. Every value counts as a secret, except for numbers, booleans, and values whose names
/// show that they are public.
pub(crate) fn secrets((name, value): &Variable) -> Vec<String> {
    let text = value.expose();
    let name_ends = |ending: &&str| name.to_ascii_uppercase().ends_with(*ending);
    let is_plain = PUBLIC.iter().any(name_ends) || text.parse::<f64>().is_ok() || flag(text).is_some();
    let whole = (is_secret_name(name) || !is_plain).then(|| text.to_owned());
    let of_url = of_url(text).map(|known| known.value.expose().to_owned());
    whole.into_iter().chain(of_url).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, String> {
        let plain = |(name, value): Variable| (name, value.expose().to_owned());
        Ok(parse(text.as_bytes())?.into_iter().map(plain).collect())
    }

    #[test]
    fn texts_at_the_top_level_are_variables() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text = "# from the vault\nB = \"x = 1\"\nA = '''two\nlines'''\n_c1 = \"\"\n";
        let expected = [pair("B", "x = 1"), pair("A", "two\nlines"), pair("_c1", "")];
        assert_eq!(parsed(text).as_deref(), Ok(expected.as_slice()));
        assert_eq!(parsed(""), Ok(Vec::new()));
    }

    #[test]
    fn an_invalid_text_is_refused_with_its_place_and_without_its_values() {
        for (text, message) in [
            ("A = \"secret-1\"\nPORT = 8000", "line 2, column 8: the value of `PORT` is not a text"),
            ("[table]\nA = \"secret-1\"", "line 1, column 1: the value of `table` is not a text"),
            ("a.b = \"secret-1\"", "line 1, column 1: the value of `a` is not a text"),
            ("\n  \"A B\" = \"secret-1\"", "line 2, column 3: `A B` is not a valid name of a variable"),
            ("1A = \"secret-1\"", "line 1, column 1: `1A` is not a valid name of a variable"),
            ("\"\" = \"secret-1\"", "line 1, column 1: `` is not a valid name of a variable"),
            (
                "PORTCULLIS_X = \"secret-1\"",
                "line 1, column 1: `PORTCULLIS_X` is reserved and cannot be exported",
            ),
            (
                "LD_PRELOAD = \"secret-1\"",
                "line 1, column 1: `LD_PRELOAD` is reserved and cannot be exported",
            ),
            ("A = \"secret-1\\u0000\"", "line 1, column 5: the value of `A` contains a NUL"),
        ] {
            assert_eq!(parsed(text), Err(message.to_owned()), "{text}");
        }
        for text in ["A = secret-1", "A=\"x\"\nA=\"secret-1\"", "export A=secret-1", "A = \"secret-1"] {
            let message = parsed(text).err().unwrap_or_default();
            assert!(message.starts_with("line ") && !message.contains("secret-1"), "{text}: {message}");
        }
        assert_eq!(parse(b"A = \"\xff\"").err().as_deref(), Some("line 1, column 6: the text is not UTF-8"));
        let long = format!("A = \"{}\"", "x".repeat(MOST_BYTES));
        assert_eq!(parsed(&long).err().as_deref(), Some("the text is longer than 64 KiB"));
    }

    #[test]
    fn a_value_is_masked_unless_it_is_certainly_public() {
        let masked = |name: &str, value: &str| secrets(&(name.into(), Secret::new(value)));
        for (name, value) in [("TOKEN", "s3cret"), ("PIN_TOKEN", "12345678"), ("SETTINGS", "abc")] {
            assert_eq!(masked(name, value), [value], "{name}");
        }
        for (name, value) in [
            ("DB_HOST", "db.internal"),
            ("PGHOST", "db.internal"),
            ("WORKERS", "16"),
            ("DEBUG", "false"),
            ("CA_FILE", "/run/ca"),
        ] {
            assert!(masked(name, value).is_empty(), "{name}");
        }
        assert_eq!(masked("DATABASE_URL", "db://u:p%40ss@h/d"), ["db://u:p%40ss@h/d", "p@ss"]);
    }
}
