//! The servers of a connection: lists of hosts, addresses and ports, which belong together by position.

use super::parameters::Parameters;

const DEFAULT_PORT: u16 = 5432;

/// One server of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name, an address or the folder of a socket; empty if only the address is known.
    pub(crate) name: String,
    /// Replaces the resolution of the name (`hostaddr`).
    pub(crate) address: Option<String>,
    pub(crate) port: u16,
}

impl Host {
    /// A folder, or an abstract name, which begins with `@`.
    pub(crate) fn is_socket(&self) -> bool {
        self.name.starts_with(['/', '@']) && self.address.is_none()
    }

    /// The address or the name that is connected to.
    pub(crate) fn target(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.name.is_empty() { self.target() } else { &self.name };
        if name.contains(':') {
            write!(f, "[{name}]:{}", self.port)
        } else {
            write!(f, "{name}:{}", self.port)
        }
    }
}

/// Removes the three lists and returns the servers; None without a host.
pub(in crate::config) fn take(parameters: &mut Parameters) -> Result<Option<Vec<Host>>, String> {
    let mut list = |name: &str| -> Vec<String> {
        let text = parameters.remove(name);
        text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = names.len().max(addresses.len());
    if count == 0 {
        return Ok(None);
    }
    for (what, values) in [("`host`", &names), ("`hostaddr`", &addresses)] {
        if !values.is_empty() && values.len() != count {
            return Err(format!("{what} has {} values, but there are {count} servers", values.len()));
        }
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(format!("`port` has {} values, but there are {count} servers", ports.len()));
    }
    let hosts = (0..count).map(|at| {
        let given = |values: &[String]| values.get(at).filter(|value| !value.is_empty()).cloned();
        let (name, address) = (given(&names), given(&addresses));
        if name.is_none() && address.is_none() {
            return Err("a server in the list of hosts has no name".to_owned());
        }
        if address.as_ref().is_some_and(|address| address.parse::<std::net::IpAddr>().is_err()) {
            return Err("`hostaddr` must be a numeric address".to_owned());
        }
        let port = if ports.len() == 1 { ports.first().cloned() } else { given(&ports) };
        let port = match port.filter(|port| !port.is_empty()) {
            None => DEFAULT_PORT,
            Some(port) => {
                let port = port.trim().parse().ok().filter(|port| *port != 0);
                port.ok_or("the port of a server is not a number from 1 to 65535")?
            }
        };
        Ok(Host { name: name.unwrap_or_default(), address, port })
    });
    hosts.collect::<Result<Vec<_>, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn hosts(parts: &[(&str, &str)]) -> Result<String, String> {
        let mut parameters =
            parts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let hosts = take(&mut parameters)?.unwrap();
        assert!(parameters.is_empty());
        Ok(hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_belong_together_by_position() {
        for (parts, expected) in [
            (&[("host", "a,b"), ("port", "1,2")][..], "a:1 b:2"),
            (&[("host", "a,b"), ("port", "7")], "a:7 b:7"),
            (&[("host", "a,b"), ("port", ",2")], "a:5432 b:2"),
            (&[("host", "::1")], "[::1]:5432"),
            (&[("hostaddr", "10.0.0.1,10.0.0.2")], "10.0.0.1:5432 10.0.0.2:5432"),
            (&[("host", "/run/pg")], "/run/pg:5432"),
        ] {
            assert_eq!(hosts(parts).unwrap(), expected);
        }
        for parts in [
            &[("host", "a,b,c"), ("port", "1,2")][..],
            &[("host", "a,b"), ("hostaddr", "10.0.0.1")],
            &[("host", "a,")],
            &[("host", "a"), ("port", "0")],
            &[("host", "a"), ("port", "x")],
            &[("hostaddr", "name")],
        ] {
            assert!(hosts(parts).is_err(), "{parts:?}");
        }
    }
}
