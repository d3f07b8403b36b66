//! A connection that only reads, and on which every name is looked up in `pg_catalog` alone.

use std::time::Duration;

use sqlx::{
    Connection,
    postgres::{PgConnection, PgRow},
};

use super::{DatabaseError, connect};
use crate::config;

/// For a lock that somebody else's DDL holds on what is looked at.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that only reads: each message is a READ ONLY transaction of its own, which also holds
/// through a pooler in transaction mode.
pub(super) struct Reading {
    connection: PgConnection,
    begin: String,
    end: &'static str,
}

impl Reading {
    pub(super) async fn open(config: &config::Postgres, timeout: Duration) -> Result<Self, DatabaseError> {
        let begin = format!(
            "BEGIN READ ONLY; SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = {}; \
             SET LOCAL lock_timeout = {}; ",
            timeout.as_millis().max(1),
            LOCK_TIMEOUT.min(timeout).as_millis().max(1),
        );
        Ok(Self { connection: connect::connect(config).await?, begin, end: "; COMMIT" })
    }

    /// Reads inside the transaction that this connection is in.
    pub(super) fn inside(connection: PgConnection) -> Self {
        Self { connection, begin: "SET LOCAL search_path = pg_catalog; ".into(), end: "" }
    }

    pub(super) fn into_inner(self) -> PgConnection {
        self.connection
    }

    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
        let message = format!("{}{sql}{}", self.begin, self.end);
        let answer = connect::rows(&mut self.connection, &message).await;
        if answer.is_err() && !self.end.is_empty() {
            // The rest of the message was not read: the failed transaction is still open.
            let _ = connect::rows(&mut self.connection, "ROLLBACK").await;
        }
        answer
    }

    pub(super) async fn close(self) {
        let _ = self.connection.close().await;
    }
}
