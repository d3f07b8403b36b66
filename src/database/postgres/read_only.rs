//! A read-only connection on which names are resolved only in `pg_catalog`.

use std::time::Duration;

use tokio_postgres::error::ErrorPosition;

use super::{
    DatabaseError, connect,
    connection::{Connection, Row},
    error::QueryError,
};
use crate::config;

/// For a lock that another session's DDL holds on an inspected object.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The server's error for a statement that timed out needs a moment to arrive.
const MARGIN: Duration = Duration::from_secs(2);

/// A row security policy that would hide rows is an error.
const UNFILTERED: &str = "SET LOCAL row_security = off";
const FIXED: &str = "SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off";

/// A read-only connection: each message is its own READ ONLY transaction, also through a pooler in transaction mode.
pub(super) struct Reading {
    connection: Connection,
    begin: String,
    /// The number of statements in `begin`.
    before: usize,
    end: &'static str,
}

impl Reading {
    pub(super) async fn open(config: &config::Postgres, timeout: Duration) -> Result<Self, DatabaseError> {
        Ok(Self::on(connect::connect(config).await?, timeout))
    }

    pub(super) fn on(mut connection: Connection, timeout: Duration) -> Self {
        connection.set_query_timeout(timeout + MARGIN);
        let begin = format!(
            "BEGIN READ ONLY; {FIXED}; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; ",
            timeout.as_millis().max(1),
            LOCK_TIMEOUT.min(timeout).as_millis().max(1),
        );
        Self { connection, begin, before: 5, end: "; COMMIT" }
    }

    /// Reads inside the connection's open transaction.
    pub(super) fn inside(connection: Connection) -> Self {
        Self { connection, begin: format!("{FIXED}; "), before: 2, end: "" }
    }

    /// Applies row security policies, as for the application. It is only for checks whether a table can be read.
    pub(super) fn under_policies(self) -> Self {
        let begin = self.begin.replace(UNFILTERED, "SET LOCAL row_security = on");
        Self { begin, ..self }
    }

    pub(super) fn server_version(&self) -> u32 {
        self.connection.server_version()
    }

    pub(super) fn into_inner(self) -> Connection {
        self.connection
    }

    /// The rows of one statement.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        let (_, outcome) = self
            .each(&[sql], &mut |_, row| {
                rows.push(row);
                Ok(())
            })
            .await;
        outcome.map(|()| rows)
    }

    /// Runs several statements in one message and passes each row with its statement's position to `take`. Returns the
    /// number of completed statements; after an error, the next statement is the failed one.
    pub(super) async fn each<S: AsRef<str>>(
        &mut self,
        statements: &[S],
        take: &mut dyn FnMut(usize, Row) -> Result<(), QueryError>,
    ) -> (usize, Result<(), QueryError>) {
        let mut message = self.begin.clone();
        for (index, statement) in statements.iter().enumerate() {
            message += if index == 0 { "" } else { "; " };
            message += statement.as_ref();
        }
        message += self.end;
        let mut done = 0;
        let before = self.before;
        let outcome = self
            .connection
            .stream(&message, &mut |answer| match answer {
                None => {
                    done += 1;
                    Ok(())
                }
                Some(row) => take(usize::saturating_sub(done, before), row),
            })
            .await;
        if outcome.is_err() && !self.end.is_empty() && self.connection.is_usable() {
            // The server ignored the rest of the message, so the failed transaction is still open.
            self.connection.roll_back().await;
        }
        (done.saturating_sub(self.before).min(statements.len()), outcome)
    }

    /// The error's position in the last statements, in characters from one.
    pub(super) fn position(&self, error: &QueryError) -> Option<usize> {
        match error.server()?.position()? {
            ErrorPosition::Original(position) => {
                usize::try_from(*position).ok()?.checked_sub(self.begin.chars().count())
            }
            ErrorPosition::Internal { .. } => None,
        }
    }

    pub(super) async fn close(self) {
        self.connection.close().await;
    }
}
