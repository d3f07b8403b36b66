//! Connections for changes: each is taken from those that are kept, or made, and given back.

use std::time::Duration;

use super::{
    DatabaseError, Postgres, connect,
    connection::{ANSWER, Connection},
    kept::USES,
    lock::{MARK, OURS},
    run::{self, Lifetime},
};
use crate::database::Limits;

impl Postgres {
    /// The same, whose statements may wait for a lock as the limits say.
    pub(super) async fn writer_for(&self, limits: &Limits) -> Result<Connection, DatabaseError> {
        let mut connection = self.writer().await?;
        connection.answers_within(ANSWER + limits.lock_timeout);
        Ok(connection)
    }

    /// A connection for changes, which names the run to whoever holds the lock after it.
    pub(super) async fn writer(&self) -> Result<Connection, DatabaseError> {
        if let Some(connection) = self.kept().await {
            return Ok(connection);
        }
        let name =
            if self.run.is_empty() { "portcullis".to_owned() } else { format!("{MARK}{}{OURS}", self.run) };
        let mut connection = connect::unless_full(async || run::primary(self.direct(), &name).await).await?;
        if !self.is_pooled() {
            let settings = run::session(&connection, Lifetime::Session);
            connection.rows(&settings).await.map_err(|error| connect::failed(&error))?;
        }
        Ok(connection)
    }

    /// One more that nobody uses, where they are kept.
    pub(crate) async fn log_in(&self) {
        if !self.is_pooled()
            && let Ok(connection) = self.writer().await
        {
            self.give_back_untouched(connection).await;
        }
    }

    /// One that was given back and still answers, as a new one would be.
    pub(super) async fn kept(&self) -> Option<Connection> {
        while let Some(mut connection) = self.kept.with(|kept| kept.as_mut()?.connections.pop()) {
            // One that is silent is given up soon: a new one may answer.
            connection.answers_within(Duration::from_secs(2));
            let settings = run::session(&connection, Lifetime::Session);
            let sql = format!("{settings}; SELECT pg_catalog.pg_is_in_recovery()::text");
            let answer = connection.rows(&sql).await;
            if answer.is_ok_and(|rows| rows.first().is_some_and(|row| !connect::flag(row, 0).unwrap_or(true)))
            {
                connection.answers_within(ANSWER);
                return Some(connection);
            }
        }
        None
    }

    /// Gives one back. Nothing of what was done on it stays: no setting, role, lock, cursor, statement or table of its own.
    pub(super) async fn give_back(&self, mut connection: Connection) {
        if self.kept.with(|kept| kept.is_none())
            || !connection.is_usable()
            || connection.rows("DISCARD ALL").await.is_err()
        {
            connection.close().await;
        } else {
            self.give_back_untouched(connection).await;
        }
    }

    /// The same, where nothing was done on it that could stay. Behind a pooler, a session is anybody's.
    pub(super) async fn give_back_untouched(&self, connection: Connection) {
        let pooled = self.is_pooled();
        let refused = self.kept.with(|kept| match kept {
            Some(spare) if !pooled => {
                spare.given_back += 1;
                if spare.given_back.is_multiple_of(USES) {
                    return Some(connection);
                }
                spare.connections.push(connection);
                None
            }
            _ => Some(connection),
        });
        if let Some(connection) = refused {
            connection.close().await;
        }
    }
}
