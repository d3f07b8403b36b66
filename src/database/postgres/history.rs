//! The history, in Portcullis's own schema.

use super::{
    Postgres, connect,
    connection::{self, Connection},
    error::QueryError,
    metadata_schema,
    quote::literal,
    run_migration,
};
use crate::database::{
    DatabaseError,
    history::{self, Author, Deed, Dialect, Entry, Row, Run, Serving, Times},
};

const DIALECT: Dialect = Dialect {
    schema: "portcullis.",
    literal,
    now: "pg_catalog.clock_timestamp()",
    time: |column| {
        format!(
            "pg_catalog.to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD') || 'T' || \
             pg_catalog.to_char({column} AT TIME ZONE 'UTC', 'HH24:MI:SS') || 'Z'"
        )
    },
    counter: "number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    timestamp: "timestamptz",
};

/// A server that commits asynchronously can lose the latest commits. A synchronous one writes all before it to the disk, too:
/// what a step changed is there before the next step relies on it.
const DURABLE: &str = "SELECT pg_catalog.set_config('synchronous_commit', 'local', true) \
                       WHERE pg_catalog.current_setting('synchronous_commit') = 'off'";

impl Postgres {
    pub(crate) async fn write_history(&self, run: &str, entries: &[Entry]) -> Result<(), DatabaseError> {
        // After the loss of the lock, sessions with the run's name are ended, but the loss must still be recorded.
        let (mut connection, pooled) = match self.pooled_writer().await {
            Some(connection) => (connection, true),
            None => (run_migration::writer(self.direct()).await?, false),
        };
        let sql = format!("BEGIN; {DURABLE}; {}; COMMIT", DIALECT.write(&self.registry_name(), run, entries));
        let mut written = connection.rows(&sql).await;
        if written.as_ref().is_err_and(QueryError::is_missing) {
            written = async {
                connection.rows("ROLLBACK").await?;
                metadata_schema::ensure(&mut connection, &DIALECT.tables()).await?;
                connection.rows(&sql).await
            }
            .await;
        }
        if pooled {
            self.release(connection).await;
        } else {
            connection.close().await;
        }
        written.map(drop).map_err(DatabaseError::from)
    }

    pub(crate) async fn author(&self, deed: Deed<'_>) -> Result<Option<Author>, DatabaseError> {
        let mut connection = connect::connect(self.direct()).await?;
        let found = rows(&mut connection, &DIALECT.author(deed)).await;
        connection.close().await;
        Ok(found?.first().map(history::author))
    }

    pub(crate) async fn serving(&self) -> Result<Option<Serving>, DatabaseError> {
        let mut connection = connect::connect(self.direct()).await?;
        let found = rows(&mut connection, &DIALECT.serving(&self.registry_name())).await;
        connection.close().await;
        Ok(found?.first().map(history::serving))
    }

    pub(crate) async fn times(&self, migrations: &[String]) -> Result<Option<Times>, DatabaseError> {
        let mut connection = connect::connect(self.direct()).await?;
        let found = rows(&mut connection, &DIALECT.times(&self.registry_name(), migrations)).await;
        connection.close().await;
        Ok(found?.first().map(history::times))
    }

    pub(crate) async fn read_history(&self, limit: u32, with_parts: bool) -> Result<Vec<Run>, DatabaseError> {
        let mut connection = connect::connect(self.direct()).await?;
        let found = DIALECT.read(limit, with_parts, async |sql| rows(&mut connection, sql).await).await;
        connection.close().await;
        found
    }
}

async fn rows(connection: &mut Connection, sql: &str) -> Result<Vec<Row>, DatabaseError> {
    let found = match connection.rows(sql).await {
        // No run has written anything yet.
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        found => found?,
    };
    let columns = |row: &connection::Row| (0..row.len()).map(|column| connect::text(row, column)).collect();
    found.iter().map(columns).collect::<Result<_, _>>().map_err(DatabaseError::from)
}
