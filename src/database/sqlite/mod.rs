//! SQLite: one folder with one file as the shared schema and one file per tenant.

mod apply;
mod cleanup;
mod derive;
mod disk;
mod examine;
mod files;
mod history;
mod inspect;
pub(crate) mod lock;
mod provision;
mod registry;
mod restore;
mod structure;
mod survey;
mod table_probe;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{DatabaseError, NoticeSender, Schema, sql_lexer};
use crate::{
    config,
    frameworks::sql,
    tenants::{ledger::LedgerLayout, manifest::Kind},
};

const LEDGER: LedgerLayout<'static> = sql::SHAPE;

/// The folder and the registry's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    folder: PathBuf,
    registry: Option<config::Registry>,
}

impl Sqlite {
    pub(super) fn new(config: &config::Sqlite, registry: Option<&config::Registry>) -> Self {
        Self { folder: config.folder.clone(), registry: registry.cloned() }
    }

    fn shared(&self) -> PathBuf {
        self.folder.join("shared.sqlite")
    }

    fn tenants_folder(&self) -> PathBuf {
        self.folder.join("tenants")
    }

    fn path(&self, schema: &Schema) -> Option<PathBuf> {
        match schema {
            Schema::Shared => Some(self.shared()),
            Schema::Tenant(name) => self.tenant(name),
        }
    }

    /// None for a name that is not valid as a file name.
    fn tenant(&self, name: &str) -> Option<PathBuf> {
        let valid = !name.is_empty()
            && name.len() <= 200
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c.is_control());
        valid.then(|| self.tenants_folder().join(format!("{name}.sqlite")))
    }

    pub(super) async fn ping(&self) -> Result<(), DatabaseError> {
        let shared = self.shared();
        let Some(mut connection) = files::read(&shared).await.map_err(DatabaseError::Never)? else {
            return disk::writable(&self.folder).await.map_err(DatabaseError::Never);
        };
        // A file that is not a database fails at the first read, not when it is opened.
        let reply = files::rows(&mut connection, "SELECT count(*) FROM sqlite_master").await;
        let _ = connection.close().await;
        reply
            .map(drop)
            .map_err(|error| files::refused(&error).with_text(|why| format!("`{}`: {why}", shared.display())))
    }

    pub(super) async fn run_sql(
        &self,
        sql: &str,
        _: Duration,
        _: bool,
        _: NoticeSender,
    ) -> Result<(), DatabaseError> {
        let mut connection = files::write(&self.shared(), true, files::BUSY_TIMEOUT).await?;
        let outcome = files::statements(&mut connection, sql).await;
        let _ = connection.close().await;
        outcome.map_err(|(done, error)| {
            let failed = DatabaseError::from(error);
            match sql_lexer::line_of_statement(sql, done) {
                Some(line) => failed.with_text(|why| format!("line {line}: {why}")),
                None => failed,
            }
        })
    }

    /// Whether an open file contains a table or view of that name.
    async fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, sqlx::Error> {
        Ok(Self::kind_of(connection, name).await?.is_some())
    }

    /// The kind of the table or view of that name.
    async fn kind_of(connection: &mut SqliteConnection, name: &str) -> Result<Option<Kind>, sqlx::Error> {
        let sql = format!(
            "SELECT type FROM sqlite_master WHERE type IN ('table', 'view') AND name = {} COLLATE NOCASE",
            files::literal(name)
        );
        let rows = files::rows(connection, &sql).await?;
        rows.first().map(|row| row.try_get(0).map(files::kind)).transpose()
    }
}
