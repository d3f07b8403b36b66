//! The places of passwords in URLs and connection strings. Pure.

use std::ops::Range;

/// The names of URL parameters with a secret, in lower case.
const PARAMETERS: [&str; 16] = [
    "password",
    "passwd",
    "pwd",
    "pass",
    "passphrase",
    "sslpassword",
    "secret",
    "client_secret",
    "token",
    "access_token",
    "refresh_token",
    "api_key",
    "apikey",
    "key",
    "sig",
    "signature",
];
/// Parameters with a password also outside of URLs (libpq's `host=... password=...`).
const WORDS: [&str; 4] = ["password", "passwd", "pwd", "sslpassword"];
/// The search for the end of a password with blanks is limited to this length.
const FAR: usize = 300;
/// A user of at least this length without a password is a token (`https://ghp_...@github.com`).
const TOKEN: usize = 16;

/// The places of passwords in one line.
pub(super) fn passwords(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, separator) in line.match_indices("://") {
        let begin = at + separator.len();
        let rest = &line[begin..];
        let end = rest.find(is_end).unwrap_or(rest.len());
        let end = rest[..end].find("://").map_or(end, |next| rest[..next].rfind(',').unwrap_or(end));
        let info = user_info(rest, end, &line[..at]);
        found.extend(info.map(|range| begin + range.start..begin + range.end));
    }
    for (equals, _) in line.match_indices('=') {
        found.extend(parameter(line, equals));
    }
    found
}

/// The password (or token) between `://` and the host; `end` is the end of a URL without blanks.
fn user_info(rest: &str, end: usize, before: &str) -> Option<Range<usize>> {
    let url = &rest[..end];
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(end)];
    let web = before.ends_with("http") || before.ends_with("https");
    let Some(colon) = authority.find([':', '@']).filter(|at| authority[*at..].starts_with(':')) else {
        let user = &authority[..authority.find('@')?];
        return (web && user.len() >= TOKEN).then_some(0..user.len());
    };
    // The last `@` ends the password. Without one before the path, the password may contain a slash or a blank.
    // The path of a database's or a broker's URL contains no `@`.
    let path = if web { authority } else { &url[..url.find('?').unwrap_or(end)] };
    let last = authority.rfind('@').and_then(|_| path.rfind('@')).or_else(|| {
        let port =
            authority[colon + 1..].bytes().all(|byte| byte.is_ascii_digit()) && authority.len() <= colon + 6;
        let ipv6 = authority.starts_with('[');
        (!port && !ipv6).then(|| url.rfind('@').or_else(|| beyond_blanks(rest, end))).flatten()
    })?;
    Some(colon + 1..last)
}

/// The `@` after a password with blanks.
fn beyond_blanks(rest: &str, end: usize) -> Option<usize> {
    if !rest[end..].starts_with(' ') {
        return None;
    }
    let far = rest.floor_char_boundary(FAR);
    let limit = rest[..far].find(['"', '\'', '`', '<', '>', '\\']).unwrap_or(far);
    let limit = rest[..limit].find("://").unwrap_or(limit);
    let at = rest.get(end..limit)?.find('@')? + end;
    rest[at + 1..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[').then_some(at)
}

/// The value after this `=`, if the parameter is secret.
fn parameter(line: &str, equals: usize) -> Option<Range<usize>> {
    let before = &line[..equals];
    let name = before
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = before[name..].to_ascii_lowercase().replace('-', "_");
    let in_url = before[..name].ends_with(['?', '&', ';'])
        && before.rfind("://").is_some_and(|begin| !before[begin..].contains(is_end));
    let secret = in_url && PARAMETERS.contains(&word.as_str()) || WORDS.contains(&word.as_str());
    let value = &line[equals + 1..];
    if !secret || value.starts_with(['{', '$', '*']) {
        return None;
    }
    let quoted = value.strip_prefix('\'').filter(|_| !in_url);
    let (skip, length) = match quoted {
        Some(inside) => (1, inside.find('\'').unwrap_or(inside.len())),
        None => (0, value.find(|c: char| is_end(c) || c == '&' || c == ';' && in_url).unwrap_or(value.len())),
    };
    (length > 0).then_some(equals + 1 + skip..equals + 1 + skip + length)
}

/// Whether the character ends a URL.
fn is_end(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passwords_in_urls_are_found() {
        for (text, shown) in [
            ("connect postgres://app:hunter2@db:5432/x failed", "connect postgres://app:*@db:5432/x failed"),
            ("redis://:p:w@h/0 and amqp://a:b@c", "redis://:*@h/0 and amqp://a:*@c"),
            ("see https://example.org/a:b@c", "see https://example.org/a:b@c"),
            ("postgres://app@db/x", "postgres://app@db/x"),
            ("postgres://a_user_with_a_long_name@db/x", "postgres://a_user_with_a_long_name@db/x"),
            ("https://me@example.org/x", "https://me@example.org/x"),
            ("12:30 a@b", "12:30 a@b"),
            ("postgres://app:p w@[::1]/x", "postgres://app:*@[::1]/x"),
            ("at postgres://app:p w@ home", "at postgres://app:p w@ home"),
            ("postgres://app:12345678/9@db/x", "postgres://app:*@db/x"),
            ("postgres://app:p/w@db/x", "postgres://app:*@db/x"),
            ("postgres://app:p#w@db/x", "postgres://app:*@db/x"),
            ("postgres://app:p?w@db/x", "postgres://app:*@db/x"),
            ("postgres://app:p@w@db/x", "postgres://app:*@db/x"),
            ("postgres://app:p@w/x@db/x", "postgres://app:*@db/x"),
            ("https://me:pw@registry/@scope/x", "https://me:*@registry/@scope/x"),
            ("postgres://app:p w@db/x", "postgres://app:*@db/x"),
            ("http://127.0.0.1:8080/ of me@example.org", "http://127.0.0.1:8080/ of me@example.org"),
            ("http://host:80 of me@example.org", "http://host:80 of me@example.org"),
            ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
            ("https://ghp_0123456789abcdef@github.com/x", "https://*@github.com/x"),
            ("postgres://h/d?sslmode=require&password=pw#x", "postgres://h/d?sslmode=require&password=*"),
            ("\"redis://h/0?password=pw\" is it", "\"redis://h/0?password=*\" is it"),
            ("{\"a\": \"\\\"amqp://h?password=pw\\\"\"}", "{\"a\": \"\\\"amqp://h?password=*\\\"\"}"),
            ("host=db password=pw user=me", "host=db password=* user=me"),
            ("host=db password='p w' user=me", "host=db password='*' user=me"),
            ("password={ env = \"X\" }", "password={ env = \"X\" }"),
            ("keys: key=value", "keys: key=value"),
            ("redis://h/0?token=t&db=1", "redis://h/0?token=*&db=1"),
            ("redis://h/0?db=1;client_secret=s;db=1", "redis://h/0?db=1;client_secret=*;db=1"),
            ("see a?token=t", "see a?token=t"),
            ("redis://h/0 is a?token=t", "redis://h/0 is a?token=t"),
            ("no-password=x no_password=x", "no-password=x no_password=x"),
            ("password=a;b&c d", "password=*&c d"),
            ("password='' user=me", "password='' user=me"),
            ("password=$HOME", "password=$HOME"),
            ("password=", "password="),
        ] {
            let mut masked = text.to_owned();
            let mut places = passwords(text);
            places.sort_by_key(|place| std::cmp::Reverse(place.start));
            for place in places {
                masked.replace_range(place, "*");
            }
            assert_eq!(masked, shown);
        }
    }
}
