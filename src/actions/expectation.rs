//! What the code expects: the migration files on disk and the manifest that was made of them.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{Work, django};
use crate::{
    config::{self, Migrations, Source},
    database::{self, DatabaseError, Made, MigrationFile},
    failure::Failure,
    outcome::FailureDetails,
    tenants::manifest::{Expected, FORMAT, Framework, Manifest},
};

/// The command that makes the manifest of native SQL migrations.
pub(crate) const MAKE: &str = "portcullis manifest sql";

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
        Source::Django(project) => return of_django(work, migrations, project).await,
    };
    let manifest = if migrations.auto_manifest {
        derive(work, &shared, &tenant).await?
    } else {
        let manifest = read(&migrations.manifest, MAKE)?;
        match staleness(&manifest, &shared, &tenant) {
            None => manifest,
            Some(why) => {
                return Err(Failure::ManifestStale {
                    path: migrations.manifest.clone(),
                    why,
                    make: MAKE.into(),
                });
            }
        }
    };
    Ok(Expectation { manifest, shared, tenant })
}

async fn of_django(
    work: &Work,
    migrations: &Migrations,
    project: &config::Django,
) -> Result<Expectation, Failure> {
    let path = &migrations.manifest;
    let manifest = if migrations.auto_manifest {
        let text = django::manifest::ask(work, project, path).await.map_err(|trouble| trouble.failure)?;
        parse(path, &text, django::manifest::MAKE)?
    } else {
        let manifest = read(path, django::manifest::MAKE)?;
        if let Some(why) = django::manifest::staleness(&manifest, project) {
            let make = django::manifest::MAKE.into();
            return Err(Failure::ManifestStale { path: path.clone(), why, make });
        }
        manifest
    };
    Ok(Expectation { manifest, shared: Vec::new(), tenant: Vec::new() })
}

/// The manifest of the files on disk, derived where nothing of it remains.
pub(crate) async fn derive(
    work: &Work,
    shared: &[MigrationFile],
    tenant: &[MigrationFile],
) -> Result<Manifest, Failure> {
    let derived = work.database()?.derive(shared, tenant).await.map_err(|error| match error {
        DatabaseError::Failed(why) => {
            Failure::MigrationFailed { summary: format!("cannot derive the manifest: {why}") }
        }
        other => other.into_failure("deriving the manifest"),
    })?;
    let expected = |files: &[MigrationFile], made: Made| Expected {
        migrations: files.iter().map(MigrationFile::expected).collect(),
        tables: made.tables,
        kinds: made.kinds,
    };
    Ok(Manifest {
        format: FORMAT,
        framework: Framework::Sql,
        shared: expected(shared, derived.shared),
        tenant: expected(tenant, derived.tenant),
        types: BTreeMap::new(),
        django: None,
    })
}

/// The command that makes the configured manifest.
pub(crate) fn make_command(migrations: &Migrations) -> &'static str {
    match migrations.source {
        Source::Sql { .. } => MAKE,
        Source::Django(_) => django::manifest::MAKE,
    }
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
    let manifest: Manifest = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if manifest.format == FORMAT {
        Ok(manifest)
    } else {
        Err(invalid(format!("its format is {}, this program reads {FORMAT}", manifest.format)))
    }
}

/// Derives the manifest of the configured files: where it belongs, and its text.
pub(crate) async fn make(work: &Work) -> Result<(PathBuf, String), FailureDetails> {
    let Migrations { source, manifest: path, .. } = work.migrations()?;
    let (shared, tenant) = match source {
        Source::Sql { shared, tenant } => (shared, tenant),
        Source::Django(project) => {
            return Ok((path.clone(), django::manifest::ask(work, project, path).await?));
        }
    };
    let manifest = derive(work, &database::resolve(shared)?, &database::resolve(tenant)?).await?;
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Failure::Internal { what: format!("cannot write the manifest as JSON: {error}") })?;
    Ok((path.clone(), text + "\n"))
}

fn staleness(manifest: &Manifest, shared: &[MigrationFile], tenant: &[MigrationFile]) -> Option<String> {
    [("shared", &manifest.shared, shared), ("tenant", &manifest.tenant, tenant)].into_iter().find_map(
        |(which, expected, files)| {
            let on_disk: Vec<_> = files.iter().map(MigrationFile::expected).collect();
            let absent = on_disk.iter().find(|file| !expected.migrations.contains(file));
            let gone = expected.migrations.iter().find(|migration| !on_disk.contains(migration));
            match (absent, gone) {
                (Some(file), _) => {
                    Some(format!("it does not know the {which} migration `{}` as it is on disk", file.name))
                }
                (None, Some(gone)) => Some(format!("its {which} migration `{}` is not on disk", gone.name)),
                (None, None) => None,
            }
        },
    )
}
