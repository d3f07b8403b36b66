//! Parses a `postgres://` URL as libpq does: credentials end at the first `@`, and several hosts are separated by
//! commas. No message contains any part of the URL except for the name of a parameter: the rest may be a password.

use percent_encoding::percent_decode_str;

use super::{Parameters, check};
use crate::config::{
    secret::{KnownSecret, Secret},
    secret_names::is_secret_name,
    url::{Fault, decode},
};

/// The parameters of a URL without its scheme, and its secrets.
pub(in crate::config) fn parse(rest: &str) -> Result<(Parameters, Vec<KnownSecret>), Fault> {
    let mut parsed = Parsed::default();
    let rest = match rest.find(['@', '/']) {
        Some(end) if rest.get(end..).is_some_and(|end| end.starts_with('@')) => {
            let (login, rest) = rest.split_at(end);
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            parsed.set("user", user)?;
            parsed.set("password", password)?;
            rest.get(1..).unwrap_or_default()
        }
        _ => rest,
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (hosts, name) = place.split_once('/').unwrap_or((place, ""));
    if hosts.contains('@') || name.contains(['/', '@']) {
        return Err(DELIMITERS.into());
    }
    let hosts = hosts.split(',').map(host).collect::<Result<Vec<_>, _>>()?;
    let (hosts, ports): (Vec<_>, Vec<_>) = hosts.into_iter().unzip();
    parsed.set("host", &hosts.join(","))?;
    if ports.iter().any(|port| !port.is_empty()) {
        parsed.set("port", &ports.join(","))?;
    }
    parsed.set("dbname", name)?;
    let query = query.strip_suffix('&').filter(|rest| !rest.is_empty()).unwrap_or(query);
    for pair in query.split('&').filter(|_| !query.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or("a parameter of the URL has no value")?;
        if value.contains('=') {
            return Err("`=` inside a parameter of the URL must be written %3D".into());
        }
        match (decode(name)?.as_str(), value) {
            // JDBC's parameter, as in libpq.
            ("ssl", "true") => parsed.set("sslmode", "require")?,
            (name, value) => parsed.set(name, value)?,
        }
    }
    Ok((parsed.parameters, parsed.secrets))
}

const DELIMITERS: &str = "`/`, `?` and `@` inside a part of a URL must be written %2F, %3F and %40";

#[derive(Default)]
struct Parsed {
    parameters: Parameters,
    secrets: Vec<KnownSecret>,
}

impl Parsed {
    /// A later value replaces an earlier one.
    fn set(&mut self, name: &str, written: &str) -> Result<(), Fault> {
        let value = decode(written)?;
        if is_secret_name(name) && name != "passfile" {
            let written = if value == written { vec![] } else { vec![Secret::new(written)] };
            self.secrets.push(KnownSecret { value: Secret::new(value.as_str()), written });
        }
        if let Err(message) = check(name, &value, &format!("parameter `{name}` of the URL")) {
            let known = super::parameters::PARAMETERS.iter().any(|known| known.name == name);
            return Err(match message.split_once(": did") {
                // An unknown name may be a part of a password.
                help if !known => Fault {
                    message: "the URL has an unknown parameter".into(),
                    parameter: Some(name.to_owned()),
                    help: help.map(|(_, near)| format!("did{near}")),
                },
                _ => Fault::from(message.as_str()),
            });
        }
        if value.is_empty() {
            self.parameters.remove(name);
        } else {
            self.parameters.insert(name.to_owned(), value);
        }
        Ok(())
    }
}

/// A name, an address (also in brackets) or the folder of a socket, and its port.
fn host(text: &str) -> Result<(&str, &str), Fault> {
    let wrong = "the host or the port in the URL is not valid";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(wrong)?;
            let address = percent_decode_str(host).decode_utf8().map_err(|_| wrong)?;
            // A zone (`fe80::1%25eth0`) is not part of the address.
            let address = address.split('%').next().unwrap_or_default().parse::<std::net::IpAddr>();
            address.map_err(|_| wrong)?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok((host, port)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok((host, port)),
        _ => Err(wrong.into()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_url_has_the_parts_that_libpq_finds() {
        for (url, parts) in [
            (
                "app:p%40ss%2Fw%3Ard%25@db:6432/shop?sslmode=require",
                "dbname=shop host=db password=p@ss/w:rd% port=6432 sslmode=require user=app",
            ),
            ("app:a:b?c#d+e@db", "host=db password=a:b?c#d+e user=app"),
            ("a,b:2,[::1]:3/d", "dbname=d host=a,b,::1 port=,2,3"),
            ("%2Frun%2Fpg/d", "dbname=d host=/run/pg"),
            ("/d?host=/run/pg&port=6", "dbname=d host=/run/pg port=6"),
            (
                "h/d?user=u&password=p%26&dbname=e&ssl=true",
                "dbname=e host=h password=p& sslmode=require user=u",
            ),
            ("h/d?sslcrl=", "dbname=d host=h"),
            ("[10.0.0.1]:5/d", "dbname=d host=10.0.0.1 port=5"),
        ] {
            let (found, _) = parse(url).unwrap();
            let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(found.join(" "), parts, "{url}");
        }
    }

    #[test]
    fn a_problem_is_reported_without_the_url() {
        for url in [
            "u:hunter2/x@h/d",
            "u:hunter2@h@i/d",
            "u:hunter2%zz@h/d",
            "u:hunter2@h:port/d",
            "u:hunter2@[::g]/d",
            "u:hunter2@h/d?sslmode=sometimes",
            "u:hunter2@h/d?sslpassword=hunter2",
            "u:hunter2@h/d?sslmod=hunter2",
            "u:hunter2@h/d?sslmode",
            "u@h/d?password=hunter2=",
        ] {
            let fault = parse(url).unwrap_err();
            assert!(!format!("{fault:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn a_password_is_known_in_both_of_its_forms() {
        let (_, secrets) = parse("u:p%40@h/d?password=q%26").unwrap();
        let known: Vec<_> = secrets.iter().map(|one| (one.value.expose(), one.written[0].expose())).collect();
        assert_eq!(known, [("p@", "p%40"), ("q&", "q%26")]);
    }
}
