//! An open connection. Every query has a time limit.
//!
//! A server, a proxy or a backend may stop responding at any statement while its kernel still answers keepalives.
//! Portcullis's own queries (journal, registry, locks, BEGIN and COMMIT) get [`QUERY_TIMEOUT`] each or the caller's
//! limit; statements of migrations get the deadline of their migration.

use std::{io, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection as _, Either,
    postgres::{PgConnection, PgQueryResult, PgRow},
};

use crate::{deadline::Deadline, words::duration};

/// For one of Portcullis's own queries, unless another limit is configured.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// For the orderly end of a session; otherwise the server notices the closed socket.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection and the time limit of each query.
#[derive(Debug)]
pub(super) struct Connection {
    inner: PgConnection,
    query_timeout: Duration,
    /// A query timed out, so the state of the session is unknown.
    timed_out: bool,
}

impl Connection {
    pub(super) fn new(inner: PgConnection) -> Self {
        Self { inner, query_timeout: QUERY_TIMEOUT, timed_out: false }
    }

    /// Sets the time limit of the following queries.
    pub(super) fn set_query_timeout(&mut self, query_timeout: Duration) {
        self.query_timeout = query_timeout;
    }

    pub(super) fn server_version(&self) -> u32 {
        self.inner.server_version_num().unwrap_or_default()
    }

    /// Sends one simple-protocol message and reads every row. All columns must be text.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut rows = Vec::new();
        let take = &mut |answer| {
            if let Either::Right(row) = answer {
                rows.push(row);
            }
            Ok(())
        };
        self.stream(sql, take).await.map(|()| rows)
    }

    /// Runs several statements in one message. The error includes the number of completed ones.
    pub(super) async fn statements(
        &mut self,
        sql: &str,
        deadline: Deadline,
    ) -> Result<(), (usize, sqlx::Error)> {
        let mut done = 0;
        let take = &mut |answer: Either<PgQueryResult, PgRow>| {
            done += usize::from(answer.is_left());
            Ok(())
        };
        let outcome = self.stream_until(sql, deadline, take).await;
        outcome.map_err(|error| (done, error))
    }

    /// Runs statements that may take long, such as a large DROP or a COMMIT with deferred constraints.
    pub(super) async fn run(&mut self, sql: &str, deadline: Deadline) -> Result<(), sqlx::Error> {
        self.statements(sql, deadline).await.map_err(|(_, error)| error)
    }

    /// Passes every row and the end of every statement to `take` as they arrive.
    pub(super) async fn stream(
        &mut self,
        sql: &str,
        take: &mut dyn FnMut(Either<PgQueryResult, PgRow>) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        self.stream_until(sql, Deadline::after(self.query_timeout), take).await
    }

    async fn stream_until(
        &mut self,
        sql: &str,
        deadline: Deadline,
        take: &mut dyn FnMut(Either<PgQueryResult, PgRow>) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let limit = deadline.left();
        let all = async {
            let mut answers = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_many(&mut self.inner);
            while let Some(answer) = answers.try_next().await? {
                take(answer)?;
            }
            Ok(())
        };
        deadline.limit(all).await.unwrap_or_else(|_| {
            self.timed_out = true;
            Err(timeout_error(limit))
        })
    }

    /// Whether it still responds.
    pub(super) async fn is_alive(&mut self) -> bool {
        !self.timed_out && matches!(Deadline::after(CLOSE_TIMEOUT).limit(self.inner.ping()).await, Ok(Ok(())))
    }

    /// Whether further queries are possible.
    pub(super) fn is_usable(&self) -> bool {
        !self.timed_out
    }

    pub(super) async fn close(self) {
        if !self.timed_out {
            // On an error the server notices the closed socket.
            let _ = Deadline::after(CLOSE_TIMEOUT).limit(self.inner.close()).await;
        }
    }
}

/// The rows of a query on a connection that sqlx's listener owns.
pub(super) async fn rows_by(
    connection: &mut PgConnection,
    sql: &str,
    deadline: Deadline,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let limit = deadline.left();
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection);
    deadline.limit(rows).await.unwrap_or_else(|_| Err(timeout_error(limit)))
}

fn timeout_error(limit: Duration) -> sqlx::Error {
    let text = format!("the server did not respond within {}", duration(limit));
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}
