//! What the code expects: the migration files on disk and the manifest that was made of them.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Work;
use crate::{
    config::{Migrations, Source},
    database::{self, DatabaseError, Made, MigrationFile},
    failure::Failure,
    frameworks::{self, ParseError, sql},
    outcome::FailureDetails,
    tenants::manifest::{Expected, FORMAT, Manifest, Migration},
};

/// The files and the manifest, which agree with each other.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) manifest: Manifest,
    pub(crate) shared: Vec<MigrationFile>,
    pub(crate) tenant: Vec<MigrationFile>,
}

/// Reads the files and the manifest, and refuses one that does not match the other.
pub(super) async fn load(work: &Work) -> Result<Expectation, Failure> {
    let migrations = work.migrations()?;
    let (shared, tenant) = match &migrations.source {
        Source::Sql { shared, tenant } => (database::resolve(shared)?, database::resolve(tenant)?),
        Source::External(_) => (Vec::new(), Vec::new()),
    };
    let (path, make) = (&migrations.manifest, make_command(migrations));
    let project = work.project()?;
    let manifest = match (&project, migrations.auto_manifest) {
        (None, true) => return derived(work, shared, tenant).await,
        (Some(project), true) => {
            let text = project.ask(path).await.map_err(|details| details.failure)?;
            return Ok(Expectation { manifest: parse(path, &text, make)?, shared, tenant });
        }
        (_, false) => read(path, make)?,
    };
    let stale = match &project {
        Some(project) => project.staleness(&manifest).await,
        None => sql::staleness(&manifest, &expected(&shared), &expected(&tenant)),
    };
    match stale {
        None => Ok(Expectation { manifest, shared, tenant }),
        Some(why) => Err(Failure::ManifestStale { path: path.clone(), why, make: make.into() }),
    }
}

async fn derived(
    work: &Work,
    shared: Vec<MigrationFile>,
    tenant: Vec<MigrationFile>,
) -> Result<Expectation, Failure> {
    let manifest = derive(work, &shared, &tenant).await?;
    Ok(Expectation { manifest, shared, tenant })
}

fn expected(files: &[MigrationFile]) -> Vec<Migration> {
    files.iter().map(MigrationFile::expected).collect()
}

/// The manifest of the files on disk, derived where nothing of it remains.
pub(crate) async fn derive(
    work: &Work,
    shared: &[MigrationFile],
    tenant: &[MigrationFile],
) -> Result<Manifest, Failure> {
    let derived = work.database()?.derive(shared, tenant).await.map_err(|error| match error {
        DatabaseError::Failed(why) => Failure::NotDerivable { why: why.into() },
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
pub(crate) fn read(path: &Path, make: &str) -> Result<Manifest, Failure> {
    let invalid = |why: String| Failure::ManifestInvalid { path: path.to_owned(), why, make: make.into() };
    let text = match std::fs::read_to_string(path) {
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
pub(crate) async fn make(work: &Work) -> Result<(PathBuf, String), FailureDetails> {
    let Migrations { source, manifest: path, .. } = work.migrations()?;
    if let Some(project) = work.project()? {
        return Ok((path.clone(), project.ask(path).await?));
    }
    let Source::Sql { shared, tenant } = source else {
        return Err(Failure::Internal { what: "no project can be asked".into() }.into());
    };
    let manifest = derive(work, &database::resolve(shared)?, &database::resolve(tenant)?).await?;
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Failure::Internal { what: format!("cannot write the manifest as JSON: {error}") })?;
    Ok((path.clone(), text + "\n"))
}
