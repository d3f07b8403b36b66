//! Compares the manifest with the migrations on disk, offline: it blocks, starts no program and asks no database.

use std::{io, path::Path};

use super::expectation;
use crate::{
    config::{Config, Migrations, Source},
    database,
    failure::Failure,
    files, frameworks,
    outcome::command::ManifestProblem,
    tenants::manifest::{Manifest, Migration},
};

/// The reason why `run` would refuse the manifest, if it is known on this machine.
pub(crate) fn problem_now(config: &Config) -> Option<ManifestProblem> {
    let migrations = config.migrations.as_ref()?;
    let problem = compare(migrations, config.registry.is_some()).err()?;
    Some(match &problem {
        Failure::ManifestMissing { .. } => ManifestProblem::NotHere(problem),
        Failure::MigrationsUnreadable { path, .. } if !exists(path) => ManifestProblem::NotHere(problem),
        _ => ManifestProblem::Refused(problem),
    })
}

fn compare(migrations: &Migrations, has_registry: bool) -> Result<(), Failure> {
    let make = expectation::make_command(migrations);
    let on_disk = match &migrations.source {
        Source::Sql { shared, tenant } => Some((of_folder(shared)?, of_folder(tenant)?)),
        Source::External(_) => None,
    };
    if migrations.auto_manifest {
        return Ok(());
    }
    let (manifest, _) = read(&migrations.manifest, make)?;
    let stale = match (&on_disk, &migrations.source) {
        (Some((shared, tenant)), _) => frameworks::sql::staleness(&manifest, shared, tenant),
        (None, Source::External(project)) => {
            let folders = manifest.sources.values().map(|source| project.folder().join(&source.folder));
            if let Some(path) = folders.into_iter().find(|folder| !exists(folder)) {
                let why = "the folder does not exist".into();
                return Err(Failure::MigrationsUnreadable { path, why });
            }
            frameworks::of(migrations)
                .external()
                .and_then(|framework| framework.staleness(&manifest, project))
        }
        (None, Source::Sql { .. }) => None,
    };
    match stale {
        None => expectation::refuse_empty(migrations, has_registry, &manifest),
        Some(why) => {
            Err(Failure::ManifestStale { path: migrations.manifest.clone(), why, make: make.into() })
        }
    }
}

/// Reads a manifest file and its release; `make` is the command that builds it.
pub(crate) fn read(path: &Path, make: &str) -> Result<(Manifest, String), Failure> {
    let invalid = |why: String| Failure::ManifestInvalid { path: path.to_owned(), why, make: make.into() };
    let text = files::read_now(path, u64::MAX).and_then(files::text).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::ManifestMissing { path: path.to_owned(), make: make.into() },
        _ => invalid(error.to_string()),
    })?;
    let manifest = expectation::parse(path, &text, make)?;
    let release = manifest.named_release();
    Ok((manifest.proved().map_err(|why| invalid(why.into()))?, release))
}

fn of_folder(folder: &std::path::Path) -> Result<Vec<Migration>, Failure> {
    Ok(database::resolve(folder)?.iter().map(database::MigrationFile::expected).collect())
}

fn exists(path: &Path) -> bool {
    files::metadata_now(path).is_ok()
}
