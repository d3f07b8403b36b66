//! Creates one complete tenant: builds a staging file, syncs it, links it to the final path and commits the registry
//! row. The staging name is removed last; until then it proves which run created the file.

use std::{collections::BTreeMap, path::Path};

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{
    Sqlite,
    apply::{self, CREATE_LEDGER},
    cleanup::staging_path,
    disk, files, inspect, registry,
};
use crate::{
    config,
    database::{ApplyError, Creation, MigrationFile, ProvisionError, ProvisionRequest},
    ordered::Ordered,
    tenants::manifest::ColumnValue,
};

impl Sqlite {
    pub(crate) async fn provision(
        &self,
        request: &ProvisionRequest<'_>,
        files: &[MigrationFile],
    ) -> Result<(), ProvisionError> {
        let new = request.new;
        let registry = self.registry.as_ref().ok_or_else(ProvisionError::unregistrable)?;
        let Some(path) = self.tenant(&new.schema) else {
            let why = format!("the name `{}` is not valid as a file name", new.schema.escape_debug());
            return Err(ProvisionError::refusing(why));
        };
        let mut shared = files::write(&self.shared(), false, request.limits.lock_timeout).await?;
        register(&mut shared, registry, new, &path).await?;
        let staging_path = staging_path(&path, &new.nonce);
        build(&staging_path, request, files).await?;
        if !disk::move_to_free_path(&staging_path, &path).await.map_err(ApplyError::of)? {
            return Err(ApplyError::of(format!(
                "another process created `{}` at the same time",
                path.display()
            ))
            .into());
        }
        // SQLite's transactions have no numbers: any number marks that this point was reached.
        new.commit_marker.note(1);
        files::rows(&mut shared, "COMMIT").await?;
        let _ = shared.close().await;
        // If this fails, the next holder of the lock removes it.
        let _ = disk::remove(&staging_path).await;
        Ok(())
    }
}

/// Writes the row in a transaction that stays open. Fails if the tenant already exists, even partly.
async fn register(
    shared: &mut SqliteConnection,
    registry: &config::Registry,
    new: &Creation,
    path: &Path,
) -> Result<(), ProvisionError> {
    let tenant = &new.schema;
    let table = files::identifier(registry::table(registry));
    let column = files::identifier(&registry.schema_column);
    let row = format!(
        "SELECT {} FROM {table} WHERE {column} = {}",
        registry::condition(registry),
        files::literal(tenant)
    );
    files::rows(shared, "BEGIN IMMEDIATE").await?;
    let registered = !files::rows(shared, &row).await?.is_empty();
    let file = format!("`{}`", path.display());
    let exists = disk::exists(path).await.map_err(ApplyError::of)?;
    ProvisionError::if_exists(tenant, registered, exists.then_some(file.as_str()))?;
    let schema = (registry.schema_column.clone(), ColumnValue::Text(tenant.clone()));
    let columns: BTreeMap<String, ColumnValue> = new.columns.clone().into_iter().chain([schema]).into_map();
    let names: Vec<String> = columns.keys().map(|name| files::identifier(name)).collect();
    let values: Vec<String> = columns.values().map(value).collect();
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    files::rows(shared, &insert).await?;
    let rows = files::rows(shared, &row).await?;
    let matches = rows.first().is_some_and(|row| row.try_get::<i64, _>(0).is_ok_and(|value| value != 0));
    if matches {
        Ok(())
    } else {
        Err(ApplyError::of("the new row does not match the registry's `where`").into())
    }
}

fn value(column_value: &ColumnValue) -> String {
    match column_value {
        ColumnValue::Text(text) => files::literal(text),
        ColumnValue::Now | ColumnValue::Local(_) => "CURRENT_TIMESTAMP".into(),
        ColumnValue::Uuid => "lower(hex(randomblob(16)))".into(),
        // A request resolves it before the insertion.
        ColumnValue::Computed => "NULL".into(),
    }
}

async fn build(
    path: &Path,
    request: &ProvisionRequest<'_>,
    files: &[MigrationFile],
) -> Result<(), ApplyError> {
    let ProvisionRequest { expected, layout, limits, verify, .. } = *request;
    let mut connection = files::write(path, true, limits.lock_timeout).await?;
    files::rows(&mut connection, CREATE_LEDGER).await?;
    for segment in files.chunk_by(|a, b| a.no_transaction == b.no_transaction) {
        let no_transaction = segment.iter().any(|file| file.no_transaction);
        if !no_transaction {
            files::rows(&mut connection, "BEGIN").await?;
        }
        for file in segment {
            apply::run(&mut connection, file, no_transaction).await?;
        }
        if !no_transaction {
            files::rows(&mut connection, "COMMIT").await?;
        }
    }
    let state = inspect::inspect_open(&mut connection, expected, layout).await?;
    verify(&state).map_err(ApplyError::of)?;
    connection.close().await.map_err(ApplyError::from)
}
