//! The supported frameworks. Each is a file that implements [`Framework`] and a line in [`ALL`].

mod alembic;
mod ask;
mod batch;
mod channel;
mod custom;
mod dbmate;
pub(crate) mod detect;
mod diesel;
pub(crate) mod django;
pub(crate) mod draft;
mod drizzle;
mod files;
mod framework;
mod heads;
mod knex;
mod kysely;
mod laravel;
mod mark_applied;
mod migrate;
mod mikro_orm;
mod new_rows;
mod node_pg_migrate;
mod output;
mod pending_sql;
mod prisma;
mod project;
mod rails;
mod refinery;
mod replay;
mod sea_orm;
mod sequelize;
mod signature;
pub(crate) mod sql;
mod typeorm;

pub(crate) use self::{
    batch::{MigrateError, SchemaOutcome},
    draft::{Draft, TenantsDraft},
    framework::{AppInfo, Creation, External, Framework, Replay, StopPolicy},
    migrate::{Migrating, RecordingSlot},
    output::name_a_lock,
    pending_sql::Request,
    project::{ProgramSessions, Project, child, run_to_end},
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

pub(crate) static ALL: &[&dyn Framework] = &[
    &sql::Sql,
    &django::Django,
    &alembic::ALEMBIC,
    &prisma::PRISMA,
    &drizzle::DRIZZLE,
    &typeorm::TYPEORM,
    &knex::KNEX,
    &sequelize::SEQUELIZE,
    &node_pg_migrate::NODE_PG_MIGRATE,
    &kysely::KYSELY,
    &mikro_orm::MIKRO_ORM,
    &dbmate::DBMATE,
    &rails::RAILS,
    &laravel::LARAVEL,
    &refinery::REFINERY,
    &diesel::DIESEL,
    &sea_orm::SEA_ORM,
    &custom::CUSTOM,
];

/// The names of the known frameworks that apply their migrations themselves.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let known = ALL.iter().filter(|framework| framework.external().is_some());
    known.map(|framework| framework.name()).filter(|name| *name != Framework::name(&custom::CUSTOM))
}

impl<'a> Project<'a> {
    pub(crate) fn new(
        settings: &'a config::Project,
        processes: &'a Processes,
        run: &'a str,
        sessions: Option<&'a ProgramSessions>,
    ) -> Result<Self, Failure> {
        let unknown =
            || Failure::Internal { what: format!("the framework `{}` has no program", settings.framework) };
        let known = named(settings.framework).ok_or_else(unknown)?;
        let framework = known.external().ok_or_else(unknown)?;
        Ok(Self { framework, make: known.make(), settings, processes, run, sessions })
    }
}

/// The draft of a configuration from the files of a project, and the framework that it uses.
pub(crate) fn draft_of(folder: &std::path::Path) -> (Option<&'static dyn Framework>, Draft) {
    let drafts = ALL.iter().filter_map(|framework| Some((Some(*framework), framework.draft(folder)?)));
    drafts.into_iter().next().unwrap_or_default()
}

/// The framework of these migrations.
pub(crate) fn of(migrations: &Migrations) -> &'static dyn Framework {
    match &migrations.source {
        Source::Sql { .. } => &sql::Sql,
        Source::External(project) => named(project.framework).unwrap_or(&sql::Sql),
    }
}

/// The command that writes the manifest of a framework.
pub(crate) fn make_of(name: &str) -> Option<&'static str> {
    named(name).map(Framework::make)
}

/// The name of the framework with these ledger rules.
pub(crate) fn name_of(rules: &dyn Ledger) -> &'static str {
    let has =
        |framework: &&'static dyn Framework| framework.ledgers().iter().any(|own| own.name() == rules.name());
    ALL.iter().copied().find(has).map_or("", Framework::name)
}

fn named(name: &str) -> Option<&'static dyn Framework> {
    ALL.iter().copied().find(|framework| framework.name() == name)
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
    let mut rules = ALL.iter().flat_map(|framework| framework.ledgers());
    match rules.find(|rules| rules.name() == manifest.framework) {
        Some(rules) => Ok(manifest.resolved(rules)),
        None => Err(ParseError::Invalid(format!("the framework `{}` is unknown", manifest.framework))),
    }
}

/// The reason why a text is not a valid manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParseError {
    Invalid(String),
    /// An older or a newer Portcullis wrote it.
    OtherFormat(u32),
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::tenants::manifest::Expected;

    #[test]
    fn a_written_manifest_parses_with_the_rules_of_its_framework() {
        for rules in ALL.iter().flat_map(|framework| framework.ledgers()) {
            let written = Manifest::new(rules, Expected::default(), Expected::default());
            let text = written.to_file().unwrap();
            assert_eq!(parse(&text).unwrap().proved().unwrap(), written, "{text}");
            let edited = text.replace("\"tables\": {}", "\"tables\": { \"x\": [] }");
            assert!(parse(&edited).unwrap().proved().is_err_and(|why| why.contains("edited")), "{edited}");
        }
        assert!(matches!(parse("{\"format\": 4, \"framework\": \"cobol\"}"), Err(ParseError::Invalid(_))));
    }

    #[test]
    fn the_configuration_has_the_same_frameworks() {
        let named: Vec<_> =
            config::FRAMEWORKS.iter().map(|(name, external)| (*name, external.is_some())).collect();
        let known: Vec<_> =
            ALL.iter().map(|framework| (framework.name(), framework.external().is_some())).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn the_command_line_has_the_manifest_command_of_every_framework() {
        for framework in ALL {
            let words: Vec<_> = framework.make().split(' ').map(std::ffi::OsString::from).collect();
            assert!(crate::cli::Cli::of(&words).is_ok(), "{}", framework.make());
        }
    }

    #[test]
    fn a_manifest_of_another_format_is_recognised_despite_unknown_content() {
        let text = r#"{ "format": 1, "framework": "django-5.2", "django": {} }"#;
        assert_eq!(parse(text), Err(ParseError::OtherFormat(1)));
    }
}
