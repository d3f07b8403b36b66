//! Acquires connections for changes, from the pool or newly opened, and releases them.

use std::time::Duration;

use super::{
    DatabaseError, Postgres, connect,
    connection::{Connection, QUERY_TIMEOUT},
    connection_pool::{CACHED_BY_USE, CACHED_PER_CLOSE},
    lock::{NATIVE_SUFFIX, RUN_PREFIX},
    run_migration::{self, Lifetime},
};
use crate::database::Limits;

/// Selects a text that identifies the database: equal on all its connections, with any role and settings, and unique.
const IDENTITY: &str = "SELECT pg_catalog.current_database() || ' ' || d.oid || ' ' || \
    (EXTRACT(EPOCH FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint FROM pg_catalog.pg_database d \
    WHERE d.datname = pg_catalog.current_database()";

/// A connection of the pool that does not respond is replaced soon, because a new one may work.
const REUSE_TIMEOUT: Duration = Duration::from_secs(2);

impl Postgres {
    /// A writer whose statements may wait for a lock up to the limit.
    pub(super) async fn writer_for(&self, limits: &Limits) -> Result<Connection, DatabaseError> {
        let mut connection = self.writer().await?;
        connection.set_query_timeout(QUERY_TIMEOUT + limits.lock_timeout);
        Ok(connection)
    }

    /// A connection for changes. Its application name tells the next holder of the lock which run it belongs to.
    pub(super) async fn writer(&self) -> Result<Connection, DatabaseError> {
        if let Some(connection) = self.pooled_writer().await {
            return Ok(connection);
        }
        let name = if self.run.is_empty() {
            "portcullis".to_owned()
        } else {
            format!("{RUN_PREFIX}{}{NATIVE_SUFFIX}", self.run)
        };
        let mut connection = run_migration::primary(self.direct(), &name).await?;
        if !self.is_pooled() {
            let settings = run_migration::session(&connection, Lifetime::Session);
            connection.rows(&settings).await?;
        }
        Ok(connection)
    }

    pub(crate) async fn identity(&self) -> Result<(String, String), DatabaseError> {
        let mut connection = self.writer().await?;
        let rows = connection.rows(IDENTITY).await?;
        self.release_clean(connection).await;
        let text = rows.first().map(|row| connect::text(row, 0)).transpose();
        let text = text?.flatten().unwrap_or_default();
        Ok((IDENTITY.into(), text))
    }

    /// Adds an idle connection to an open pool.
    pub(crate) async fn log_in(&self) {
        if !self.is_pooled()
            && let Ok(connection) = self.writer().await
        {
            self.release_clean(connection).await;
        }
    }

    /// A connection of the pool that a replay has released: it has the settings of a new one and the prepared statement.
    pub(super) fn prepared_writer(&self, statement: &str) -> Option<Connection> {
        self.writer_pool.with(|writer_pool| {
            let idle = &mut writer_pool.as_mut()?.connections;
            let at = idle.iter().rposition(|connection| connection.prepared() == Some(statement))?;
            let mut connection = idle.swap_remove(at);
            connection.set_query_timeout(REUSE_TIMEOUT);
            Some(connection)
        })
    }

    /// A connection of the pool that still responds, with the settings of a new one.
    pub(super) async fn pooled_writer(&self) -> Option<Connection> {
        while let Some(mut connection) =
            self.writer_pool.with(|writer_pool| writer_pool.as_mut()?.connections.pop())
        {
            connection.set_prepared(None);
            connection.set_query_timeout(REUSE_TIMEOUT);
            let settings = run_migration::session(&connection, Lifetime::Session);
            let sql = format!("{settings}; SELECT pg_catalog.pg_is_in_recovery()::text");
            let answer = connection.rows(&sql).await;
            if answer.is_ok_and(|rows| rows.first().is_some_and(|row| !connect::flag(row, 0).unwrap_or(true)))
            {
                connection.set_query_timeout(QUERY_TIMEOUT);
                return Some(connection);
            }
        }
        None
    }

    /// Releases a connection without its session state: settings, role, locks, cursors, statements, temporary tables.
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

    /// Releases a connection without session state. Behind a pooler it is closed, because its session may belong to
    /// another client.
    pub(super) async fn release_clean(&self, connection: Connection) {
        self.release_after(connection, CACHED_BY_USE).await;
    }

    /// The same after a use that has added this much to the server's cache.
    pub(super) async fn release_after(&self, connection: Connection, cached: u32) {
        let pooled = self.is_pooled();
        let surplus = self.writer_pool.with(|writer_pool| match writer_pool {
            Some(idle_connections) if !pooled => {
                idle_connections.cached += cached;
                if idle_connections.cached >= CACHED_PER_CLOSE {
                    idle_connections.cached = 0;
                    return Some(connection);
                }
                idle_connections.connections.push(connection);
                None
            }
            _ => Some(connection),
        });
        if let Some(connection) = surplus {
            connection.close().await;
        }
    }
}
