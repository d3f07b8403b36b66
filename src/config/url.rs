//! Takes a database URL apart: percent-decoded parts, which nobody reads as a URL again.
//!
//! No message here holds anything of the URL: it may be a password.

use std::{collections::BTreeMap, path::PathBuf};

use super::{secret::Secret, values::host_and_port};

/// libpq's words, from the least to the most careful.
pub(super) const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

pub(super) enum DatabaseUrl {
    Postgres(Box<Parts>),
    Sqlite(PathBuf),
}

/// What is known of how to reach a PostgreSQL database.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) parameters: BTreeMap<String, String>,
}

/// Reads the URL, or says what is wrong with it.
pub(super) fn parse(url: &str) -> Result<DatabaseUrl, &'static str> {
    match url.split_once("://") {
        Some(("postgres" | "postgresql", rest)) => Ok(DatabaseUrl::Postgres(Box::new(postgres(rest)?))),
        Some(("sqlite", folder)) if folder.contains('?') => Err("a sqlite:// URL takes no parameters"),
        Some(("sqlite", "")) => Err("a sqlite:// URL needs a folder"),
        Some(("sqlite", folder)) => Ok(DatabaseUrl::Sqlite(PathBuf::from(decode(folder)?))),
        _ => Err("a database URL begins with postgres://, postgresql:// or sqlite://"),
    }
}

fn postgres(rest: &str) -> Result<Parts, &'static str> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, name) = place.split_once('/').unwrap_or((place, ""));
    if name.contains(['@', '/']) || query.contains('@') {
        return Err("`/`, `?` and `@` inside a part of a URL must be written %2F, %3F and %40");
    }
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut parts = Parts {
        name: part(name)?,
        user: part(user)?,
        password: part(password)?.map(Secret::new),
        ..Parts::default()
    };
    if let Some(host) = address.strip_prefix("%2F").or(address.strip_prefix("%2f")) {
        parts.host = Some(format!("/{}", decode(host)?));
    } else if !address.is_empty() {
        if address.contains(',') {
            return Err("a database URL names one host");
        }
        let (host, port) = host_and_port(address).ok_or("the host or the port in the URL is not valid")?;
        (parts.host, parts.port) = (Some(decode(&host)?), port);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("a parameter in the URL has no `=`")?;
        parameter(&mut parts, &decode(key)?, decode(value)?)?;
    }
    Ok(parts)
}

/// libpq lets parameters stand for parts, too; the others are kept as they are.
fn parameter(parts: &mut Parts, key: &str, value: String) -> Result<(), &'static str> {
    if value.is_empty() {
        return Ok(());
    }
    match key {
        "host" => parts.host = Some(value),
        "port" => {
            let port = value.parse().ok().filter(|port| *port != 0);
            parts.port = Some(port.ok_or("the host or the port in the URL is not valid")?);
        }
        "dbname" => parts.name = Some(value),
        "user" => parts.user = Some(value),
        "password" => parts.password = Some(Secret::new(value)),
        "sslpassword" => return Err("the parameter `sslpassword` is not supported"),
        "sslmode" if !SSL_MODES.contains(&value.as_str()) => {
            return Err("the parameter `sslmode` in the URL is not one that libpq knows");
        }
        _ => {
            parts.parameters.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

fn part(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() { Ok(None) } else { decode(text).map(Some) }
}

fn decode(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "a `%` in a URL must be followed by two hexadecimal digits (write %25 for `%`)";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = (digit().ok_or(WRONG)?, digit().ok_or(WRONG)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| WRONG)?);
    }
    let decoded = String::from_utf8(bytes).map_err(|_| "a part of the URL is not UTF-8")?;
    if decoded.contains('\0') { Err("a part of the URL holds a NUL character") } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn parts(url: &str) -> Parts {
        match parse(url) {
            Ok(DatabaseUrl::Postgres(parts)) => *parts,
            Ok(DatabaseUrl::Sqlite(_)) => Parts::default(),
            Err(why) => unreachable!("{url}: {why}"),
        }
    }

    #[test]
    fn odd_passwords_survive() {
        for (written, meant) in [
            ("plain", "plain"),
            ("p%40ss%2Fw%3Ard%25", "p@ss/w:rd%"),
            ("a:b:c", "a:b:c"),
            ("a@b", "a@b"),
            ("with+plus#hash", "with+plus#hash"),
            ("%C3%A9", "é"),
        ] {
            let parts = parts(&format!("postgres://app:{written}@db:6432/shop?sslmode=require"));
            assert_eq!(parts.password.unwrap().expose(), meant);
            assert_eq!((parts.host.as_deref(), parts.port), (Some("db"), Some(6432)));
            assert_eq!((parts.user.as_deref(), parts.name.as_deref()), (Some("app"), Some("shop")));
            assert_eq!(parts.parameters["sslmode"], "require");
        }
    }

    #[test]
    fn hosts_are_names_addresses_and_socket_folders() {
        for (url, host, port) in [
            ("postgres://[::1]:5433/d", Some("::1"), Some(5433)),
            ("postgresql://db/d", Some("db"), None),
            ("postgres:///d?host=/run/pg&port=1", Some("/run/pg"), Some(1)),
            ("postgres://%2Frun%2Fpg/d", Some("/run/pg"), None),
            ("postgres:///d", None, None),
        ] {
            let parts = parts(url);
            assert_eq!((parts.host.as_deref(), parts.port), (host, port), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for url in [
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2/x@h/d",
            "postgres://u:hunter2?x@h/d",
            "postgres://u:hunter2%zz@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@a,b/d",
            "postgres://u:hunter2@h/d?sslmode=sometimes",
            "sqlite://",
        ] {
            assert!(!parse(url).err().unwrap().contains("hunter2"), "{url}");
        }
    }
}
