//! Makes one tenant whole: a file is built beside its place, synced and moved there, and the registry's row
//! is committed last.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{
    LEDGER, Sqlite,
    apply::{self, CREATE_LEDGER, bare},
    files, look, registry,
};
use crate::{
    config,
    database::{ApplyError, Limits, MigrationFile, ProvisionError},
    tenants::{found::Look, manifest::Expected},
};

impl Sqlite {
    pub(in super::super) async fn provision(
        &self,
        tenant: &str,
        files: &[MigrationFile],
        expected: &Expected,
        limits: &Limits,
        verify: &dyn Fn(&Look) -> Result<(), String>,
    ) -> Result<(), ProvisionError> {
        let Some(registry) = &self.registry else {
            return Err(ApplyError::saying("there is no registry to write the tenant into").into());
        };
        let Some(path) = self.tenant(tenant) else {
            let why = format!("the name `{}` cannot be a file's", tenant.escape_debug());
            return Err(ApplyError::saying(&why).into());
        };
        let mut shared =
            files::write(&self.shared(), false, limits.lock_timeout).await.map_err(ApplyError::from)?;
        register(&mut shared, registry, tenant, &path).await?;
        // A name that nobody else can have: what is removed again is certainly our own.
        let new = Ours(path.with_extension(format!("{:016x}.new", fastrand::u64(..))));
        // Whatever a file committed goes with the one that it was built in.
        build(&new.0, files, expected, limits, verify)
            .await
            .map_err(|error| ApplyError { dirty: false, ..error })?;
        place(&new.0, &path).map_err(|error| {
            ApplyError::saying(&match error.kind() {
                ErrorKind::AlreadyExists => format!("`{}` appeared meanwhile", path.display()),
                _ => format!("cannot put the file at `{}`: {error}", path.display()),
            })
        })?;
        if let Err(error) = files::rows(&mut shared, "COMMIT").await {
            let rolled_back = fs::remove_file(&path).is_ok();
            return Err(ProvisionError { rolled_back, ..bare(&error).into() });
        }
        let _ = shared.close().await;
        Ok(())
    }
}

/// A file of our own that is not yet in its place; it goes when this value does.
struct Ours(PathBuf);

impl Drop for Ours {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let mut path = self.0.clone().into_os_string();
            path.push(suffix);
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes the row in a transaction that stays open. Nothing that stood there before is adopted.
async fn register(
    shared: &mut SqliteConnection,
    registry: &config::Registry,
    tenant: &str,
    path: &Path,
) -> Result<(), ApplyError> {
    let table = files::identifier(registry::table(registry));
    let column = files::identifier(&registry.schema_column);
    let row = format!(
        "SELECT {} FROM {table} WHERE {column} = {}",
        registry::condition(registry),
        files::literal(tenant)
    );
    files::rows(shared, "BEGIN IMMEDIATE").await.map_err(|error| bare(&error))?;
    let registered = !files::rows(shared, &row).await.map_err(|error| bare(&error))?.is_empty();
    let why = match (registered, path.exists()) {
        (false, false) => None,
        (true, true) => Some(format!("`{tenant}` exists already")),
        (false, true) => {
            Some(format!("`{}` stands there, and the registry does not name it", path.display()))
        }
        (true, false) => {
            Some(format!("the registry names `{tenant}` already, and `{}` is not there", path.display()))
        }
    };
    if let Some(why) = why {
        return Err(ApplyError::saying(&why));
    }
    let insert = format!("INSERT INTO {table} ({column}) VALUES ({})", files::literal(tenant));
    files::rows(shared, &insert).await.map_err(|error| bare(&error))?;
    let rows = files::rows(shared, &row).await.map_err(|error| bare(&error))?;
    let counts = rows.first().is_some_and(|row| row.try_get::<i64, _>(0).is_ok_and(|value| value != 0));
    if counts { Ok(()) } else { Err(ApplyError::saying("a new row does not meet the registry's `where`")) }
}

async fn build(
    path: &Path,
    files: &[MigrationFile],
    expected: &Expected,
    limits: &Limits,
    verify: &dyn Fn(&Look) -> Result<(), String>,
) -> Result<(), ApplyError> {
    let mut connection = files::write(path, true, limits.lock_timeout).await?;
    files::rows(&mut connection, CREATE_LEDGER).await.map_err(|error| bare(&error))?;
    for segment in files.chunk_by(|a, b| a.no_transaction == b.no_transaction) {
        let outside = segment.iter().any(|file| file.no_transaction);
        if !outside {
            files::rows(&mut connection, "BEGIN").await.map_err(|error| bare(&error))?;
        }
        for file in segment {
            apply::run(&mut connection, file, outside).await?;
        }
        if !outside {
            files::rows(&mut connection, "COMMIT").await.map_err(|error| bare(&error))?;
        }
    }
    let look = look::inside(&mut connection, expected, LEDGER).await.map_err(|error| bare(&error))?;
    verify(&look).map_err(|why| ApplyError::saying(&why))?;
    connection.close().await.map_err(|error| bare(&error))
}

/// Moves the file to its place, where nothing may be, and makes both survive a power cut.
fn place(new: &Path, path: &Path) -> std::io::Result<()> {
    fs::File::open(new)?.sync_all()?;
    // A hard link fails where something is; a rename would replace it. Not every file system has links.
    match fs::hard_link(new, path) {
        Ok(()) => fs::remove_file(new)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists || path.try_exists()? => return Err(error),
        Err(_) => fs::rename(new, path)?,
    }
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
