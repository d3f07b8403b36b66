//! Takes passwords out of what is printed: a child may print what it was given.

use crate::config::{
    Action, Awaited, Config, Database, Postgres, environment::Environment, secret::Password,
};

const MASK: &str = "********";
/// A shorter value would take too many innocent words with it.
const SHORTEST: usize = 8;
/// A variable whose name holds one of these holds a secret.
const SECRET_NAMES: [&str; 5] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "CREDENTIAL"];

/// What must not be printed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// Knows no secret, and so takes out only what stands in URLs.
    pub(crate) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The configuration's secrets, and those of the environment by their names.
    pub(crate) fn new(config: &Config, env: &Environment) -> Self {
        let of_env =
            env.names().filter(|name| is_secret(name)).filter_map(|name| env.get(name)).map(str::to_owned);
        // A password that is also somebody's name (postgres:postgres) hides nothing and would blot out the name.
        let named = |value: &String| env.names().filter(|name| env.get(name) == Some(value)).count() > 1;
        let values = of_env.filter(|value| !named(value)).chain(of_config(config));
        let mut known: Vec<String> =
            values.filter(|value| value.len() >= SHORTEST).flat_map(spellings).collect();
        // The longest first: one secret may begin with another.
        known.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        known.dedup();
        Self(known)
    }

    /// The text without the known secrets, and without credentials in URLs.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut text = mask_urls(text);
        for value in &self.0 {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
        }
        text
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // Of a file that holds it, the name is no secret.
    !name.ends_with("_FILE") && SECRET_NAMES.iter().any(|word| name.contains(word))
}

/// Passwords that the file gives, wherever they came from. One in a file of its own may rotate: it is not read here.
fn of_config(config: &Config) -> Vec<String> {
    let mut secrets = Vec::new();
    if let Some(Database::Postgres(postgres)) = &config.database {
        of_postgres(postgres, &mut secrets);
    }
    for step in &config.steps {
        match &step.action {
            Action::Wait(wait) => match &wait.what {
                Awaited::Http { url, .. } | Awaited::Redis { url } | Awaited::Amqp { url } => {
                    secrets.extend(url.secrets().into_iter().flat_map(|secret| {
                        let written = secret.written.into_iter();
                        written.chain([secret.value]).map(|secret| secret.expose().to_owned())
                    }));
                }
                Awaited::Tcp { .. } | Awaited::Database | Awaited::File { .. } => {}
            },
            Action::Command(command) => {
                let named = command.env.iter().filter(|(name, _)| is_secret(name));
                secrets.extend(named.map(|(_, value)| value.expose().to_owned()));
            }
            Action::Sql { .. } | Action::Migrate(_) | Action::Bootstrap { .. } | Action::Verify(_) => {}
        }
    }
    secrets
}

fn of_postgres(postgres: &Postgres, secrets: &mut Vec<String>) {
    if let Password::Given(password) = &postgres.password
        && password.expose() != postgres.user
    {
        secrets.push(password.expose().to_owned());
    }
    for other in [&postgres.direct, &postgres.reader].into_iter().flatten() {
        of_postgres(other, secrets);
    }
}

/// The value as text, as JSON and as HTML have it.
fn spellings(value: String) -> Vec<String> {
    let json = serde_json::Value::from(value.as_str()).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let html = super::page::escape(&value);
    vec![value, json, html]
}

/// In `scheme://user:password@host`, the password.
fn mask_urls(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked += before;
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'<>`".contains(c)).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => masked += &format!("{user}:{MASK}@{host}"),
            None => masked += authority,
        }
        rest = tail;
    }
    masked + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked_and_nothing_else() {
        let mask = Mask::default();
        for (text, shown) in [
            (
                "connect postgres://app:hunter2@db:5432/x failed",
                "connect postgres://app:********@db:5432/x failed",
            ),
            ("redis://:p:w@h/0 and amqp://a:b@c", "redis://:********@h/0 and amqp://a:********@c"),
            ("see https://example.org/a:b@c", "see https://example.org/a:b@c"),
            ("postgres://app@db/x", "postgres://app@db/x"),
            ("12:30 a@b", "12:30 a@b"),
        ] {
            assert_eq!(mask.apply(text), shown);
        }
    }

    #[test]
    fn a_variable_is_secret_by_its_name() {
        for (name, secret) in
            [("DB_PASSWORD", true), ("api_token", true), ("DB_PASSWORD_FILE", false), ("DB_HOST", false)]
        {
            assert_eq!(is_secret(name), secret, "{name}");
        }
    }

    #[test]
    fn a_known_secret_is_masked_in_every_spelling() {
        let mask = Mask(spellings("hunter\"2<3".into()));
        for text in ["hunter\"2<3", "hunter\\\"2<3", "hunter&quot;2&lt;3"] {
            assert_eq!(mask.apply(text), MASK);
        }
    }
}
