//! Reads a connection service file (`pg_service.conf`).

use std::{io, path::PathBuf};

use super::{
    home::home,
    parameters::{PARAMETERS, Parameters, check},
};
use crate::{config::environment::Environment, files};

const MAX_SIZE: u64 = 1 << 20;

/// The system's files: upstream's and Debian's.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc", "/etc/postgresql-common"];

/// Adds the parameters of the service that is named, unless they are given.
pub(super) fn fill(parameters: &mut Parameters, env: &Environment) -> Result<(), String> {
    let given = |name: &str, variable: &str| {
        parameters.get(name).cloned().or_else(|| env.get(variable).map(str::to_owned))
    };
    let Some(service) = given("service", "PGSERVICE") else { return Ok(()) };
    let named = given("servicefile", "PGSERVICEFILE").map(PathBuf::from);
    let personal = named.clone().or_else(|| home(env).map(|home| home.join(".pg_service.conf")));
    let system = match env.get("PGSYSCONFDIR") {
        Some(folder) => vec![PathBuf::from(folder)],
        None => SYSTEM_FOLDERS.map(PathBuf::from).to_vec(),
    };
    let files = personal.into_iter().chain(system.into_iter().map(|folder| folder.join("pg_service.conf")));
    for path in files {
        let shown = path.display();
        let text = match files::read_now(&path, MAX_SIZE).and_then(files::text) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.as_ref() != Some(&path) => {
                continue;
            }
            Err(error) => return Err(format!("cannot read the service file `{shown}`: {error}")),
        };
        let found = section(&text, &service).map_err(|why| format!("the service file `{shown}`: {why}"))?;
        if let Some(found) = found {
            for (name, value) in found {
                parameters.entry(name).or_insert(value);
            }
            return Ok(());
        }
    }
    Err(format!("the service `{service}` is in no service file: set PGSERVICEFILE to the path of the file"))
}

/// The parameters of one section; None if the file does not have it. The first value of a parameter counts.
fn section(text: &str, service: &str) -> Result<Option<Parameters>, String> {
    let mut found: Option<Parameters> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            found =
                title.strip_prefix(service).filter(|rest| rest.starts_with(']')).map(|_| Parameters::new());
        } else if let Some(found) = &mut found {
            let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with("ldap")) else {
                return Err(format!("line {number} is not `parameter=value`"));
            };
            if name == "service" || name == "servicefile" {
                return Err(format!("line {number} names another service"));
            }
            if !PARAMETERS.iter().any(|known| known.name == name) {
                return Err(format!("line {number} has an unknown parameter"));
            }
            check(name, value, &format!("parameter `{name}` in line {number}"))?;
            if !value.is_empty() {
                found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::section;

    const FILE: &str = "# comment\n[other]\nhost=wrong\n\n[shop]\nhost=db\n port=6432 \nhost=second\n# user=none\npassword=a=b\n[later]\nnonsense\n";

    #[test]
    fn a_section_ends_at_the_next_title_and_the_first_value_counts() {
        let found = section(FILE, "shop").unwrap().unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, ["host=db", "password=a=b", "port=6432"]);
        assert!(section(FILE, "sho").unwrap().is_none());
        assert_eq!(section(FILE, "later").unwrap_err(), "line 12 is not `parameter=value`");
        assert!(section("[a]\nservice=b\n", "a").is_err());
        assert!(section("[a]\nhots=b\n", "a").is_err());
        assert!(section("[a]\nldap://x\n", "a").is_err());
    }
}
