//! The command line with which the reader can run a command of Portcullis: the program's name, `--config`, and the words that
//! start a container.

use std::{ffi::OsString, path::Path, sync::OnceLock};

use crate::config::environment::Environment;

/// The words before a command, as in `docker compose run --rm web`.
const RUN_WITH: &str = "PORTCULLIS_RUN_WITH";

static INVOCATION: OnceLock<Invocation> = OnceLock::new();

#[derive(Debug, PartialEq, Eq)]
struct Invocation {
    /// Everything before the subcommand.
    words: String,
    /// A command runs in a new container of the image, or in a running one.
    in_container: bool,
}

impl Invocation {
    fn new(env: &Environment, program: Option<&OsString>, config: Option<&Path>) -> Self {
        let program = program.and_then(|program| program.to_str()).filter(|program| !program.is_empty());
        let mut words = quoted(program.unwrap_or("portcullis"));
        if let Some(prefix) = env.get(RUN_WITH) {
            words = format!("{} {words}", prefix.trim());
        }
        if let Some(config) = config.and_then(Path::to_str) {
            words = format!("{words} --config {}", quoted(config));
        }
        Self { words, in_container: env.get(RUN_WITH).is_some() }
    }

    fn command_line(&self, line: &str) -> String {
        match line.strip_prefix("portcullis ") {
            Some(rest) => format!("{} {rest}", self.words),
            None => line.to_owned(),
        }
    }
}

/// Remembers how this process was started.
pub(crate) fn started_with(env: &Environment, program: Option<&OsString>, config: Option<&Path>) {
    let _ = INVOCATION.set(Invocation::new(env, program, config));
}

/// The line as the reader can paste it; a line of another program stays unchanged.
pub(super) fn command_line(line: &str) -> String {
    INVOCATION.get().map_or_else(|| line.to_owned(), |invocation| invocation.command_line(line))
}

/// Whether a file that a command writes does not get into the image.
pub(super) fn in_container() -> bool {
    INVOCATION.get().is_some_and(|invocation| invocation.in_container)
}

/// The word, quoted for a POSIX shell.
pub(super) fn quoted(word: &str) -> String {
    let is_option = word.starts_with("--");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@+%".contains(c) || c == '=' && is_option;
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_where_the_reader_is() {
        let line = |env: &Environment, program: &str, config: Option<&str>| {
            let program = OsString::from(program);
            Invocation::new(env, Some(&program), config.map(Path::new)).command_line("portcullis repair acme")
        };
        let shell = Environment::default();
        assert_eq!(line(&shell, "portcullis", None), "portcullis repair acme");
        assert_eq!(line(&shell, "", None), "portcullis repair acme");
        assert_eq!(
            line(&shell, "/opt/my tools/portcullis", Some("a b.toml")),
            "'/opt/my tools/portcullis' --config 'a b.toml' repair acme"
        );
        let compose = Environment::from([("PORTCULLIS_RUN_WITH", "docker compose run --rm web ")]);
        assert_eq!(
            line(&compose, "/portcullis", None),
            "docker compose run --rm web /portcullis repair acme"
        );
        let pod = Environment::from([(
            "PORTCULLIS_RUN_WITH",
            "kubectl debug web-1 --copy-to=web-1-repair --container=web -it --",
        )]);
        assert_eq!(
            line(&pod, "/portcullis", None),
            "kubectl debug web-1 --copy-to=web-1-repair --container=web -it -- /portcullis repair acme"
        );
        assert_eq!(
            ["--domain=a.b", "a b", "=x", "a=b"].map(quoted),
            ["--domain=a.b", "'a b'", "'=x'", "'a=b'"]
        );
        let own = Invocation::new(&compose, None, None);
        assert_eq!(own.command_line("SELECT 1"), "SELECT 1");
    }
}
