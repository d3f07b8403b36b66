//! Derives the tables that the migrations create, in an empty database in memory.

use sqlx::{Connection, Row};

use super::{
    LEDGER, Sqlite, apply, files,
    inspect::{COLUMNS, kind},
};
use crate::database::{ApplyError, DatabaseError, Derived, MigrationFile, TableSet};

impl Sqlite {
    pub(crate) async fn derive(
        &self,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
        _search_path: &[String],
    ) -> Result<Derived, DatabaseError> {
        Ok(Derived { shared: tables(shared).await?, tenant: tables(tenant).await? })
    }
}

async fn tables(files: &[MigrationFile]) -> Result<TableSet, DatabaseError> {
    let failed = |error: sqlx::Error| files::failed(&error);
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
    let mut derived = TableSet::default();
    for row in files::rows(&mut connection, COLUMNS).await.map_err(failed)? {
        let table: String = row.try_get(0).map_err(failed)?;
        let column: Option<String> = row.try_get(1).map_err(failed)?;
        if table != LEDGER.table {
            let kind = kind(row.try_get(2).map_err(failed)?);
            derived.note(table, kind, column);
        }
    }
    let _ = connection.close().await;
    Ok(derived)
}
