//! A connection that only reads, and on which every name is looked up in `pg_catalog` alone.

use std::time::Duration;

use sqlx::{
    Either,
    postgres::{PgErrorPosition, PgRow},
};

use super::{DatabaseError, connect, connection::Connection};
use crate::config;

/// For a lock that somebody else's DDL holds on what is looked at.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The server cancels a statement at its time-out; the answer that says so takes a moment.
const MARGIN: Duration = Duration::from_secs(2);

/// A policy that would hide rows is an error.
const UNFILTERED: &str = "SET LOCAL row_security = off";
const FIXED: &str = "SET LOCAL search_path = pg_catalog; SET LOCAL row_security = off";

/// A connection that only reads: each message is a READ ONLY transaction of its own, which also holds
/// through a pooler in transaction mode.
pub(super) struct Reading {
    connection: Connection,
    begin: String,
    /// How many statements `begin` is.
    before: usize,
    end: &'static str,
}

impl Reading {
    pub(super) async fn open(config: &config::Postgres, timeout: Duration) -> Result<Self, DatabaseError> {
        Ok(Self::on(connect::connect(config).await?, timeout))
    }

    pub(super) fn on(mut connection: Connection, timeout: Duration) -> Self {
        connection.answers_within(timeout + MARGIN);
        let begin = format!(
            "BEGIN READ ONLY; {FIXED}; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; ",
            timeout.as_millis().max(1),
            LOCK_TIMEOUT.min(timeout).as_millis().max(1),
        );
        Self { connection, begin, before: 5, end: "; COMMIT" }
    }

    /// Reads inside the transaction that this connection is in.
    pub(super) fn inside(connection: Connection) -> Self {
        Self { connection, begin: format!("{FIXED}; "), before: 2, end: "" }
    }

    /// From here on rows are filtered by the policies of their tables, as for the application: only to see whether a table
    /// can be read at all.
    pub(super) fn under_policies(self) -> Self {
        let begin = self.begin.replace(UNFILTERED, "SET LOCAL row_security = on");
        Self { begin, ..self }
    }

    pub(super) fn into_inner(self) -> Connection {
        self.connection
    }

    /// The rows of one statement.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut rows = Vec::new();
        let (_, outcome) = self
            .each(&[sql], &mut |_, row| {
                rows.push(row);
                Ok(())
            })
            .await;
        outcome.map(|()| rows)
    }

    /// Asks several statements in one message, and gives each row away with its statement's position. Returns how
    /// many were answered whole: where that is not all of them, the next one is the one that failed.
    pub(super) async fn each<S: AsRef<str>>(
        &mut self,
        statements: &[S],
        take: &mut dyn FnMut(usize, PgRow) -> Result<(), sqlx::Error>,
    ) -> (usize, Result<(), sqlx::Error>) {
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
            .answers(&message, &mut |answer| match answer {
                Either::Left(_) => {
                    done += 1;
                    Ok(())
                }
                Either::Right(row) => take(usize::saturating_sub(done, before), row),
            })
            .await;
        if outcome.is_err() && !self.end.is_empty() && self.connection.is_usable() {
            // The rest of the message was not read: the failed transaction is still open.
            let _ = self.connection.rows("ROLLBACK").await;
        }
        (done.saturating_sub(self.before).min(statements.len()), outcome)
    }

    /// Where in what was asked last the server points, in characters from one.
    pub(super) fn position(&self, error: &sqlx::Error) -> Option<usize> {
        match connect::server(error)?.position()? {
            PgErrorPosition::Original(position) => position.checked_sub(self.begin.chars().count()),
            PgErrorPosition::Internal { .. } => None,
        }
    }

    pub(super) async fn close(self) {
        self.connection.close().await;
    }
}
