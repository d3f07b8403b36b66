//! An open connection. It cannot be asked anything without a limit in time.
//!
//! A server, a proxy or a backend may fall silent at any statement, while its kernel keeps the socket alive. Portcullis' own
//! questions (journal, registry, locks, BEGIN and COMMIT) get [`QUERY_TIMEOUT`] each, or what whoever asks has set; statements of
//! migrations get the deadline of their migration.

use std::{io, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection as _, Either,
    postgres::{PgConnection, PgQueryResult, PgRow},
};

use crate::{deadline::Deadline, words::duration};

/// For the answer to a question of Portcullis' own, unless something else is configured.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// For the end of a session that the server is told of; else it notices by the closed socket.
const CLOSE: Duration = Duration::from_secs(1);

/// A connection, and how long each question may take.
#[derive(Debug)]
pub(super) struct Connection {
    inner: PgConnection,
    each: Duration,
    /// An answer was not waited for: nobody knows what the session does now.
    silent: bool,
}

impl Connection {
    pub(super) fn new(inner: PgConnection) -> Self {
        Self { inner, each: QUERY_TIMEOUT, silent: false }
    }

    /// From now on each question gets so long.
    pub(super) fn answers_within(&mut self, each: Duration) {
        self.each = each;
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
        self.answers(sql, take).await.map(|()| rows)
    }

    /// Runs several statements in one message. The error comes with how many of them were done.
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
        let outcome = self.answers_until(sql, deadline, take).await;
        outcome.map_err(|error| (done, error))
    }

    /// Statements that may take long: to drop what is large, to commit what was deferred.
    pub(super) async fn run(&mut self, sql: &str, deadline: Deadline) -> Result<(), sqlx::Error> {
        self.statements(sql, deadline).await.map_err(|(_, error)| error)
    }

    /// Gives every row and the end of every statement away as they come.
    pub(super) async fn answers(
        &mut self,
        sql: &str,
        take: &mut dyn FnMut(Either<PgQueryResult, PgRow>) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        self.answers_until(sql, Deadline::after(self.each), take).await
    }

    async fn answers_until(
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
            self.silent = true;
            Err(silent(limit))
        })
    }

    /// Whether it still answers.
    pub(super) async fn is_alive(&mut self) -> bool {
        !self.silent && matches!(Deadline::after(CLOSE).limit(self.inner.ping()).await, Ok(Ok(())))
    }

    /// Whether it can be asked more.
    pub(super) fn is_usable(&self) -> bool {
        !self.silent
    }

    pub(super) async fn close(self) {
        if !self.silent {
            // The server notices anyway.
            let _ = Deadline::after(CLOSE).limit(self.inner.close()).await;
        }
    }
}

/// The same for a connection that sqlx's listener owns.
pub(super) async fn rows_by(
    connection: &mut PgConnection,
    sql: &str,
    deadline: Deadline,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let limit = deadline.left();
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection);
    deadline.limit(rows).await.unwrap_or_else(|_| Err(silent(limit)))
}

fn silent(limit: Duration) -> sqlx::Error {
    let text = format!("the server gave no answer in {}", duration(limit));
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}
