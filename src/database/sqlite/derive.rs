//! Derives the tables that the migrations create, in an empty database in memory.

use sqlx::{Connection, Row, SqliteConnection};

use super::{
    LEDGER, Sqlite, apply, files,
    inspect::COLUMNS,
    structure::{server, structure},
};
use crate::database::{ApplyError, DatabaseError, Derived, MigrationFile, NoticeSender, TableSet};

impl Sqlite {
    pub(crate) async fn derive(
        &self,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
        _: &[String],
        _: NoticeSender,
    ) -> Result<Derived, DatabaseError> {
        Ok(Derived { shared: tables(shared).await?, tenant: tables(tenant).await?, server: server() })
    }
}

async fn tables(files: &[MigrationFile]) -> Result<TableSet, DatabaseError> {
    let mut connection = files::memory().await?;
    files::rows(&mut connection, apply::CREATE_LEDGER).await?;
    let mut derived = TableSet::default();
    for file in files {
        if !file.no_transaction {
            files::rows(&mut connection, "BEGIN").await?;
        }
        apply::run(&mut connection, file, file.no_transaction).await.map_err(ApplyError::into_failed)?;
        if !file.no_transaction {
            files::rows(&mut connection, "COMMIT").await?;
        }
        let before = std::mem::take(&mut derived);
        derived = table_set(&mut connection).await?;
        derived.note_created_by(file, before);
    }
    let structure = structure(&mut connection).await?;
    derived.structure = structure.without_table(LEDGER.table);
    let _ = connection.close().await;
    Ok(derived)
}

async fn table_set(connection: &mut SqliteConnection) -> Result<TableSet, sqlx::Error> {
    let mut tables = TableSet::default();
    for row in files::rows(connection, COLUMNS).await? {
        let table: String = row.try_get(0)?;
        if table != LEDGER.table {
            tables.note(table, files::kind(row.try_get(2)?), row.try_get(1)?);
        }
    }
    Ok(tables)
}
