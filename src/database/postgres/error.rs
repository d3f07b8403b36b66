//! Converts the driver's errors, and names their causes. `sqlx::Error` is the error type of both engines.

use std::{borrow::Cow, error::Error, fmt, io};

use sqlx::error::{DatabaseError, ErrorKind};
use tokio_postgres::error::DbError;

use super::super::DatabaseError as Failed;
use crate::cause::{Cause, Code, Kind};

/// The longest part of a server's message that is shown.
const MAX_TEXT: usize = 8 << 10;

/// An error that the server sent.
#[derive(Debug)]
pub(super) struct ServerError(pub(super) DbError);

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ServerError {}

impl DatabaseError for ServerError {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// The error of a query, or of the connection during it.
pub(super) fn query_error(error: tokio_postgres::Error) -> sqlx::Error {
    let text = error.to_string();
    let Some(source) = error.into_source() else {
        if text == UNEXPECTED {
            return sqlx::Error::Protocol(text);
        }
        return sqlx::Error::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    };
    match source.downcast::<DbError>() {
        Ok(error) => sqlx::Error::from(ServerError(*error)),
        Err(source) => match source.downcast::<io::Error>() {
            Ok(error) if text.starts_with("error communicating") => sqlx::Error::Io(*error),
            Ok(error) => sqlx::Error::Protocol(format!("{text}: {error}")),
            Err(source) => sqlx::Error::Protocol(format!("{text}: {source}")),
        },
    }
}

/// The driver's text for a message that does not belong there.
pub(super) const UNEXPECTED: &str = "unexpected message from server";

/// The driver or [`super::message_limits`] refuses the bytes of the server.
pub(super) fn is_protocol(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
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
            sqlx::Error::Io(error) if is_protocol(error) => Cause::new(Kind::Protocol, error.to_string()),
            sqlx::Error::Io(error) => Cause { kind: Kind::Lost, ..Cause::io("the connection broke", error) },
            sqlx::Error::Protocol(text) => Cause::new(Kind::Protocol, text),
            sqlx::Error::Tls(error) => Cause::new(Kind::Lost, error.to_string()),
            sqlx::Error::Decode(error) => error.to_string().into(),
            other => other.to_string().into(),
        };
    };
    server_cause(server)
}

pub(super) fn server_cause(server: &DbError) -> Cause {
    let parts = [Some(server.message()), server.detail(), server.hint()];
    let text: Vec<_> = parts.into_iter().flatten().map(shortened).collect();
    let text = text.join("; ");
    let code = server.code().code();
    let text = format!("{text} (SQLSTATE {code})");
    // Row security has the same SQLSTATE as a missing privilege; only the server's routine differs.
    let kind = match server.routine() {
        Some("check_enable_rls") => Kind::RowSecurity,
        _ => Kind::of_sqlstate(code),
    };
    Cause { kind, code: Code::sqlstate(code), text }
}

/// A message of the server may contain a statement of any length.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return text.into();
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{} ... ({} bytes)", &text[..end], text.len()).into()
}

/// The error of a failed statement.
pub(super) fn failed(error: &sqlx::Error) -> Failed {
    Failed::Failed(cause(error))
}

/// The session has ended, will end or does not respond.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    matches!(cause(error).kind, Kind::Lost | Kind::Silent | Kind::Protocol)
}
