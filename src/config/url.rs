//! Parses a URL once: all later code uses its percent-decoded parts. No message here contains any part of the URL
//! except for the name of a parameter: the rest may be a password.

mod fault;
mod parameters;

pub(super) use self::fault::Fault;

use std::fmt;

use percent_encoding::percent_decode_str;

use super::{
    secret::{KnownSecret, Secret},
    secret_names::is_secret_name,
};

/// The address of a service, and its credentials.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) scheme: String,
    /// Empty if the URL has no host. An IPv6 address has no brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// The part after the host, without the first slash.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, Secret)>,
    /// Path and query in their original form, for a request.
    pub(crate) target: Secret,
    pub(crate) written_login: (String, String),
}

const DELIMITERS: &str = "`/`, `?` and `@` inside a part of a URL must be written %2F, %3F and %40";

impl Endpoint {
    /// Parses a URL with one of these schemes, and checks its parameters.
    pub(super) fn parse(text: &str, schemes: &[&str]) -> Result<Self, Fault> {
        let (scheme, rest) = text
            .split_once("://")
            .filter(|(scheme, _)| schemes.contains(scheme))
            .ok_or_else(|| wrong_scheme(schemes))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let slash = if place.len() > authority.len() { "/" } else { "" };
        if path.contains('@') || query.contains('@') {
            return Err(DELIMITERS.into());
        }
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = if address.is_empty() { (String::new(), None) } else { host(address)? };
        let target =
            if query.is_empty() { format!("{slash}{path}") } else { format!("{slash}{path}?{query}") };
        let mut endpoint = Self {
            scheme: scheme.to_owned(),
            host,
            port,
            user: some(decode(user)?),
            password: some(decode(password)?).map(Secret::new),
            path: decode(path)?,
            query: Vec::new(),
            target: Secret::new(target),
            written_login: (user.to_owned(), password.to_owned()),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            parameters::check(scheme, &name, &value)?;
            endpoint.query.push((name, Secret::new(value)));
        }
        Ok(endpoint)
    }

    /// Like `parse`; the URL must have a host or, for Redis, a socket, and its database is a number.
    pub(super) fn of_service(text: &str, schemes: &[&str]) -> Result<Self, Fault> {
        let url = Self::parse(text, schemes)?;
        let path = Some(url.path.as_str()).filter(|path| !path.is_empty());
        let database = match url.scheme.as_str() {
            "unix" | "redis+unix" if !url.host.is_empty() || path.is_none() => {
                return Err("the URL of a socket is `unix://` and its path, which begins with a slash".into());
            }
            "unix" | "redis+unix" => url.parameter("db"),
            _ if url.host.is_empty() => return Err("the URL names no host".into()),
            "redis" | "rediss" | "valkey" | "valkeys" => path.or_else(|| url.parameter("db")),
            _ => None,
        };
        if database.is_some_and(|number| number.parse::<u32>().is_err()) {
            return Err("the database in the URL is not a number".into());
        }
        Ok(url)
    }

    /// The URL of an HTTP server outside of the configuration; None if it is not valid.
    pub(crate) fn of_collector(text: &str) -> Option<Self> {
        Self::of_service(text, &["http", "https"]).ok()
    }

    /// Like `parse`, with any scheme.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        Self::parse(text, &[scheme]).map_err(|fault| fault.message)
    }

    /// A parameter that is not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(found, _)| found == name)?;
        Some(found.1.expose()).filter(|value| !value.is_empty())
    }

    /// The password, a user without a password (probably a token), and parameters with secret names.
    pub(crate) fn secrets(&self) -> Vec<KnownSecret> {
        let (user, password) = &self.written_login;
        let known = |value: &str, written: &str| KnownSecret {
            value: Secret::new(value),
            written: if value == written { Vec::new() } else { vec![Secret::new(written)] },
        };
        let login = match (&self.user, &self.password) {
            (_, Some(secret)) => Some(known(secret.expose(), password)),
            (Some(token), None) if matches!(self.scheme.as_str(), "http" | "https") => {
                Some(known(token, user))
            }
            _ => None,
        };
        let target = self.target.expose();
        let written = target.split_once('?').map_or("", |(_, query)| query);
        let parameters = written.split('&').filter_map(|pair| {
            let (name, written) = pair.split_once('=')?;
            let value = percent_decode_str(written).decode_utf8_lossy();
            is_secret_name(name).then(|| known(&value, written))
        });
        login.into_iter().chain(parameters).collect()
    }
}

pub(super) fn wrong_scheme(schemes: &[&str]) -> Fault {
    let shapes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
    Fault::from(format!("the URL does not begin with {}", shapes.join(" or ")).as_str())
}

/// The address, without possible secrets.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn host(address: &str) -> Result<(String, Option<u16>), Fault> {
    let (host, port) = host_and_port(address).ok_or("the host or the port in the URL is not valid")?;
    Ok((decode(&host)?, port))
}

fn some(text: String) -> Option<String> {
    if text.is_empty() { None } else { Some(text) }
}

pub(super) fn decode(text: &str) -> Result<String, Fault> {
    let digits = |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(digits) {
        return Err("a `%` in a URL must be followed by two hexadecimal digits (write %25 for `%`)".into());
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "a part of the URL is not UTF-8")?;
    if decoded.contains('\0') {
        return Err("a part of the URL contains a NUL character".into());
    }
    Ok(decoded.into_owned())
}

/// Parses `host`, `host:port` or `[::1]:port`; None for any other form.
pub(crate) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::parse(url, &["http", "redis", "unix", "amqp"]).unwrap()
    }

    #[test]
    fn passwords_with_special_characters_are_decoded() {
        for (written, meant) in [
            ("plain", "plain"),
            ("p%40ss%2Fw%3Ard%25", "p@ss/w:rd%"),
            ("a:b:c", "a:b:c"),
            ("a@b", "a@b"),
            ("with+plus#hash", "with+plus#hash"),
            ("%C3%A9", "é"),
        ] {
            let found = endpoint(&format!("redis://app:{written}@db:6432/7?protocol=3"));
            assert_eq!(found.password.as_ref().unwrap().expose(), meant);
            assert_eq!((found.host.as_str(), found.port, found.path.as_str()), ("db", Some(6432), "7"));
            assert_eq!((found.user.as_deref(), found.parameter("protocol")), (Some("app"), Some("3")));
            let secret = &found.secrets()[0];
            assert!(written == meant || secret.written[0].expose() == written);
        }
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for (url, host, port) in [
            ("redis://[::1]:5433/1", "::1", Some(5433)),
            ("amqp://mq/v", "mq", None),
            ("unix:///run/redis", "", None),
        ] {
            assert_eq!((endpoint(url).host.as_str(), endpoint(url).port), (host, port), "{url}");
        }
    }

    #[test]
    fn a_problem_is_reported_without_the_url() {
        for url in [
            "mysql://u:hunter2@h/d",
            "redis://u:hunter2/x@h/1",
            "redis://u:hunter2?x@h/1",
            "redis://u:hunter2%zz@h/1",
            "redis://u:hunter2@h:port/1",
            "redis://u:hunter2@h/1?protocol=hunter2",
        ] {
            let fault = Endpoint::parse(url, &["redis"]).unwrap_err();
            assert!(!format!("{fault:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn an_unsupported_parameter_is_refused() {
        let fault = |url: &str| Endpoint::parse(url, &["redis", "rediss", "amqp", "http"]).unwrap_err();
        assert_eq!(fault("redis://h?bd=1").help.unwrap(), "did you mean `db`?");
        assert!(fault("rediss://h?ssl_cert_reqs=none").message.contains("`ssl_cert_reqs`"));
        assert_eq!(fault("amqp://h?hartbeat=1").help.unwrap(), "did you mean `heartbeat`?");
        for accepted in
            ["rediss://h?ssl_cert_reqs=required", "amqp://h?heartbeat=30", "http://h/health?deep=1"]
        {
            assert!(Endpoint::parse(accepted, &["rediss", "amqp", "http"]).is_ok(), "{accepted}");
        }
    }

    #[test]
    fn secrets_are_passwords_tokens_and_secret_parameters() {
        let values = |url: &str| -> Vec<String> {
            endpoint(url).secrets().iter().map(|secret| secret.value.expose().to_owned()).collect()
        };
        assert_eq!(values("http://t0ken@h/x?api_key=k%20ey&deep=1"), ["t0ken", "k ey"]);
        assert_eq!(values("unix:///run/r.sock?pass=hunter2"), ["hunter2"]);
        assert_eq!(values("redis://app@h/1"), [""; 0]);
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let shown = format!("{:?}", endpoint("http://me:hunter2@h:80/x?key=hunter2"));
        assert_eq!(shown, "http://h:80");
    }
}
