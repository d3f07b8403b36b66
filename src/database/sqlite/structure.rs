//! Reads the structure of a SQLite file: the statements of its tables, indexes, views and triggers.

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{Sqlite, files};
use crate::{
    database::{DatabaseError, Schema, sql_lexer::condensed},
    tenants::structure::{Object, ObjectKind, Structure},
};

/// The engine and its major version, which is a part of this program.
pub(super) fn server() -> (String, String) {
    ("SQLite".into(), "3".into())
}

impl Sqlite {
    /// The structure of a file; an error if the file does not exist.
    pub(crate) async fn structure(&self, schema: &Schema) -> Result<(String, Structure), DatabaseError> {
        let path = match schema {
            Schema::Shared => self.shared(),
            Schema::Tenant(name) => self.tenant(name).unwrap_or_default(),
        };
        let mut connection = files::read_existing(&path).await?;
        let structure = structure(&mut connection).await;
        let _ = connection.close().await;
        structure.map(|structure| (server().1, structure)).map_err(DatabaseError::from)
    }
}

/// Indexes without a statement belong to constraints.
pub(super) async fn structure(connection: &mut SqliteConnection) -> Result<Structure, sqlx::Error> {
    let sql = "SELECT type, tbl_name, name, sql FROM sqlite_master WHERE sql IS NOT NULL \
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
    let mut objects = Vec::new();
    for row in files::rows(connection, sql).await? {
        let (table, name, definition) = (row.try_get(1)?, row.try_get(2)?, condensed(row.try_get(3)?));
        let (kind, table) = match row.try_get(0)? {
            "index" => (ObjectKind::Index, table),
            "trigger" => (ObjectKind::Trigger, table),
            "view" => (ObjectKind::View, String::new()),
            _ => (ObjectKind::Table, String::new()),
        };
        objects.push(Object { kind, table, name, definition, state: String::new() });
    }
    Ok(Structure::new(objects))
}
