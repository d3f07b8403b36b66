//! What the migrations make where nothing was before: in memory.

use sqlx::{Connection, Row};

use super::{LEDGER, apply, files, look::COLUMNS};
use crate::database::{ApplyError, DatabaseError, Derived, MigrationFile, Tables};

pub(in super::super) async fn derive(
    shared: &[MigrationFile],
    tenant: &[MigrationFile],
) -> Result<Derived, DatabaseError> {
    Ok(Derived { shared: tables(shared).await?, tenant: tables(tenant).await? })
}

async fn tables(files: &[MigrationFile]) -> Result<Tables, DatabaseError> {
    let failed = |error: sqlx::Error| DatabaseError::Failed(files::words(&error));
    let mut connection = files::memory().await.map_err(failed)?;
    files::rows(&mut connection, apply::CREATE_LEDGER).await.map_err(failed)?;
    for file in files {
        if !file.no_transaction {
            files::rows(&mut connection, "BEGIN").await.map_err(failed)?;
        }
        apply::run(&mut connection, file, file.no_transaction).await.map_err(ApplyError::into_failed)?;
        if !file.no_transaction {
            files::rows(&mut connection, "COMMIT").await.map_err(failed)?;
        }
    }
    let mut tables = Tables::new();
    for row in files::rows(&mut connection, COLUMNS).await.map_err(failed)? {
        let table: String = row.try_get(0).map_err(failed)?;
        let column: Option<String> = row.try_get(1).map_err(failed)?;
        if table != LEDGER.table {
            tables.entry(table).or_default().extend(column);
        }
    }
    let _ = connection.close().await;
    Ok(tables)
}
