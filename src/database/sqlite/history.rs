//! The history: a separate file next to the shared one, outside the tenants' folder.

use std::path::PathBuf;

use sqlx::{Connection, Row as _, sqlite::SqliteConnection};

use super::{Sqlite, files};
use crate::database::{
    DatabaseError,
    history::{self, Author, Deed, Dialect, Entry, Row, Run, Serving, Times},
};

const DIALECT: Dialect = Dialect {
    schema: "",
    literal: files::literal,
    now: "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))",
    time: |column| format!("substr({column}, 1, 19) || 'Z'"),
    counter: "number INTEGER PRIMARY KEY",
    timestamp: "text",
};

impl Sqlite {
    fn history_file(&self) -> PathBuf {
        self.folder.join("portcullis.sqlite")
    }

    pub(crate) async fn write_history(&self, run: &str, entries: &[Entry]) -> Result<(), DatabaseError> {
        let mut connection = files::write(&self.history_file(), true, files::BUSY_TIMEOUT).await?;
        let sql =
            format!("BEGIN IMMEDIATE; {}; {}; COMMIT", DIALECT.tables(), DIALECT.write("", run, entries));
        let written = files::rows(&mut connection, &sql).await;
        let _ = connection.close().await;
        written.map(drop).map_err(DatabaseError::from)
    }

    pub(crate) async fn author(&self, deed: Deed<'_>) -> Result<Option<Author>, DatabaseError> {
        let Some(mut connection) = self.open_history().await? else { return Ok(None) };
        let found = rows(&mut connection, &DIALECT.author(deed)).await;
        let _ = connection.close().await;
        Ok(found?.first().map(history::author))
    }

    pub(crate) async fn serving(&self) -> Result<Option<Serving>, DatabaseError> {
        Ok(self.first("serving", &DIALECT.serving("")).await?.as_ref().map(history::serving))
    }

    pub(crate) async fn times(&self, migrations: &[String]) -> Result<Option<Times>, DatabaseError> {
        Ok(self.first("duration", &DIALECT.times("", migrations)).await?.as_ref().map(history::times))
    }

    /// The first row of a query of a table that an older release may not have created.
    async fn first(&self, table: &str, sql: &str) -> Result<Option<Row>, DatabaseError> {
        let Some(mut connection) = self.open_history().await? else { return Ok(None) };
        let found = match Sqlite::has_table(&mut connection, table).await {
            Ok(false) => Ok(Vec::new()),
            Ok(true) => rows(&mut connection, sql).await,
            Err(error) => Err(error.into()),
        };
        let _ = connection.close().await;
        Ok(found?.into_iter().next())
    }

    pub(crate) async fn read_history(&self, limit: u32, with_parts: bool) -> Result<Vec<Run>, DatabaseError> {
        let Some(mut connection) = self.open_history().await? else { return Ok(Vec::new()) };
        let found = DIALECT.read(limit, with_parts, async |sql| rows(&mut connection, sql).await).await;
        let _ = connection.close().await;
        found
    }

    /// None if no run has written anything yet.
    async fn open_history(&self) -> Result<Option<SqliteConnection>, DatabaseError> {
        files::read(&self.history_file()).await.map_err(DatabaseError::Failed)
    }
}

async fn rows(connection: &mut SqliteConnection, sql: &str) -> Result<Vec<Row>, DatabaseError> {
    // The run that created the file may have been killed before it created the tables.
    if !Sqlite::has_table(connection, "exception").await? {
        return Ok(Vec::new());
    }
    let found = files::rows(connection, sql).await?;
    let columns = |row: &sqlx::sqlite::SqliteRow| (0..row.len()).map(|column| row.try_get(column)).collect();
    found.iter().map(columns).collect::<Result<_, _>>().map_err(Into::into)
}
