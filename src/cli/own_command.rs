//! `portcullis run -- portcullis COMMAND`: a command of Portcullis in the place of the server, as in `docker compose run web
//! portcullis repair acme` with the entrypoint `portcullis run --`. It runs instead of the steps.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use super::{Cli, Command, Global, Run};

impl Cli {
    /// The command in the place of the server, if it is one of Portcullis. `init`, `exec` and `run --no-config` start
    /// another program, which stays behind the gate.
    pub(super) fn or_own_command(self, program: Option<&OsString>) -> Result<Self, clap::Error> {
        let Command::Run(Run { server, .. }) = &self.command else { return Ok(self) };
        if !server.first().is_some_and(|name| is_portcullis(name, program)) {
            return Ok(self);
        }
        let words: Vec<OsString> = server.iter().map(OsString::from).collect();
        let own = Self::of(&words)?;
        match &own.command {
            Command::Init(_) | Command::Exec(_) | Command::Run(Run { no_config: true, .. }) => Ok(self),
            _ => Ok(Self { global: own.global.or(self.global), ..own }),
        }
    }
}

impl Global {
    fn or(self, outer: Self) -> Self {
        Self { config: self.config.or(outer.config), role: self.role.or(outer.role), ..self }
    }
}

/// Whether the word is the program's usual name, or the name with which it was started.
fn is_portcullis(word: &str, program: Option<&OsString>) -> bool {
    let name = Path::new(word).file_name();
    name == Some(OsStr::new("portcullis"))
        || (name.is_some() && name == program.and_then(|program| Path::new(program).file_name()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn parsed(line: &str) -> Cli {
        Cli::of(&line.split(' ').map(OsString::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_command_of_portcullis_in_the_place_of_the_server_replaces_the_steps() {
        for line in [
            "/portcullis run -- portcullis verify acme",
            "/portcullis run -- /usr/bin/portcullis verify acme",
            "/entrypoint run -- /entrypoint verify acme",
            "/portcullis run -- portcullis run -- portcullis verify acme",
        ] {
            assert!(matches!(parsed(line).command, Command::Verify(_)), "{line}");
        }
        let inherited = parsed("portcullis --config a.toml --role worker run -- portcullis verify");
        assert_eq!(inherited.global.config, Some("a.toml".into()));
        assert_eq!(inherited.global.role.as_deref(), Some("worker"));
        let own = parsed("portcullis --config a.toml run -- portcullis --config b.toml verify");
        assert_eq!(own.global.config, Some("b.toml".into()));
    }

    #[test]
    fn a_program_that_portcullis_starts_stays_behind_the_gate() {
        for line in [
            "portcullis run -- gunicorn portcullis",
            "portcullis run -- portcullis init -- gunicorn",
            "portcullis run -- portcullis exec -- gunicorn",
            "portcullis run -- portcullis run --no-config -- gunicorn",
        ] {
            let Command::Run(run) = parsed(line).command else { panic!("{line}") };
            assert!(!run.no_config && !run.server.is_empty(), "{line}");
        }
    }
}
