//! Finds a password in a password file (`.pgpass`): `host:port:database:user:password`, one per line.

use std::{os::unix::fs::MetadataExt, path::Path};

use super::hosts::Host;
use crate::{config::secret::Secret, files};

const MAX_SIZE: u64 = 1 << 20;

/// The folders of local sockets, for which a line has the host `localhost`.
const SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The lines of the file; empty if it does not exist. As in libpq, a file that other users can read is not used: the error
/// is the reason.
pub(crate) fn read_now(path: &Path) -> Result<String, String> {
    let unusable = |why: &str| format!("the password file `{}` is not used: {why}", path.display());
    let Ok(metadata) = files::metadata_now(path) else { return Ok(String::new()) };
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(unusable("other users can read it, so change its mode to 0600"));
    }
    let text = files::read_now(path, MAX_SIZE).and_then(files::text);
    text.map_err(|error| unusable(&error.to_string()))
}

/// The password of the first line for this login.
pub(crate) fn password(lines: &str, host: &Host, name: &str, user: &str) -> Option<Secret> {
    let target = match host.target() {
        _ if !host.name.is_empty() && !SOCKET_FOLDERS.contains(&host.name.as_str()) => &host.name,
        _ if host.name.is_empty() => host.target(),
        _ => "localhost",
    };
    let port = host.port.to_string();
    lines.lines().find_map(|line| {
        let mut fields = fields(line)?;
        let password = fields.pop()?;
        let expected = [target, &port, name, user];
        let is_same = |(field, expected): (&String, &str)| field == "*" || unescape(field) == expected;
        (fields.len() == 4 && fields.iter().zip(expected).all(is_same))
            .then(|| Secret::new(unescape(&password)))
    })
}

/// All passwords of the file, for masking.
pub(in crate::config) fn passwords(lines: &str) -> impl Iterator<Item = String> {
    lines.lines().filter_map(|line| fields(line)?.pop().map(|password| unescape(&password)))
}

/// Five fields, of which the last one may contain colons. A backslash escapes a colon or a backslash.
fn fields(line: &str) -> Option<Vec<String>> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut escaped = false;
    for c in line.chars() {
        if c == ':' && !escaped && fields.len() < 5 {
            fields.push(String::new());
        } else {
            fields.last_mut()?.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    (fields.len() == 5).then_some(fields)
}

fn unescape(field: &str) -> String {
    let mut chars = field.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_login_has_the_password() {
        let file = "# db:*:*:*:comment\n\
            other:5432:shop:app:wrong\n\
            db:5432:shop:a\\:b:colon\n\
            db:5432:shop:app:pa\\:ss\\\\word:end\n\
            ::1:5432:shop:app:wrong\n\
            localhost:*:*:*:socket\n\
            *:6432:*:app:\n\
            *:*:*:*:any\n";
        let find = |name: &str, port, user| {
            let host = Host { name: name.into(), address: None, port };
            password(file, &host, "shop", user).map(|secret| secret.expose().to_owned())
        };
        for (host, port, user, found) in [
            ("db", 5432, "app", "pa:ss\\word:end"),
            ("db", 5432, "a:b", "colon"),
            ("db", 5432, "x", "any"),
            ("db", 6432, "app", ""),
            ("/run/postgresql", 5432, "app", "socket"),
            ("/elsewhere", 5432, "app", "any"),
        ] {
            assert_eq!(find(host, port, user).as_deref(), Some(found), "{host} {port} {user}");
        }
        let host = Host { name: String::new(), address: Some("10.0.0.1".into()), port: 1 };
        assert_eq!(
            password("10.0.0.1:1:d:u:p\n", &host, "d", "u").map(|one| one.expose().to_owned()),
            Some("p".into())
        );
    }
}
