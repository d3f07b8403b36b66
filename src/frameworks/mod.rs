//! The frameworks whose migrations Portcullis knows. Each is a file that implements [`Framework`], and a line in [`ALL`].

mod ask;
mod channel;
pub(crate) mod django;
mod migrate;
mod program;
mod replay;
pub(crate) mod sql;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub(crate) use self::{
    migrate::{Ending, MigrateError, Migrating},
    program::{Line, run as run_program, run_command, words},
    replay::Replay,
};
use crate::{
    config::{self, Migrations, Source},
    failure::Failure,
    process::Processes,
    tenants::{
        ledger::Ledger,
        manifest::{FORMAT, Manifest},
    },
};

pub(crate) const ALL: [&dyn Framework; 2] = [&sql::Sql, &django::Django];

/// One framework. `sql` is applied by Portcullis itself; every other has a program of its own.
pub(crate) trait Framework: fmt::Debug + Sync {
    /// As the configuration and `portcullis manifest` name it.
    fn name(&self) -> &'static str;

    /// The rules of its releases, of which each manifest names one.
    fn ledgers(&self) -> &'static [&'static dyn Ledger];

    /// The command that makes the manifest.
    fn make(&self) -> &'static str;

    /// How its own program is used; None if Portcullis applies the migrations itself.
    fn external(&self) -> Option<&'static dyn External> {
        None
    }
}

/// A framework that applies its migrations with a program of its own.
pub(crate) trait External: fmt::Debug + Sync {
    fn about(&self) -> About;

    /// Why the manifest no longer matches the migrations on disk, if it does not. Reads files and starts nothing.
    fn staleness(&self, manifest: &Manifest, project: &config::Project) -> Option<String>;

    /// The program that writes the manifest into the file `answer`.
    fn ask(&self, project: &config::Project, answer: &str) -> Result<Vec<String>, Failure>;

    /// The program that applies what is pending to these schemas, one after the other, and says on its channel how far it
    /// is. Each is `shared` or `tenant:NAME`, and named so on the channel.
    fn migrate(
        &self,
        project: &config::Project,
        schemas: &[String],
        ending: Ending,
    ) -> Result<Vec<String>, Failure>;

    /// The program that runs one app's migrations again for one tenant, in one transaction.
    fn replay(&self, project: &config::Project, replay: &Replay<'_>) -> Result<Vec<String>, Failure>;

    /// What a line that the framework's own command prints says of where it is.
    fn read_line<'a>(&self, line: &'a str) -> Option<Progress<'a>>;

    /// The places in the project's code that create tenants. `commands` are the words of the commands that the configuration
    /// creates tenants with.
    fn creations(&self, folder: &Path, commands: &[String]) -> Result<Vec<Creation>, String>;
}

/// Facts of a framework, for messages and for its program's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    pub(crate) title: &'static str,
    pub(crate) interpreter: &'static str,
    /// Variables that its program gets.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// What a project lacks whose manifest knows no table of tenants.
    pub(crate) registry: &'static str,
    /// How an app's tables come into the tenants' schemas.
    pub(crate) tenant_apps: &'static str,
}

/// Which migration a framework's program is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress<'a> {
    Applying(&'a str),
    Applied(&'a str),
}

/// A place in a project's code that creates tenants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Creation {
    pub(crate) file: PathBuf,
    /// From 1.
    pub(crate) line: usize,
    /// Its file calls Portcullis or migrates explicitly, or is a command that Portcullis itself calls and judges.
    pub(crate) migrates: bool,
}

/// A project whose framework applies the migrations, and what its program is started with.
#[derive(Clone, Copy)]
pub(crate) struct Project<'a> {
    pub(crate) framework: &'static dyn External,
    pub(crate) make: &'static str,
    settings: &'a config::Project,
    processes: &'a Processes,
    /// The run's identifier, by which the database knows its sessions.
    run: &'a str,
}

impl<'a> Project<'a> {
    pub(crate) fn new(
        settings: &'a config::Project,
        processes: &'a Processes,
        run: &'a str,
    ) -> Result<Self, Failure> {
        let unknown =
            || Failure::Internal { what: format!("no program of `{}` is known", settings.framework) };
        let framework = named(settings.framework).ok_or_else(unknown)?;
        let external = framework.external().ok_or_else(unknown)?;
        Ok(Self { framework: external, make: framework.make(), settings, processes, run })
    }
}

/// The framework whose migrations these are.
pub(crate) fn of(migrations: &Migrations) -> &'static dyn Framework {
    match &migrations.source {
        Source::Sql { .. } => &sql::Sql,
        Source::External(project) => named(project.framework).unwrap_or(&sql::Sql),
    }
}

fn named(name: &str) -> Option<&'static dyn Framework> {
    ALL.into_iter().find(|framework| framework.name() == name)
}

/// Reads a manifest's text.
pub(crate) fn parse(text: &str) -> Result<Manifest, ParseError> {
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    let invalid = |error: serde_json::Error| ParseError::Invalid(error.to_string());
    let Head { format } = serde_json::from_str(text).map_err(invalid)?;
    if format != FORMAT {
        return Err(ParseError::OtherFormat(format));
    }
    let manifest: Manifest<String> = serde_json::from_str(text).map_err(invalid)?;
    let mut rules = ALL.into_iter().flat_map(|framework| framework.ledgers());
    match rules.find(|rules| rules.name() == manifest.framework) {
        Some(rules) => Ok(manifest.resolved(*rules)),
        None => Err(ParseError::Invalid(format!("no framework `{}` is known", manifest.framework))),
    }
}

/// Why a text is no manifest for this program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    Invalid(String),
    /// It was made by an older or a newer program.
    OtherFormat(u32),
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::tenants::manifest::Expected;

    #[test]
    fn a_manifest_is_read_as_it_was_written_with_the_rules_of_its_framework() {
        for rules in ALL.into_iter().flat_map(|framework| framework.ledgers()) {
            let written = Manifest::new(*rules, Expected::default(), Expected::default());
            let text = serde_json::to_string(&written).unwrap();
            assert_eq!(parse(&text).unwrap(), written, "{text}");
        }
        assert!(matches!(parse("{\"format\": 2, \"framework\": \"cobol\"}"), Err(ParseError::Invalid(_))));
    }

    #[test]
    fn the_configuration_names_the_same_frameworks() {
        let named = config::FRAMEWORKS.map(|(name, external)| (name, external.is_some()));
        let known = ALL.map(|framework| (framework.name(), framework.external().is_some()));
        assert_eq!(named, known);
    }

    #[test]
    fn a_manifest_of_another_format_is_recognised_whatever_else_it_holds() {
        let text = r#"{ "format": 1, "framework": "django-5.2", "django": {} }"#;
        assert_eq!(parse(text), Err(ParseError::OtherFormat(1)));
    }
}
