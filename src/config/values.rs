//! Reads single values: texts, words, numbers, durations, addresses, lists. Each is valid, or a problem at its place.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    Selection,
    interpolate::{Entry, Node, Value},
    keys::{Keyword, Kind},
    problem::{Problem, nearest, shown},
    reading::Reading,
    url::{Endpoint, Fault, host_and_port},
};
use crate::{ordered::Ordered, tenants::day::Day, words::read_duration};

/// A longer duration is probably a mistake.
const LONGEST: Duration = Duration::from_hours(7 * 24);

const DURATION: &str = "a duration such as \"90s\", \"2m\", \"500ms\" or \"1h\"";

/// A type that a declared kind of value is read as.
pub(super) trait Read: Sized {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem>;
}

/// The problem of a value of the wrong kind. A value from a variable is named by the variable, never quoted.
pub(super) fn wrong(node: &Node, expected: &str) -> Problem {
    let found = match &node.value {
        _ if !node.filled_by.is_empty() => {
            return Problem::error(node.span.clone(), format!("{} is not {expected}", origin(node)));
        }
        Value::Text(text) => {
            return Problem::error(node.span.clone(), format!("`{}` is not {expected}", shown(text)));
        }
        Value::Integer(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
        Value::Other(what) => what,
        Value::Unresolved => "nothing",
    };
    Problem::error(node.span.clone(), format!("this must be {expected}, not {found}"))
}

/// Like `wrong`, for a possible password: not even a value from the file is quoted.
pub(super) fn wrong_secret(node: &Node, expected: &str) -> Problem {
    if let (Value::Text(_), true) = (&node.value, node.filled_by.is_empty()) {
        return Problem::error(node.span.clone(), format!("this is not {expected}"));
    }
    wrong(node, expected)
}

/// The variables that a value came from, for a message.
pub(super) fn origin(node: &Node) -> String {
    let names: Vec<String> = node.filled_by.iter().map(|name| format!("`{name}`")).collect();
    format!("the value of {}", names.join(" and "))
}

pub(super) fn text(node: &Node) -> Result<&str, Problem> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => Err(wrong_secret(node, "a text without a NUL character")),
        Value::Text(text) => Ok(text),
        _ => Err(wrong(node, "a text in quotes")),
    }
}

/// A text in a list, where an empty text cannot count as unset.
pub(super) fn name(node: &Node) -> Result<String, Problem> {
    let text = text(node)?;
    if text.is_empty() { Err(wrong(node, "a name")) } else { Ok(text.to_owned()) }
}

pub(super) fn elements(node: &Node) -> Result<&[Node], Problem> {
    match &node.value {
        Value::List(list) => Ok(list),
        _ => Err(wrong(node, "a list")),
    }
}

impl Read for String {
    fn read(node: &Node, kind: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let text = text(node)?;
        let is_unquotable = |c: char| c == '"' || c.is_control() || c.is_whitespace();
        match kind {
            Kind::Identifier
                if text.split('.').count() > 2
                    || text.split('.').any(|part| part.is_empty() || part.contains(is_unquotable)) =>
            {
                Err(wrong(node, "a name such as \"tenants\" or \"public.tenants\""))
            }
            // A step's name is printed in lines of output, and may be quoted anywhere.
            Kind::StepName if !node.filled_by.is_empty() => {
                Err(Problem::error(node.span.clone(), "a step's name cannot come from a variable"))
            }
            Kind::StepName
                if text.contains(char::is_control) || text.trim() != text || text.chars().count() > 60 =>
            {
                Err(wrong(node, "a name of one line and at most 60 characters"))
            }
            _ => Ok(text.to_owned()),
        }
    }
}

impl Read for PathBuf {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        text(node).map(PathBuf::from)
    }
}

/// `true` or `false`; a filled-in text may also be 1, yes, on or their opposites.
impl Read for bool {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        match &node.value {
            Value::Boolean(flag) => Some(*flag),
            Value::Text(text) => super::environment::flag(text),
            _ => None,
        }
        .ok_or_else(|| wrong(node, "true or false"))
    }
}

/// A whole number within bounds; a filled-in text is parsed as a number.
fn number<T: TryFrom<i64>>(node: &Node, kind: Kind) -> Result<T, Problem> {
    let bounds: RangeInclusive<i64> = match kind {
        Kind::Number(least, most) => least..=most,
        _ => i64::MIN..=i64::MAX,
    };
    let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
    let number = match &node.value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let fits = number.filter(|number| bounds.contains(number)).and_then(|number| T::try_from(number).ok());
    fits.ok_or_else(|| match &node.value {
        Value::Integer(number) => Problem::error(node.span.clone(), format!("`{number}` is not {expected}")),
        _ => wrong(node, &expected),
    })
}

macro_rules! read_numbers {
    ($($number:ty),*) => {$(
        impl Read for $number {
            fn read(node: &Node, kind: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
                number(node, kind)
            }
        }
    )*};
}
read_numbers!(u16, u32, i32, usize);

impl Read for Duration {
    fn read(node: &Node, kind: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let Value::Text(text) = &node.value else {
            let problem = wrong(node, DURATION);
            return Err(match node.value {
                Value::Integer(number) => problem.help(format!("add the unit: \"{number}s\"")),
                _ => problem,
            });
        };
        let duration = read_duration(text).ok_or_else(|| wrong(node, DURATION))?;
        match kind {
            _ if duration > LONGEST => Err(wrong(node, "at most 168h")),
            Kind::Duration if duration.is_zero() => Err(wrong(node, "longer than zero")),
            _ => Ok(duration),
        }
    }
}

impl<T: Keyword> Read for T {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let known: Vec<&str> = T::KEYWORDS.iter().map(|(word, _)| *word).collect();
        let quoted: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
        let expected = quoted.join(" or ");
        let Value::Text(text) = &node.value else {
            return Err(wrong(node, &expected));
        };
        T::KEYWORDS.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let problem = wrong(node, &expected);
            match nearest(text, &known) {
                Some(near) if node.filled_by.is_empty() => problem.help(format!("did you mean `{near}`?")),
                _ => problem,
            }
        })
    }
}

/// The last day on which an acceptance counts.
impl Read for Day {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let day = match &node.value {
            Value::Text(text) if text.len() == 10 => text.parse().ok(),
            _ => None,
        };
        day.ok_or_else(|| wrong(node, "a day such as \"2027-01-31\""))
    }
}

/// `host:port`, with an IPv6 address in brackets.
impl Read for (String, u16) {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let found = match &node.value {
            Value::Text(text) => host_and_port(text),
            _ => None,
        };
        let address = found.and_then(|(host, port)| Some((host, port?)));
        address.ok_or_else(|| wrong(node, "an address such as \"db:5432\" or \"[::1]:5432\""))
    }
}

/// An address to listen on: numbers only, because a name may have several addresses.
impl Read for SocketAddr {
    fn read(node: &Node, _: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let address = text(node)?.parse::<SocketAddr>().ok().filter(|address| address.port() != 0);
        address
            .ok_or_else(|| wrong(node, "an address to listen on, such as \"0.0.0.0:8080\" or \"[::]:8080\""))
    }
}

/// One value or a list. Each element's problem is reported; an empty text in a list is an error.
impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let of = match kind {
            Kind::OneOrMany(of) => *of,
            other => other,
        };
        let filled = |node: &&Node| !matches!(node.value, Value::Unresolved);
        match &node.value {
            Value::List(list) => Ok(list
                .iter()
                .filter(filled)
                .filter_map(|node| match &node.value {
                    Value::Text(text) if text.is_empty() => {
                        reading.report(wrong(node, "a name"));
                        None
                    }
                    _ => reading.value_or_report(T::read(node, of, reading)),
                })
                .collect()),
            _ => T::read(node, of, reading).map(|one| vec![one]),
        }
    }
}

/// Names in a list; an empty one, from a variable that is not set, is skipped.
pub(super) struct Names(pub(super) Vec<String>);

impl Read for Names {
    fn read(node: &Node, kind: Kind, _: &Reading<'_>) -> Result<Self, Problem> {
        let list = elements(node)?;
        let unfilled = list.iter().any(|node| matches!(node.value, Value::Unresolved));
        let known = list.iter().filter(|node| !matches!(node.value, Value::Unresolved));
        let mut names: Vec<&str> = known.map(text).collect::<Result<_, _>>()?;
        names.retain(|name| !name.is_empty());
        if names.is_empty() && !unfilled && !matches!(kind, Kind::Texts(0)) {
            return Err(Problem::error(node.span.clone(), "the list contains no tenant"));
        }
        Ok(Self(names.into_iter().map(str::to_owned).collect()))
    }
}

/// Values of columns, as SQL's input texts.
impl Read for BTreeMap<String, String> {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let Value::Table(entries) = &node.value else { return Err(wrong(node, "a table")) };
        let value = |node: &Node| match &node.value {
            Value::Integer(number) => Ok(number.to_string()),
            Value::Boolean(flag) => Ok(flag.to_string()),
            Value::Text(_) => text(node).map(str::to_owned),
            _ => Err(wrong(node, "a text, a number, true or false")),
        };
        let filled = entries.iter().filter(|entry| !matches!(entry.node.value, Value::Unresolved));
        let read = |entry: &Entry| Some((entry.key.clone(), reading.value_or_report(value(&entry.node))?));
        Ok(filled.filter_map(read).into_map())
    }
}

impl Read for Selection {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let expected = "\"all\" or a list of names";
        match &node.value {
            Value::List(_) => Names::read(node, kind, reading).map(|names| Selection::Named(names.0)),
            Value::Text(text) if text == "all" => Ok(Selection::All),
            Value::Text(text) if node.filled_by.is_empty() => {
                let help = match nearest(text, &["all"]) {
                    Some(_) => "did you mean `all`?".to_owned(),
                    None => format!("write [\"{}\"] for one tenant", shown(text)),
                };
                Err(wrong(node, expected).help(help))
            }
            _ => Err(wrong(node, expected)),
        }
    }
}

/// The problem of a URL. Its parameter is named only if the file contains the URL.
pub(super) fn wrong_url(node: &Node, fault: Fault) -> Problem {
    let Fault { message, parameter, help } = fault;
    let message = match parameter {
        Some(name) if node.filled_by.is_empty() => format!("{message}, `{}`", shown(&name)),
        _ => message,
    };
    let help = help.or_else(|| (!node.filled_by.is_empty()).then(|| format!("the URL is {}", origin(node))));
    let problem = Problem::error(node.span.clone(), message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

pub(super) const REDIS_SCHEMES: [&str; 6] = ["redis", "rediss", "valkey", "valkeys", "unix", "redis+unix"];

/// A URL with one of the declared schemes. It may contain a password, so it is never quoted.
impl Read for Endpoint {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let (Value::Text(text), Kind::Url(schemes)) = (&node.value, kind) else {
            return Err(wrong_secret(node, "a URL"));
        };
        let endpoint = Endpoint::of_service(text, schemes).map_err(|fault| wrong_url(node, fault))?;
        reading.remember(endpoint.secrets());
        Ok(endpoint)
    }
}
