//! Connects to PostgreSQL, reads rows, and classifies the errors of queries.

use std::{io, time::Duration};

use tokio_postgres::error::DbError;

use super::{
    super::DatabaseError,
    connection::{Connection, Row},
    error::{ServerError, query_error},
    login::Login,
};
use crate::{
    cause::{Cause, Code, Kind},
    config,
    deadline::Deadline,
};

/// The time limit and the pause of retries while the server has no free connection.
const FULL_TIMEOUT: Duration = Duration::from_secs(30);
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// Opens a new connection: resolves the name and reads the password again.
pub(super) async fn connect(config: &config::Postgres) -> Result<Connection, DatabaseError> {
    connect_as(config, None).await
}

/// The same with this application name.
pub(super) async fn connect_as(
    config: &config::Postgres,
    name: Option<&str>,
) -> Result<Connection, DatabaseError> {
    // A login is large, and every caller would contain it.
    Box::pin(async { Login::read(config, name).await?.connect().await }).await
}

/// Retries while the server, the database or the role has no free connection.
pub(super) async fn retry_while_full<T>(
    connect: impl AsyncFn() -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let deadline = Deadline::after(FULL_TIMEOUT);
    loop {
        match connect().await {
            Err(DatabaseError::NotYet(why))
                if why.kind == Kind::TooManyConnections && !deadline.has_passed() =>
            {
                tokio::time::sleep(FULL_PAUSE.mul_f64(0.5 + fastrand::f64())).await;
            }
            answer => return answer,
        }
    }
}

pub(super) fn text(row: &Row, column: usize) -> Result<Option<String>, sqlx::Error> {
    Ok(raw_text(row, column)?.map(str::to_owned))
}

/// One boolean column, cast to text.
pub(super) fn flag(row: &Row, column: usize) -> Result<bool, sqlx::Error> {
    Ok(raw_text(row, column)? == Some("true"))
}

/// An unsigned number in a column of the first row.
pub(super) fn number(rows: &[Row], column: usize) -> Result<u64, sqlx::Error> {
    let value = rows.first().map(|row| text(row, column)).transpose()?.flatten();
    value.and_then(|value| value.parse().ok()).ok_or(sqlx::Error::RowNotFound)
}

/// A column's text representation, for any type.
pub(super) fn raw_text(row: &Row, column: usize) -> Result<Option<&str>, sqlx::Error> {
    row.try_get(column).map_err(query_error)
}

/// A column with a count.
pub(super) fn number_at(row: &Row, column: usize) -> Result<usize, sqlx::Error> {
    let text = raw_text(row, column)?.unwrap_or_default();
    text.parse().map_err(|_| sqlx::Error::Protocol(format!("`{text}` is not a number")))
}

/// The SQLSTATE.
pub(super) fn code(error: &sqlx::Error) -> Option<&str> {
    server_error(error).map(|server| server.code().code())
}

/// A table or its schema does not exist.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    matches!(code(error), Some("42P01" | "3F000"))
}

/// The server's error without sqlx's additions.
pub(super) fn server_error(error: &sqlx::Error) -> Option<&DbError> {
    error.as_database_error()?.try_downcast_ref::<ServerError>().map(|error| &error.0)
}

/// The cause of a statement's error. The text is the server's text and the SQLSTATE.
pub(super) fn cause(error: &sqlx::Error) -> Cause {
    let Some(server) = server_error(error) else {
        return match error {
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Cause { text: error.to_string(), ..Cause::io("", error) }
            }
            sqlx::Error::Io(error) => Cause { kind: Kind::Lost, ..Cause::io("the connection broke", error) },
            sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => Cause::new(Kind::Lost, error.to_string()),
            other => other.to_string().into(),
        };
    };
    server_cause(server)
}

pub(super) fn server_cause(server: &DbError) -> Cause {
    let mut text = server.message().to_owned();
    for more in [server.detail(), server.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    let code = server.code().code();
    let text = format!("{text} (SQLSTATE {code})");
    // Row security has the same SQLSTATE as a missing privilege; only the server's routine differs.
    let kind = match server.routine() {
        Some("check_enable_rls") => Kind::RowSecurity,
        _ => Kind::of_sqlstate(code),
    };
    Cause { kind, code: Code::sqlstate(code), text }
}

/// The error of a failed statement.
pub(super) fn failed(error: &sqlx::Error) -> DatabaseError {
    DatabaseError::Failed(cause(error))
}

/// The session has ended, will end or does not respond.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    matches!(cause(error).kind, Kind::Lost | Kind::Silent)
}
