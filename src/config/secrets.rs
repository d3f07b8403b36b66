//! Collects every secret that the configuration and the environment declare, for masking.

use super::{
    Config, Database, Password, Postgres,
    environment::Environment,
    libpq::passfile,
    secret::{KnownSecret, Secret},
    secret_names::is_secret_name,
};
use crate::files;

/// A longer file is not a password.
const LARGEST: u64 = 64 * 1024;

/// Variables whose names end in one of these are public. A password with the same value (`postgres`, for user
/// `postgres`) is not masked, because the mask would hide every mention of the name.
const PUBLIC: [&str; 6] = ["USER", "USERNAME", "NAME", "HOST", "DATABASE", "DB"];

impl Config {
    /// Each secret once: all passwords, credentials in URLs, secret values of `env`, and the environment's. A value
    /// of `env` is secret if it comes from a variable or a file, or because of its name. Reads password files.
    pub(crate) fn secrets(&self, env: &Environment) -> Vec<KnownSecret> {
        let mut secrets = of_environment(env);
        secrets.extend(self.secrets.iter().cloned());
        let mut public: Vec<&str> = Vec::new();
        if let Some(Database::Postgres(postgres)) = &self.database {
            of_files(postgres, &mut secrets, &mut public);
        }
        secrets.retain(|secret| {
            let value = secret.value.expose();
            !value.is_empty() && !public.contains(&value)
        });
        secrets.sort_unstable();
        secrets.dedup();
        secrets
    }
}

/// Variables with secret names, and passwords in variables that contain a URL.
pub(crate) fn of_environment(env: &Environment) -> Vec<KnownSecret> {
    let is_public = |name: &str| PUBLIC.iter().any(|ending| name.to_ascii_uppercase().ends_with(ending));
    let public: Vec<&str> = env
        .names()
        .filter(|name| is_public(name) && !is_secret_name(name))
        .filter_map(|name| env.get(name))
        .collect();
    let mut secrets = Vec::new();
    for name in env.names() {
        let Some(value) = env.get(name) else { continue };
        if is_secret_name(name) && !public.contains(&value) {
            secrets.push(KnownSecret::plain(value));
        }
        secrets.extend(of_url(value));
    }
    secrets
}

/// Current passwords in files; and the names of roles and databases, which are not secret.
fn of_files<'p>(postgres: &'p Postgres, secrets: &mut Vec<KnownSecret>, public: &mut Vec<&'p str>) {
    public.extend([postgres.user.as_str(), postgres.name.as_str()]);
    public.extend(postgres.hosts.iter().map(|host| host.name.as_str()));
    if let Password::File(path) = &postgres.password
        && let Ok(text) = files::read_now(path, LARGEST).and_then(files::text)
    {
        secrets.push(KnownSecret::plain(text.trim_end_matches(['\n', '\r'])));
    }
    if let (Password::None, Some(path)) = (&postgres.password, postgres.parameters.get("passfile"))
        && let Ok(lines) = passfile::read_now(path.as_ref())
    {
        secrets.extend(passfile::passwords(&lines).map(|password| KnownSecret::plain(&password)));
    }
    for other in [&postgres.direct, &postgres.reader].into_iter().flatten() {
        of_files(other, secrets, public);
    }
}

/// The password of a text that is a URL, also in its encoded form. Unencoded delimiters are part of it.
pub(super) fn of_url(text: &str) -> Option<KnownSecret> {
    let (before, rest) = text.split_once("://")?;
    if !before.chars().all(|c| c.is_ascii_alphanumeric() || "+-.=_".contains(c)) {
        return None;
    }
    let login = rest.rsplit_once('@')?.0;
    let written = login.split_once(':')?.1;
    let value = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
    let written = if value == written { Vec::new() } else { vec![Secret::new(written)] };
    Some(KnownSecret { value: Secret::new(value), written })
}
