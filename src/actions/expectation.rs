//! Loads what the code expects: the migration files on disk and the manifest built from them.

use std::{io, path::Path};

use super::notices::NoticeLog;
use crate::{
    config::{Migrations, Source},
    database::{self, Database, DatabaseError, MigrationFile, TableSet},
    failure::Failure,
    files,
    frameworks::{self, ParseError, Project, sql},
    outcome::{ActionEvent, FailureDetails},
    tenants::manifest::{Expected, FORMAT, Manifest, Migration},
};

/// The command that adds the tables of a migrated database to the migrations on disk.
const STRUCTURE: &str = "portcullis manifest structure";

/// The inputs of an expectation.
pub(super) struct Sources<'a> {
    pub(super) migrations: &'a Migrations,
    pub(super) database: Option<&'a Database>,
    /// None if Portcullis itself applies the migrations.
    pub(super) project: Option<Project<'a>>,
    pub(super) has_registry: bool,
}

/// The migration files and the manifest that matches them.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) manifest: Manifest,
    pub(crate) shared: Vec<MigrationFile>,
    pub(crate) tenant: Vec<MigrationFile>,
}

/// Reads the files and the manifest, and fails if they do not match.
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
            let manifest =
                of_project(project, path, make, on_event).await.map_err(|details| details.failure)?;
            refuse_empty(migrations, sources.has_registry, &manifest)?;
            return Ok(Expectation { manifest, shared, tenant });
        }
        (_, false) => read(path, make).await?,
    };
    let stale = match project {
        Some(project) => project.staleness(&manifest).await,
        None => sql::staleness(&manifest, &expected(&shared), &expected(&tenant)),
    };
    match stale {
        None => {
            refuse_empty(migrations, sources.has_registry, &manifest)?;
            Ok(Expectation { manifest, shared, tenant })
        }
        Some(why) => {
            let make = make_again(&manifest, project.as_ref(), make).into();
            Err(Failure::ManifestStale { path: path.clone(), why, make })
        }
    }
}

/// The command that builds the manifest with the same parts: only a migrated database has the tables of a framework
/// whose migrations are read from its files.
fn make_again(manifest: &Manifest, project: Option<&Project<'_>>, make: &'static str) -> &'static str {
    let has_tables = !manifest.shared.tables.is_empty() || !manifest.tenant.tables.is_empty();
    if has_tables && project.is_some_and(Project::reads_files) { STRUCTURE } else { make }
}

/// Compares the manifest's file with its sources. The manifest of SQL files contains a digest and their checksums, so
/// the comparison needs no database.
pub(super) async fn check(
    sources: &Sources<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Manifest, FailureDetails> {
    let migrations = sources.migrations;
    let (path, make) = (&migrations.manifest, make_command(migrations));
    let manifest = read(path, make).await?;
    let why = match &migrations.source {
        Source::Sql { shared, tenant } => {
            let (shared, tenant) = (expected(&resolve(shared).await?), expected(&resolve(tenant).await?));
            sql::staleness(&manifest, &shared, &tenant)
        }
        Source::External(_) => match &sources.project {
            Some(project) if project.reads_files() => project.staleness(&manifest).await,
            _ => (self::make(sources, on_event).await? != manifest)
                .then(|| "the migrations no longer produce this manifest".into()),
        },
    };
    refuse_empty(migrations, sources.has_registry, &manifest)?;
    match why {
        None => Ok(manifest),
        Some(why) => {
            let make = make_again(&manifest, sources.project.as_ref(), make).into();
            Err(Failure::ManifestStale { path: path.clone(), why, make }.into())
        }
    }
}

async fn derived(
    sources: &Sources<'_>,
    shared: Vec<MigrationFile>,
    tenant: Vec<MigrationFile>,
) -> Result<Expectation, Failure> {
    // The start shows the server's messages when it applies the files.
    let manifest = derive(sources, &shared, &tenant, &|_| {}).await?;
    Ok(Expectation { manifest, shared, tenant })
}

async fn resolve(folder: &Path) -> Result<Vec<MigrationFile>, Failure> {
    let reading = folder.to_owned();
    files::within(files::TIMEOUT, move || Ok(database::resolve(&reading)))
        .await
        .map_err(|error| Failure::unreadable(folder, &error))?
}

fn expected(files: &[MigrationFile]) -> Vec<Migration> {
    files.iter().map(MigrationFile::expected).collect()
}

/// Derives the manifest from the files on disk, in a database that keeps nothing of it.
async fn derive(
    sources: &Sources<'_>,
    shared: &[MigrationFile],
    tenant: &[MigrationFile],
    on_event: &dyn Fn(ActionEvent),
) -> Result<Manifest, Failure> {
    let lacks = || Failure::ConfigLacks { what: "deriving the manifest".into(), needs: "[database]" };
    let (database, search_path) = (sources.database.ok_or_else(lacks)?, &sources.migrations.search_path);
    let messages = NoticeLog::new(on_event);
    let deriving = messages
        .passing_on(None, async |notices| database.derive(shared, tenant, search_path, notices).await);
    let derived = deriving.await.map_err(|error| match error {
        DatabaseError::Failed(why) => Failure::NotDerivable { why },
        other => other.into_failure("deriving the manifest"),
    })?;
    let expected = |files: &[MigrationFile], made: TableSet| Expected {
        migrations: expected(files),
        tables: made.tables,
        kinds: made.kinds,
        creates: made.creates,
        structure: made.structure,
    };
    let mut manifest =
        Manifest::new(&sql::LEDGER, expected(shared, derived.shared), expected(tenant, derived.tenant));
    manifest.versions.extend([derived.server]);
    refuse_empty(sources.migrations, sources.has_registry, &manifest)?;
    Ok(manifest)
}

/// Without an expectation, every database would count as complete.
pub(super) fn refuse_empty(
    migrations: &Migrations,
    has_registry: bool,
    manifest: &Manifest,
) -> Result<(), Failure> {
    let Migrations { manifest: path, empty_manifest, .. } = migrations;
    let of_tenants = manifest.tenant.migrations.is_empty() && manifest.tenant.tables.is_empty();
    let why = match manifest.shared.migrations.is_empty() && manifest.shared.tables.is_empty() {
        _ if *empty_manifest => return Ok(()),
        true if of_tenants => "no migration is expected",
        _ if of_tenants && has_registry => "no migration is expected of tenants",
        _ => return Ok(()),
    };
    let why = format!("{why}: are the files in the image? `manifest = {{ empty = true }}` accepts it");
    let make = make_command(migrations).into();
    Err(Failure::ManifestInvalid { path: path.clone(), why, make })
}

/// The command that builds the configured manifest.
pub(crate) fn make_command(migrations: &Migrations) -> &'static str {
    frameworks::of(migrations).make()
}

/// Reads a manifest file; `make` is the command that builds it.
pub(crate) async fn read(path: &Path, make: &str) -> Result<Manifest, Failure> {
    let invalid = |why: String| Failure::ManifestInvalid { path: path.to_owned(), why, make: make.into() };
    let text = match files::read(path, files::TIMEOUT).await {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::ManifestMissing { path: path.to_owned(), make: make.into() });
        }
        Err(error) => return Err(invalid(error.to_string())),
    };
    parse(path, &text, make)?.proved().map_err(|why| invalid(why.into()))
}

/// Parses a manifest; `path` is its source, for messages.
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

/// The manifest of a framework's project: from the files on disk if that is sufficient, otherwise from its program.
async fn of_project(
    project: &Project<'_>,
    path: &Path,
    make: &str,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Manifest, FailureDetails> {
    match project.read().await {
        Some(manifest) => Ok(manifest?),
        None => Ok(parse(path, &project.ask(path, on_event).await?, make)?),
    }
}

/// Derives the manifest of the configured files.
pub(super) async fn make(
    sources: &Sources<'_>,
    on_event: &dyn Fn(ActionEvent),
) -> Result<Manifest, FailureDetails> {
    let Migrations { source, manifest: path, .. } = sources.migrations;
    if let Some(project) = &sources.project {
        let make = make_command(sources.migrations);
        let mut manifest = of_project(project, path, make, on_event).await?;
        refuse_empty(sources.migrations, sources.has_registry, &manifest)?;
        if let (true, Ok(former)) = (project.reads_files(), read(path, make).await)
            && let STRUCTURE = make_again(&former, Some(project), make)
        {
            // The tables of other migrations would be wrong, and a manifest without them would prove less.
            if let Some(why) = project.staleness(&former).await {
                let why = format!("its tables need a migrated database: {why}");
                return Err(Failure::ManifestStale { path: path.clone(), why, make: STRUCTURE.into() }.into());
            }
            manifest = former;
        }
        return Ok(manifest);
    }
    let Source::Sql { shared, tenant } = source else {
        return Err(Failure::Internal { what: "no project can print the manifest".into() }.into());
    };
    Ok(derive(sources, &resolve(shared).await?, &resolve(tenant).await?, on_event).await?)
}
