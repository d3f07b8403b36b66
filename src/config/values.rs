//! Reads single values: texts, words, numbers, durations, addresses. Each is valid, or a problem at its place.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{
    fill::{Node, Value},
    problem::Problem,
    url::{Endpoint, Fault},
};

/// Longer than this is a slip of the pen.
const LONGEST: Duration = Duration::from_hours(7 * 24);

const DURATION: &str = "a duration such as \"90s\", \"2m\", \"500ms\" or \"1h\"";

/// A value of the wrong kind. What came from a variable is called by the variable's name, never quoted.
pub(super) fn wrong(node: &Node, expected: &str) -> Problem {
    let found = match &node.value {
        _ if !node.filled_by.is_empty() => {
            return Problem::error(node.span.clone(), format!("{} is not {expected}", origin(node)));
        }
        Value::Text(text) => {
            return Problem::error(node.span.clone(), format!("`{text}` is not {expected}"));
        }
        Value::Integer(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
        Value::Other(what) => what,
        Value::Unfilled => "nothing",
    };
    Problem::error(node.span.clone(), format!("this must be {expected}, not {found}"))
}

/// As `wrong`, for what may be a password: not even a value from the file is quoted.
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

pub(super) fn text(node: &Node) -> Result<String, Problem> {
    match &node.value {
        Value::Text(text) if text.contains('\0') => Err(wrong_secret(node, "a text without a NUL character")),
        Value::Text(text) => Ok(text.clone()),
        _ => Err(wrong(node, "a text in quotes")),
    }
}

/// A text that says something: in a list, where an empty one cannot count as unset.
pub(super) fn name(node: &Node) -> Result<String, Problem> {
    let text = text(node)?;
    if text.is_empty() { Err(wrong(node, "a name")) } else { Ok(text) }
}

pub(super) fn path(node: &Node) -> Result<PathBuf, Problem> {
    text(node).map(PathBuf::from)
}

pub(super) fn elements(node: &Node) -> Result<&[Node], Problem> {
    match &node.value {
        Value::List(list) => Ok(list),
        _ => Err(wrong(node, "a list")),
    }
}

/// `true` or `false`; a filled-in text may also say 1, yes, on and their opposites.
pub(super) fn boolean(node: &Node) -> Result<bool, Problem> {
    match &node.value {
        Value::Boolean(flag) => Ok(*flag),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(wrong(node, "true or false")),
        },
        _ => Err(wrong(node, "true or false")),
    }
}

/// A whole number within bounds; a filled-in text counts as the number it spells.
pub(super) fn number<T: TryFrom<i64>>(
    bounds: RangeInclusive<i64>,
) -> impl Fn(&Node) -> Result<T, Problem> + Clone {
    move |node| {
        let expected = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let number = match &node.value {
            Value::Integer(number) => *number,
            Value::Text(text) => text.parse().map_err(|_| wrong(node, &expected()))?,
            _ => return Err(wrong(node, &expected())),
        };
        let fits = bounds.contains(&number).then_some(number).and_then(|number| T::try_from(number).ok());
        fits.ok_or_else(|| match &node.value {
            Value::Integer(number) => {
                Problem::error(node.span.clone(), format!("`{number}` is not {}", expected()))
            }
            _ => wrong(node, &expected()),
        })
    }
}

/// A duration that is longer than nothing.
pub(super) fn duration(node: &Node) -> Result<Duration, Problem> {
    let duration = duration_or_zero(node)?;
    if duration.is_zero() { Err(wrong(node, "longer than nothing")) } else { Ok(duration) }
}

pub(super) fn duration_or_zero(node: &Node) -> Result<Duration, Problem> {
    let Value::Text(text) = &node.value else {
        let problem = wrong(node, DURATION);
        return Err(match node.value {
            Value::Integer(number) => problem.help(format!("say the unit: \"{number}s\"")),
            _ => problem,
        });
    };
    let duration = parse_duration(text).ok_or_else(|| wrong(node, DURATION))?;
    if duration > LONGEST { Err(wrong(node, "at most 168h")) } else { Ok(duration) }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(60 * 60)?)),
        _ => None,
    }
}

/// One of a few words, each with what it means.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&Node) -> Result<T, Problem> {
    move |node| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let quoted: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
        let expected = quoted.join(" or ");
        let Value::Text(text) = &node.value else {
            return Err(wrong(node, &expected));
        };
        words.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let problem = wrong(node, &expected);
            match super::problem::nearest(text, &known) {
                Some(near) if node.filled_by.is_empty() => problem.help(format!("did you mean `{near}`?")),
                _ => problem,
            }
        })
    }
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn address(node: &Node) -> Result<(String, u16), Problem> {
    let expected = "an address such as \"db:5432\" or \"[::1]:5432\"";
    let Value::Text(text) = &node.value else {
        return Err(wrong(node, expected));
    };
    host_and_port(text).and_then(|(host, port)| Some((host, port?))).ok_or_else(|| wrong(node, expected))
}

/// `host`, `host:port` or `[::1]:port`; None if it is none of these.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        Some(port) if port.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(port.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    let spoken = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
    spoken.then(|| (host.to_owned(), port))
}

/// The problem of a URL. Its parameter is named only if the URL stands in the file.
pub(super) fn wrong_url(node: &Node, fault: Fault) -> Problem {
    let Fault { message, parameter, help } = fault;
    let message = match parameter {
        Some(name) if node.filled_by.is_empty() => format!("{message}, `{name}`"),
        _ => message,
    };
    let help = help.or_else(|| (!node.filled_by.is_empty()).then(|| format!("it is {}", origin(node))));
    let problem = Problem::error(node.span.clone(), message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// A URL of one of these schemes, with a host. It may hold a password, so it is never quoted.
pub(super) fn url(schemes: &[&str]) -> impl Fn(&Node) -> Result<Endpoint, Problem> {
    move |node| {
        let Value::Text(text) = &node.value else {
            return Err(wrong_secret(node, "a URL"));
        };
        Endpoint::with_host(text, schemes).map_err(|fault| wrong_url(node, fault))
    }
}

const REDIS: [&str; 6] = ["redis", "rediss", "valkey", "valkeys", "unix", "redis+unix"];

/// A URL of Redis: a host, or a socket; the database is a number.
pub(super) fn redis_url(node: &Node) -> Result<Endpoint, Problem> {
    let Value::Text(text) = &node.value else {
        return Err(wrong_secret(node, "a URL"));
    };
    let url = Endpoint::parse(text, &REDIS).map_err(|fault| wrong_url(node, fault))?;
    let fault = |message: &str| Err(wrong_url(node, message.into()));
    let database = if url.scheme.ends_with("unix") {
        match (url.host.as_str(), url.path.as_str()) {
            ("", path) if !path.is_empty() => url.parameter("db"),
            _ => return fault("the URL of a socket is `unix:///` and its path"),
        }
    } else if url.host.is_empty() {
        return fault("the URL names no host");
    } else {
        Some(url.path.as_str()).filter(|path| !path.is_empty()).or_else(|| url.parameter("db"))
    };
    if database.is_some_and(|number| number.parse::<u32>().is_err()) {
        return fault("the database in the URL is not a number");
    }
    Ok(url)
}
