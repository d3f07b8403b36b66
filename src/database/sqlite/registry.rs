//! The table that lists the tenants, in the shared file.

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{Sqlite, files};
use crate::{config, database::DatabaseError};

/// The registry's rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Rows that meet the configured condition, in order.
    pub(super) tenants: Vec<String>,
    /// Rows that do not.
    pub(super) others: Vec<String>,
}

/// A schema in front of the table's name has no meaning here.
pub(super) fn table(registry: &config::Registry) -> &str {
    registry.table.split_once('.').map_or(&registry.table, |(_, table)| table)
}

/// A row's condition; the line break ends a comment in it.
pub(super) fn condition(registry: &config::Registry) -> String {
    registry
        .condition
        .as_ref()
        .map_or_else(|| "1".to_owned(), |condition| format!("(({condition}\n) IS TRUE)"))
}

impl Sqlite {
    /// None if there is no such table, or no file yet.
    pub(super) async fn read_registry(&self) -> Result<Option<Rows>, DatabaseError> {
        let Some(registry) = &self.registry else {
            return Ok(Some(Rows::default()));
        };
        let opened = files::read(&self.shared()).await.map_err(DatabaseError::Failed)?;
        let Some(mut connection) = opened else { return Ok(None) };
        let rows = rows(&mut connection, registry).await;
        let _ = connection.close().await;
        rows
    }
}

async fn rows(
    connection: &mut SqliteConnection,
    registry: &config::Registry,
) -> Result<Option<Rows>, DatabaseError> {
    let name = table(registry);
    let refuse = |error: sqlx::Error| {
        files::failed(&error).with_text(|why| format!("cannot read the registry `{name}`: {why}"))
    };
    if !Sqlite::has_table(connection, name).await.map_err(refuse)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT CAST({} AS TEXT), {} FROM {}",
        files::identifier(&registry.schema_column),
        condition(registry),
        files::identifier(name),
    );
    let mut rows = Rows::default();
    for row in files::rows(connection, &sql).await.map_err(refuse)? {
        let tenant: Option<String> = row.try_get(0).map_err(refuse)?;
        let counts = row.try_get::<i64, _>(1).map_err(refuse)? != 0;
        let Some(tenant) = tenant.filter(|tenant| !tenant.is_empty()) else {
            if !counts {
                continue;
            }
            let why = format!(
                "the registry `{name}` holds a row without a schema name that `where` does not leave out"
            );
            return Err(DatabaseError::Failed(why.into()));
        };
        let list = if counts { &mut rows.tenants } else { &mut rows.others };
        list.push(tenant);
    }
    rows.tenants.sort_unstable();
    rows.tenants.dedup();
    Ok(Some(rows))
}
