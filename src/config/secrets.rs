//! Every secret that the configuration and the environment declare, for whoever must not print one.

use super::{
    Action, Awaited, Config, Database, Postgres, Source,
    environment::Environment,
    secret::{Password, Secret},
    secret_names::is_secret_name,
};

/// A secret, and how it is written elsewhere than as itself: percent-encoded in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KnownSecret {
    pub(crate) value: Secret,
    pub(crate) written: Vec<Secret>,
}

impl KnownSecret {
    pub(super) fn plain(value: &str) -> Self {
        Self { value: Secret::new(value), written: Vec::new() }
    }
}

impl Config {
    /// Each declared secret once: passwords, credentials in URLs, variables and values of `env` by their names.
    /// A value that a variable with an innocent name (`PGUSER`, `DB_NAME`, ...) also has is no secret.
    pub(crate) fn secrets(&self, env: &Environment) -> Vec<KnownSecret> {
        let mut secrets = of_environment(env);
        if let Some(Database::Postgres(postgres)) = &self.database {
            of_postgres(postgres, &mut secrets);
        }
        let apply = self.migrations.as_ref().and_then(|migrations| match &migrations.source {
            Source::External(project) => Some(&project.env),
            Source::Sql { .. } => None,
        });
        let commands = self.steps.iter().filter_map(|step| match &step.action {
            Action::Command(command) => Some(&command.env),
            _ => None,
        });
        for (name, value) in apply.into_iter().chain(commands).flatten() {
            if is_secret_name(name) {
                secrets.push(KnownSecret::plain(value.expose()));
            }
            secrets.extend(of_url(value.expose()));
        }
        for step in &self.steps {
            if let Action::Wait(wait) = &step.action
                && let Awaited::Http { url, .. } | Awaited::Redis { url } | Awaited::Amqp { url } = &wait.what
            {
                secrets.extend(url.secrets());
            }
        }
        secrets.retain(|secret| !secret.value.expose().is_empty());
        secrets
    }
}

/// Variables whose names say so, and passwords in variables that hold a URL.
pub(crate) fn of_environment(env: &Environment) -> Vec<KnownSecret> {
    let mut secrets = Vec::new();
    for name in env.names() {
        let Some(value) = env.get(name) else { continue };
        if is_secret_name(name) {
            secrets.push(KnownSecret::plain(value));
        }
        secrets.extend(of_url(value));
    }
    secrets
}

fn of_postgres(postgres: &Postgres, secrets: &mut Vec<KnownSecret>) {
    if let Password::Given(password) = &postgres.password
        && password.expose() != postgres.user
    {
        secrets.push(KnownSecret::plain(password.expose()));
    }
    for other in [&postgres.direct, &postgres.reader].into_iter().flatten() {
        of_postgres(other, secrets);
    }
}

/// The password of a URL, also as it is written there.
fn of_url(text: &str) -> Option<KnownSecret> {
    let rest = text.split_once("://")?.1;
    let login = rest.rsplit_once('@')?.0;
    let written = login.split_once(':')?.1;
    let value = percent_encoding::percent_decode_str(written).decode_utf8_lossy();
    Some(KnownSecret { value: Secret::new(value), written: vec![Secret::new(written)] })
}
