//! What the code expects: the migration files on disk and the manifest that was made of them.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    config::{Migrations, Source},
    database::{self, Database, DatabaseError, Made, MigrationFile},
    failure::Failure,
    files,
    frameworks::{self, ParseError, Project, sql},
    outcome::{ActionEvent, FailureDetails},
    tenants::manifest::{Expected, FORMAT, Manifest, Migration},
};

/// What an expectation is made of.
pub(super) struct Sources<'a> {
    pub(super) migrations: &'a Migrations,
    pub(super) database: Option<&'a Database>,
    /// None if Portcullis itself applies the migrations.
    pub(super) project: Option<Project<'a>>,
}

/// The files and the manifest, which agree with each other.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) manifest: Manifest,
    pub(crate) shared: Vec<MigrationFile>,
    pub(crate) tenant: Vec<MigrationFile>,
}

/// Reads the files and the manifest, and refuses one that does not match the other.
pub(super) async fn load(
    sources: &Sources<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Expectation, Failure> {
    let migrations = sources.migrations;
    let (shared, tenant) = match &migrations.source {
        Source::Sql { shared, tenant } => (resolve(shared).await?, resolve(tenant).await?),
        Source::External(_) => (Vec::new(), Vec::new()),
    };
    let (path, make) = (&migrations.manifest, make_command(migrations));
    let project = &sources.project;
    let manifest = match (project, migrations.auto_manifest) {
        (None, true) => return derived(sources, shared, tenant).await,
        (Some(project), true) => {
            let text = project.ask(path, on_event).await.map_err(|details| details.failure)?;
            return Ok(Expectation { manifest: parse(path, &text, make)?, shared, tenant });
        }
        (_, false) => read(path, make).await?,
    };
    let stale = match project {
        Some(project) => project.staleness(&manifest).await,
        None => sql::staleness(&manifest, &expected(&shared), &expected(&tenant)),
    };
    match stale {
        None => Ok(Expectation { manifest, shared, tenant }),
        Some(why) => Err(Failure::ManifestStale { path: path.clone(), why, make: make.into() }),
    }
}

async fn derived(
    sources: &Sources<'_>,
    shared: Vec<MigrationFile>,
    tenant: Vec<MigrationFile>,
) -> Result<Expectation, Failure> {
    let manifest = derive(sources, &shared, &tenant).await?;
    Ok(Expectation { manifest, shared, tenant })
}

async fn resolve(folder: &Path) -> Result<Vec<MigrationFile>, Failure> {
    let reading = folder.to_owned();
    let unreadable = |why: String| Failure::MigrationsUnreadable { path: folder.to_owned(), why };
    files::within(files::TIMEOUT, move || Ok(database::resolve(&reading)))
        .await
        .map_err(|error| unreadable(error.to_string()))?
}

fn expected(files: &[MigrationFile]) -> Vec<Migration> {
    files.iter().map(MigrationFile::expected).collect()
}

/// The manifest of the files on disk, derived where nothing of it remains.
async fn derive(
    sources: &Sources<'_>,
    shared: &[MigrationFile],
    tenant: &[MigrationFile],
) -> Result<Manifest, Failure> {
    let lacks = || Failure::ConfigLacks { what: "deriving the manifest".into(), needs: "[database]" };
    let derived =
        sources.database.ok_or_else(lacks)?.derive(shared, tenant).await.map_err(|error| match error {
            DatabaseError::Failed(why) => Failure::NotDerivable { why },
            other => other.into_failure("deriving the manifest"),
        })?;
    let expected = |files: &[MigrationFile], made: Made| Expected {
        migrations: expected(files),
        tables: made.tables,
        kinds: made.kinds,
    };
    Ok(Manifest::new(&sql::LEDGER, expected(shared, derived.shared), expected(tenant, derived.tenant)))
}

/// The command that makes the configured manifest.
pub(crate) fn make_command(migrations: &Migrations) -> &'static str {
    frameworks::of(migrations).make()
}

/// Reads a manifest file; `make` is the command that would make it.
pub(crate) async fn read(path: &Path, make: &str) -> Result<Manifest, Failure> {
    let invalid = |why: String| Failure::ManifestInvalid { path: path.to_owned(), why, make: make.into() };
    let text = match files::read(path, files::TIMEOUT).await {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::ManifestMissing { path: path.to_owned(), make: make.into() });
        }
        Err(error) => return Err(invalid(error.to_string())),
    };
    parse(path, &text, make)
}

/// Reads a manifest's text; `path` is where it comes from.
pub(crate) fn parse(path: &Path, text: &str, make: &str) -> Result<Manifest, Failure> {
    let invalid = |why: String| Failure::ManifestInvalid { path: path.to_owned(), why, make: make.into() };
    frameworks::parse(text).map_err(|error| match error {
        ParseError::Invalid(why) => invalid(why),
        ParseError::OtherFormat(format) => {
            let why = format!(
                "it has format {format}, which another release of Portcullis writes; this one reads {FORMAT}"
            );
            Failure::ManifestStale { path: path.to_owned(), why, make: make.into() }
        }
    })
}

/// Derives the manifest of the configured files: where it belongs, and its text.
pub(super) async fn make(
    sources: &Sources<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<(PathBuf, String), FailureDetails> {
    let Migrations { source, manifest: path, .. } = sources.migrations;
    if let Some(project) = &sources.project {
        return Ok((path.clone(), project.ask(path, on_event).await?));
    }
    let Source::Sql { shared, tenant } = source else {
        return Err(Failure::Internal { what: "no project can be asked".into() }.into());
    };
    let manifest = derive(sources, &resolve(shared).await?, &resolve(tenant).await?).await?;
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Failure::Internal { what: format!("cannot write the manifest as JSON: {error}") })?;
    Ok((path.clone(), text + "\n"))
}
