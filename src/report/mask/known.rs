//! The values to mask: the secrets of the configuration and the environment, except for names and settings.

use std::collections::BTreeSet;

use crate::config::{
    Config,
    environment::Environment,
    secret::{KnownSecret, learned as learned_secrets},
    secret_names::is_secret_name,
    secrets::of_environment,
};
use crate::ordered::Ordered;

/// The maximum length of a name that may also be used as a password.
const LONGEST_NAME: usize = 16;

/// The values, also in their original spelling.
pub(super) fn secrets(env: &Environment, config: Option<&Config>) -> Vec<String> {
    let declared = config.map_or_else(|| of_environment(env), |config| config.secrets(env));
    // `postgres:postgres` is not a secret, and masking it would hide the user name.
    let names: BTreeSet<&str> = env
        .names()
        .filter(|name| !is_secret_name(name))
        .filter_map(|name| env.get(name))
        .filter(|value| is_name(value))
        .into_set();
    let values =
        declared.into_iter().flat_map(|KnownSecret { value, written }| [vec![value], written].concat());
    let mut values: Vec<String> = values
        .map(|value| value.expose().to_owned())
        .filter(|value| !names.contains(value.as_str()) && !is_setting(value))
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// The secrets that became known later, except for names and settings.
pub(super) fn learned(env: &Environment) -> Vec<String> {
    let mut values: Vec<String> = learned_secrets().iter().map(|secret| secret.expose().to_owned()).collect();
    let is_name = |value: &str| {
        is_name(value) && env.names().any(|name| !is_secret_name(name) && env.get(name) == Some(value))
    };
    values.retain(|value| !is_name(value) && !is_setting(value));
    values
}

/// Whether the value looks like the name of a user, a database or a host.
fn is_name(value: &str) -> bool {
    value.len() <= LONGEST_NAME && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whether the value is a setting, such as that of `TOKEN_CHECK`.
fn is_setting(value: &str) -> bool {
    let word = value.to_ascii_lowercase();
    matches!(
        word.as_str(),
        "true" | "false" | "none" | "null" | "enabled" | "disabled" | "optional" | "required"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_two_variables_is_listed_once_and_a_users_name_is_not_a_secret() {
        let env = Environment::from([
            ("DB_PASSWORD", "correct-horse"),
            ("PGPASSWORD", "correct-horse"),
            ("PGUSER", "postgres"),
            ("POSTGRES_PASSWORD", "postgres"),
            ("API_TOKEN", "hunter"),
            ("NOTE", "correct-horse"),
            ("DB_PASSWORD_FILE", "/run/secrets/db"),
            ("TOKEN_CHECK", "true"),
            ("BROKER_URL", "amqp://me:p%40ss@broker/"),
        ]);
        assert_eq!(secrets(&env, None), ["correct-horse", "hunter", "p%40ss", "p@ss"]);
    }
}
