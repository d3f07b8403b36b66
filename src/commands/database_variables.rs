//! The variables that give a project's database, and the table `[database]` that refers to them.

use std::collections::BTreeSet;

use crate::{
    config::{Config, environment::Environment, load},
    failure::Failure,
    ordered::Ordered,
};

/// A URL.
pub(super) const URL: &str = "DATABASE_URL";
/// The variables of a database that is given in parts: the prefix, and the ends of host, port, name, user, password.
const PARTS: [(&str, [&str; 5]); 4] = [
    ("DB_", ["HOST", "PORT", "NAME", "USER", "PASSWORD"]),
    ("POSTGRES_", ["HOST", "PORT", "DB", "USER", "PASSWORD"]),
    ("DATABASE_", ["HOST", "PORT", "NAME", "USER", "PASSWORD"]),
    ("PG", ["HOST", "PORT", "DATABASE", "USER", "PASSWORD"]),
];

/// The words of a text that can be names of variables.
pub(super) fn of_text(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c: char| !is_part(c)).into_set()
}

/// The configuration of the database that the environment gives, and the variable that gives it.
pub(super) fn of_environment(env: &Environment) -> Result<Option<(String, Config)>, Failure> {
    let parts = PARTS.iter().map(|(prefix, ends)| format!("{prefix}{}", ends[0]));
    let mut names = std::iter::once(URL.to_owned()).chain(parts);
    let Some(name) = names.find(|name| env.get(name).is_some()) else { return Ok(None) };
    let text = table(&BTreeSet::from([name.as_str()]));
    Ok(Some((name, load::of_environment(&text, env)?)))
}

/// The configuration of the database with this URL.
pub(super) fn of_url(url: &str, env: &Environment) -> Result<Config, Failure> {
    load::of_environment("[database]\nurl = \"${DATABASE_URL:?}\"\n", &env.with(URL, url))
}

pub(super) fn has_database(variables: &BTreeSet<&str>) -> bool {
    variables.contains(URL) || parts(variables).is_some()
}

fn parts<'p>(variables: &BTreeSet<&str>) -> Option<&'p (&'static str, [&'static str; 5])> {
    PARTS.iter().find(|(prefix, ends)| variables.contains(&*format!("{prefix}{}", ends[0])))
}

pub(super) fn table(variables: &BTreeSet<&str>) -> String {
    let mut text = "\n[database]\n# The defaults are for a database on this machine. `${NAME:?}` makes a missing variable an error.\n"
        .to_owned();
    match parts(variables).filter(|_| !variables.contains(URL)) {
        None => text += "url = \"${DATABASE_URL:-postgres://postgres@localhost/postgres}\"\n",
        Some((prefix, ends)) => {
            let defaults = ["localhost", "5432", "postgres", "postgres", ""];
            for ((key, end), default) in
                ["host", "port", "name", "user", "password"].iter().zip(ends).zip(defaults)
            {
                text += &format!("{key} = \"${{{prefix}{end}:-{default}}}\"\n");
            }
            text += "# A password in a file: password = { file = \"/run/secrets/db_password\" }\n";
        }
    }
    text
}
