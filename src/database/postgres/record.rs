//! Records migrations in a schema's ledger without running them: their objects exist already.

use super::{Postgres, apply::TRANSACTION, connection::Connection, lock, run_migration};
use crate::database::{ApplyError, Limits, MigrationFile, Schema, segments};

impl Postgres {
    pub(crate) async fn record(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let schema = self.schema_name(schema);
        segments::retry_locked(limits, async || {
            let mut connection = self.writer_for(limits).await?;
            let recorded = record(&mut connection, schema, files, limits).await;
            match recorded {
                Ok(()) => self.release_clean(connection).await,
                Err(_) => connection.close().await,
            }
            recorded
        })
        .await
    }
}

async fn record(
    connection: &mut Connection,
    schema: &str,
    files: &[MigrationFile],
    limits: &Limits,
) -> Result<(), ApplyError> {
    connection.rows(&run_migration::begin(limits)).await?;
    lock::schema(connection, schema, TRANSACTION, limits.nowait).await?;
    connection.rows(&run_migration::create_ledger(schema)).await?;
    for file in files {
        connection.rows(&run_migration::record(schema, file)).await?;
    }
    connection.rows("COMMIT").await.map(drop).map_err(Into::into)
}
