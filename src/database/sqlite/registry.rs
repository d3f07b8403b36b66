//! The table that lists the tenants, in the shared file.

use sqlx::{
    Connection, Row,
    sqlite::{SqliteConnection, SqliteRow},
};

use super::{Sqlite, files};
use crate::{
    config,
    database::{Column, DatabaseError, registry_rows::RegistryRows},
};

/// The registry's table without a schema prefix, which SQLite does not have.
pub(super) fn table(registry: &config::Registry) -> &str {
    registry.table.split_once('.').map_or(&registry.table, |(_, table)| table)
}

/// The configured condition; the line break ends a trailing comment in it.
pub(super) fn condition(registry: &config::Registry) -> String {
    registry
        .condition
        .as_ref()
        .map_or_else(|| "1".to_owned(), |condition| format!("(({condition}\n) IS TRUE)"))
}

impl Sqlite {
    /// None if the table or the file does not exist yet.
    pub(super) async fn read_registry(&self) -> Result<Option<RegistryRows>, DatabaseError> {
        let Some(registry) = &self.registry else {
            return Ok(Some(RegistryRows::default()));
        };
        let opened = files::read(&self.shared()).await.map_err(DatabaseError::Failed)?;
        let Some(mut connection) = opened else { return Ok(None) };
        let rows = rows(&mut connection, registry).await;
        let _ = connection.close().await;
        rows
    }
}

impl Sqlite {
    pub(crate) async fn columns(&self, name: &str) -> Result<Vec<Column>, DatabaseError> {
        let opened = files::read(&self.shared()).await.map_err(DatabaseError::Failed)?;
        let Some(mut connection) = opened else { return Ok(Vec::new()) };
        // SQLite itself fills an integer that is the primary key.
        let sql = format!(
            "SELECT name, type, \"notnull\" <> 0 AND dflt_value IS NULL AND NOT (pk <> 0 AND upper(type) = 'INTEGER') \
             FROM pragma_table_info({})",
            files::literal(name)
        );
        let column = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>(Column {
                name: row.try_get(0)?,
                kind: row.try_get(1)?,
                is_required: row.try_get(2)?,
            })
        };
        let rows = files::rows(&mut connection, &sql).await;
        let columns = rows.and_then(|rows| rows.iter().map(column).collect());
        let _ = connection.close().await;
        columns.map_err(DatabaseError::from)
    }
}

async fn rows(
    connection: &mut SqliteConnection,
    registry: &config::Registry,
) -> Result<Option<RegistryRows>, DatabaseError> {
    let name = table(registry);
    let refuse = |error: sqlx::Error| {
        DatabaseError::from(error).with_text(|why| format!("cannot read the registry `{name}`: {why}"))
    };
    let Some(kind) = Sqlite::kind_of(connection, name).await.map_err(refuse)? else { return Ok(None) };
    let sql = format!(
        "SELECT CAST({} AS TEXT), {} FROM {}",
        files::identifier(&registry.schema_column),
        condition(registry),
        files::identifier(name),
    );
    let mut rows = RegistryRows::of(kind);
    for row in files::rows(connection, &sql).await.map_err(refuse)? {
        let matches = row.try_get::<i64, _>(1).map_err(refuse)? != 0;
        rows.add(row.try_get(0).map_err(refuse)?, matches, name)?;
    }
    Ok(Some(rows.sorted()))
}
