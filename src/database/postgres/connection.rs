//! An open connection. Every query has a time limit.
//!
//! A server, a proxy or a backend may stop responding at any statement while its kernel still answers keepalives.
//! Portcullis's own queries (journal, registry, locks, BEGIN and COMMIT) get [`QUERY_TIMEOUT`] each or the caller's
//! limit; statements of migrations get the deadline of their migration.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::TryStreamExt;
use tokio_postgres::{AsyncMessage, Client, SimpleQueryMessage};

use super::{
    error::{QueryError, server_text},
    stream::{PlainSocket, TlsSocket},
};
use crate::{database::notices::FileNotices, deadline::Deadline, words::duration};

pub(super) use tokio_postgres::SimpleQueryRow as Row;

/// For one of Portcullis's own queries, unless another limit is configured.
pub(super) const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The rows of one message to the server, in memory. The registry of 100,000 tenants needs two thirds of it.
const MAX_ANSWER: usize = 32 << 20;

/// For a ROLLBACK with the rest of an unread answer. The server rolls back by itself when the connection is closed.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(10);

/// For the orderly end of a session; otherwise the server notices the closed socket.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The part of a connection that moves bytes.
pub(super) type Driver = tokio_postgres::Connection<PlainSocket, TlsSocket>;

/// A connection and the time limit of each query.
pub(super) struct Connection {
    client: Client,
    events: Events,
    server_version: u32,
    query_timeout: Duration,
    /// A query timed out, so the state of the session is unknown.
    timed_out: bool,
    /// The prepared statement of a replay. None if the session may have been used for anything else since.
    prepared: Option<&'static str>,
}

/// The messages that the server sends by itself. The driver only runs during a call, so a dropped connection is closed
/// at once.
struct Events {
    /// None after the end of the connection.
    driver: Option<Box<Driver>>,
    /// The number of unread notifications.
    notifications: usize,
    /// Receives the messages (NOTICE, WARNING) of a file.
    notices: Option<FileNotices>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("timed_out", &self.timed_out).finish_non_exhaustive()
    }
}

impl Events {
    /// Moves bytes in both directions. Ready with the reason if the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<QueryError> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(closed()) };
        let ended = loop {
            match driver.poll_message(cx) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => self.notifications += 1,
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => {
                    if let Some(notices) = &mut self.notices {
                        let level = notice
                            .parsed_severity()
                            .map_or_else(|| notice.severity().to_owned(), |level| level.to_string());
                        notices.note(&level, &server_text(&notice));
                    }
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => break error.into(),
                Poll::Ready(None) => break closed(),
                Poll::Pending => return Poll::Pending,
            }
        };
        self.driver = None;
        Poll::Ready(ended)
    }
}

fn closed() -> QueryError {
    QueryError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"))
}

impl Connection {
    pub(super) fn new(client: Client, driver: Driver) -> Self {
        let server_version = driver.parameter("server_version").map_or(0, version_number);
        let events = Events { driver: Some(Box::new(driver)), notifications: 0, notices: None };
        Self {
            client,
            events,
            server_version,
            query_timeout: QUERY_TIMEOUT,
            timed_out: false,
            prepared: None,
        }
    }

    /// Sets the time limit of the following queries.
    pub(super) fn set_query_timeout(&mut self, query_timeout: Duration) {
        self.query_timeout = query_timeout;
    }

    pub(super) fn prepared(&self) -> Option<&'static str> {
        self.prepared
    }

    pub(super) fn set_prepared(&mut self, prepared: Option<&'static str>) {
        self.prepared = prepared;
    }

    /// Sets the receiver of the messages that the following queries cause.
    pub(super) fn set_notices(&mut self, notices: Option<FileNotices>) {
        self.events.notices = notices;
    }

    /// As in `server_version_num`: 150018 for 15.18.
    pub(super) fn server_version(&self) -> u32 {
        self.server_version
    }

    /// Sends one simple-protocol message and reads every row. All columns must be text.
    pub(super) async fn rows(&mut self, sql: &str) -> Result<Vec<Row>, QueryError> {
        self.rows_until(sql, Deadline::after(self.query_timeout)).await
    }

    /// The same with another time limit.
    pub(super) async fn rows_until(&mut self, sql: &str, deadline: Deadline) -> Result<Vec<Row>, QueryError> {
        let mut rows = Vec::new();
        let take = &mut |answer| {
            rows.extend(answer);
            Ok(())
        };
        self.limited(sql, deadline, take).await.map(|()| rows)
    }

    /// Runs several statements in one message. The error includes the number of completed ones.
    pub(super) async fn statements(
        &mut self,
        sql: &str,
        deadline: Deadline,
    ) -> Result<(), (usize, QueryError)> {
        let mut done = 0;
        let take = &mut |answer: Option<Row>| {
            done += usize::from(answer.is_none());
            Ok(())
        };
        let outcome = self.stream_until(sql, deadline, take).await;
        outcome.map_err(|error| (done, error))
    }

    /// The same with the rows of all statements.
    pub(super) async fn rows_of_statements(
        &mut self,
        sql: &str,
        deadline: Deadline,
    ) -> Result<Vec<Row>, (usize, QueryError)> {
        let (mut rows, mut done) = (Vec::new(), 0);
        let take = &mut |answer: Option<Row>| {
            done += usize::from(answer.is_none());
            rows.extend(answer);
            Ok(())
        };
        let outcome = self.stream_until(sql, deadline, take).await;
        outcome.map(|()| rows).map_err(|error| (done, error))
    }

    /// Runs statements that may take long, such as a large DROP or a COMMIT with deferred constraints.
    pub(super) async fn run(&mut self, sql: &str, deadline: Deadline) -> Result<(), QueryError> {
        self.statements(sql, deadline).await.map_err(|(_, error)| error)
    }

    /// Ends a failed transaction. What remains of its answer is read first, which an endless answer prevents.
    pub(super) async fn roll_back(&mut self) {
        let deadline = Deadline::after(self.query_timeout.min(ROLLBACK_TIMEOUT));
        let _ = self.rows_until("ROLLBACK", deadline).await;
    }

    /// Passes every row, and None at the end of every statement, to `take` as they arrive.
    pub(super) async fn stream(
        &mut self,
        sql: &str,
        take: &mut dyn FnMut(Option<Row>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.limited(sql, Deadline::after(self.query_timeout), take).await
    }

    /// Portcullis keeps what it reads, so an endless answer is an error.
    async fn limited(
        &mut self,
        sql: &str,
        deadline: Deadline,
        take: &mut dyn FnMut(Option<Row>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let (mut left, mut columns) = (MAX_ANSWER, std::ptr::null());
        let take = &mut |answer: Option<Row>| {
            let size = answer.as_ref().map_or(0, |row| {
                let before = std::mem::replace(&mut columns, row.columns().as_ptr());
                memory(row, before != columns)
            });
            left = left.checked_sub(size).ok_or_else(|| {
                let text = format!("the server's answer exceeds {} MiB", MAX_ANSWER >> 20);
                QueryError::TooLong(text)
            })?;
            take(answer)
        };
        self.stream_until(sql, deadline, take).await
    }

    async fn stream_until(
        &mut self,
        sql: &str,
        deadline: Deadline,
        take: &mut dyn FnMut(Option<Row>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let limit = deadline.left();
        let client = &self.client;
        let query = async {
            let mut answers = pin!(client.simple_query_raw(sql).await?);
            while let Some(answer) = answers.try_next().await? {
                match answer {
                    SimpleQueryMessage::Row(row) => take(Some(row))?,
                    SimpleQueryMessage::CommandComplete(_) => take(None)?,
                    _ => {}
                }
            }
            Ok(())
        };
        let outcome = deadline.limit(drive(&mut self.events, query)).await;
        outcome.unwrap_or_else(|_| {
            self.timed_out = true;
            let text = format!("the server did not respond within {}", duration(limit));
            Err(QueryError::Io(io::Error::new(io::ErrorKind::TimedOut, text)))
        })
    }

    /// Waits for a notification (`LISTEN`). Cancel safe.
    pub(super) async fn notification(&mut self) -> Result<(), QueryError> {
        poll_fn(|cx| {
            let ended = self.events.poll(cx);
            match (std::mem::take(&mut self.events.notifications), ended) {
                (0, Poll::Ready(error)) => Poll::Ready(Err(error)),
                (0, Poll::Pending) => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Whether it still responds.
    pub(super) async fn is_alive(&mut self) -> bool {
        !self.timed_out && self.rows_until("", Deadline::after(CLOSE_TIMEOUT)).await.is_ok()
    }

    /// Whether further queries are possible.
    pub(super) fn is_usable(&self) -> bool {
        !self.timed_out
    }

    pub(super) async fn close(self) {
        let Self { client, mut events, timed_out, .. } = self;
        if !timed_out {
            drop(client);
            // On an error the server notices the closed socket.
            let _ = Deadline::after(CLOSE_TIMEOUT).limit(poll_fn(|cx| events.poll(cx))).await;
        }
    }
}

/// What a row occupies, with the names of its columns if they are not those of the row before.
fn memory(row: &Row, new_columns: bool) -> usize {
    let value = |at| row.try_get(at).ok().flatten().map_or(0, str::len);
    let column = if new_columns { 128 } else { 32 };
    (0..row.len()).map(|at| column + value(at)).sum::<usize>() + size_of::<Row>()
}

/// Runs a query and moves its bytes. The end of the connection is its result, unless the server's error came first.
async fn drive<T>(
    events: &mut Events,
    query: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    let mut query = pin!(query);
    poll_fn(|cx| {
        // The first poll of a query sends it.
        if let Poll::Ready(result) = query.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        let ended = events.poll(cx);
        match (query.as_mut().poll(cx), ended) {
            (Poll::Ready(Err(QueryError::Io(_))) | Poll::Pending, Poll::Ready(error)) => {
                Poll::Ready(Err(error))
            }
            (result, _) => result,
        }
    })
    .await
}

/// The number of a version such as `15.18 (Debian 15.18-0)`, `9.6.24` or `19beta1`.
fn version_number(version: &str) -> u32 {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .next()
        .unwrap_or_default()
        .split('.')
        .map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    match (next(), next()) {
        (major, minor) if major >= 10 => major * 10_000 + minor,
        (major, minor) => major * 10_000 + minor * 100 + next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_version_has_the_number_of_server_version_num() {
        for (version, number) in [
            ("15.18 (Debian 15.18-0+deb12u1)", 150_018),
            ("9.6.24", 90_624),
            ("19beta1", 190_000),
            ("17.2", 170_002),
        ] {
            assert_eq!(version_number(version), number, "{version}");
        }
    }
}
