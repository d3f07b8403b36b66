//! libpq's way to describe a connection: parameters, variables, URLs, service files and the password file.

mod home;
pub(crate) mod hosts;
mod parameters;
pub(crate) mod passfile;
mod service;
mod url;

pub(crate) use self::parameters::Parameters;
pub(super) use self::{
    parameters::{SSL_MODES, check},
    url::parse,
};
use super::environment::Environment;
use crate::files;

/// libpq's keyword for the certificates that the operating system trusts.
pub(crate) const SYSTEM_ROOTS: &str = "system";

/// Files in the home directory that libpq uses if they exist.
const DEFAULT_FILES: [(&str, &str); 4] = [
    ("passfile", ".pgpass"),
    ("sslrootcert", ".postgresql/root.crt"),
    ("sslcert", ".postgresql/postgresql.crt"),
    ("sslkey", ".postgresql/postgresql.key"),
];

/// In the home directory, too; libpq uses it with the trusted certificates.
const REVOCATION_LIST: &str = ".postgresql/root.crl";

/// Adds what the service file, the variables and the home directory give, in libpq's order.
pub(super) fn complete(mut parameters: Parameters, env: &Environment) -> Result<Parameters, String> {
    service::fill(&mut parameters, env)?;
    for parameter in parameters::PARAMETERS {
        let Some(variable) = parameter.variable else { continue };
        if let (false, Some(value)) = (parameters.contains_key(parameter.name), env.get(variable)) {
            check(parameter.name, value, &format!("variable `{variable}`"))?;
            parameters.insert(parameter.name.into(), value.into());
        }
    }
    if parameters.get("sslrootcert").is_some_and(|roots| roots == SYSTEM_ROOTS) {
        let mode = parameters.entry("sslmode".into()).or_insert_with(|| "verify-full".into());
        if mode != "verify-full" {
            return Err("`sslrootcert = \"system\"` needs `sslmode = \"verify-full\"`".into());
        }
    }
    if let Some(home) = home::home(env) {
        for (name, file) in DEFAULT_FILES {
            let path = home.join(file);
            if files::metadata_now(&path).is_ok() {
                parameters.entry(name.into()).or_insert_with(|| path.display().to_string());
            }
        }
        let revoked = home.join(REVOCATION_LIST);
        let verifies = parameters.contains_key("sslrootcert")
            && parameters.get("sslmode").is_none_or(|mode| mode != "disable");
        if verifies && files::metadata_now(&revoked).is_ok() {
            check("sslcrl", REVOCATION_LIST, &format!("file `{}`", revoked.display()))?;
        }
    }
    Ok(parameters)
}
