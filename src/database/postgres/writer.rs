//! Connections for changes: each is taken from those that are kept, or made, and given back.

use std::time::Duration;

use super::{
    DatabaseError, Postgres, connect,
    connection::{Connection, QUERY_TIMEOUT},
    connection_pool::USES,
    lock::{OURS, OWNERSHIP_TAG},
    run_migration::{self, Lifetime},
};
use crate::database::Limits;

impl Postgres {
    /// The same, whose statements may wait for a lock as the limits say.
    pub(super) async fn writer_for(&self, limits: &Limits) -> Result<Connection, DatabaseError> {
        let mut connection = self.writer().await?;
        connection.answers_within(QUERY_TIMEOUT + limits.lock_timeout);
        Ok(connection)
    }

    /// A connection for changes, which names the run to whoever holds the lock after it.
    pub(super) async fn writer(&self) -> Result<Connection, DatabaseError> {
        if let Some(connection) = self.writer_pool().await {
            return Ok(connection);
        }
        let name = if self.run.is_empty() {
            "portcullis".to_owned()
        } else {
            format!("{OWNERSHIP_TAG}{}{OURS}", self.run)
        };
        let mut connection =
            connect::unless_full(async || run_migration::primary(self.direct(), &name).await).await?;
        if !self.is_pooled() {
            let settings = run_migration::session(&connection, Lifetime::Session);
            connection.rows(&settings).await.map_err(|error| connect::failed(&error))?;
        }
        Ok(connection)
    }

    /// One more that nobody uses, where they are kept.
    pub(crate) async fn log_in(&self) {
        if !self.is_pooled()
            && let Ok(connection) = self.writer().await
        {
            self.release_clean(connection).await;
        }
    }

    /// One that was given back and still answers, as a new one would be.
    pub(super) async fn writer_pool(&self) -> Option<Connection> {
        while let Some(mut connection) =
            self.writer_pool.with(|writer_pool| writer_pool.as_mut()?.connections.pop())
        {
            // One that is silent is given up soon: a new one may answer.
            connection.answers_within(Duration::from_secs(2));
            let settings = run_migration::session(&connection, Lifetime::Session);
            let sql = format!("{settings}; SELECT pg_catalog.pg_is_in_recovery()::text");
            let answer = connection.rows(&sql).await;
            if answer.is_ok_and(|rows| rows.first().is_some_and(|row| !connect::flag(row, 0).unwrap_or(true)))
            {
                connection.answers_within(QUERY_TIMEOUT);
                return Some(connection);
            }
        }
        None
    }

    /// Gives one back. Nothing of what was done on it stays: no setting, role, lock, cursor, statement or table of its own.
    pub(super) async fn release(&self, mut connection: Connection) {
        if self.writer_pool.with(|writer_pool| writer_pool.is_none())
            || !connection.is_usable()
            || connection.rows("DISCARD ALL").await.is_err()
        {
            connection.close().await;
        } else {
            self.release_clean(connection).await;
        }
    }

    /// The same, where nothing was done on it that could stay. Behind a pooler, a session is anybody's.
    pub(super) async fn release_clean(&self, connection: Connection) {
        let pooled = self.is_pooled();
        let refused = self.writer_pool.with(|writer_pool| match writer_pool {
            Some(idle_connections) if !pooled => {
                idle_connections.released += 1;
                if idle_connections.released.is_multiple_of(USES) {
                    return Some(connection);
                }
                idle_connections.connections.push(connection);
                None
            }
            _ => Some(connection),
        });
        if let Some(connection) = refused {
            connection.close().await;
        }
    }
}
