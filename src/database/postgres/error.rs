//! The error of a query, and its cause.

use std::{borrow::Cow, io};

use tokio_postgres::error::DbError;

use crate::{
    cause::{Cause, Code, Kind},
    database::{ApplyError, DatabaseError, ProvisionError},
};

/// The longest part of a server's message that is shown.
const MAX_TEXT: usize = 8 << 10;

/// The driver's text for a message that does not belong there.
pub(super) const UNEXPECTED: &str = "unexpected message from server";

/// Why a query failed.
#[derive(Debug)]
pub(crate) enum QueryError {
    /// The server's own error.
    Server(Box<DbError>),
    /// The connection broke, or the server did not respond in time.
    Io(io::Error),
    /// The answer is not in the expected protocol.
    Protocol(String),
    /// The answer exceeds the limit.
    TooLong(String),
    /// The answer has no row.
    NoRow,
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = error.to_string();
        let Some(source) = error.into_source() else {
            if text == UNEXPECTED {
                return Self::Protocol(text);
            }
            return Self::Io(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        };
        match source.downcast::<DbError>() {
            Ok(error) => Self::Server(error),
            Err(source) => match source.downcast::<io::Error>() {
                Ok(error) if text.starts_with("error communicating") => Self::Io(*error),
                Ok(error) => Self::Protocol(format!("{text}: {error}")),
                Err(source) => Self::Protocol(format!("{text}: {source}")),
            },
        }
    }
}

impl QueryError {
    /// The SQLSTATE.
    pub(super) fn code(&self) -> Option<&str> {
        self.server().map(|server| server.code().code())
    }

    /// A table or its schema does not exist.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.code(), Some("42P01" | "3F000"))
    }

    /// The session has ended, will end or does not respond.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.cause().kind, Kind::Lost | Kind::Silent | Kind::Protocol)
    }

    pub(super) fn server(&self) -> Option<&DbError> {
        match self {
            Self::Server(error) => Some(error),
            Self::Io(_) | Self::Protocol(_) | Self::TooLong(_) | Self::NoRow => None,
        }
    }

    /// The text is the server's text and the SQLSTATE.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Server(error) => server_cause(error),
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Cause { text: error.to_string(), ..Cause::io("", error) }
            }
            Self::Io(error) if is_protocol(error) => Cause::new(Kind::Protocol, error.to_string()),
            Self::Io(error) => Cause { kind: Kind::Lost, ..Cause::io("the connection broke", error) },
            Self::Protocol(text) => Cause::new(Kind::Protocol, text.clone()),
            Self::TooLong(text) => text.clone().into(),
            Self::NoRow => "the server returned no row".into(),
        }
    }
}

impl From<QueryError> for DatabaseError {
    fn from(error: QueryError) -> Self {
        Self::Failed(error.cause())
    }
}

/// An error that belongs to no file.
impl From<QueryError> for ApplyError {
    fn from(error: QueryError) -> Self {
        Self::of(error.cause())
    }
}

impl From<QueryError> for ProvisionError {
    fn from(error: QueryError) -> Self {
        ApplyError::from(error).into()
    }
}

/// The driver or [`super::message_limits`] refuses the bytes of the server.
pub(super) fn is_protocol(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
}

/// The message of the server with its detail and its hint.
pub(super) fn server_text(server: &DbError) -> String {
    let parts = [Some(server.message()), server.detail(), server.hint()];
    parts.into_iter().flatten().map(shortened).collect::<Vec<_>>().join("; ")
}

pub(super) fn server_cause(server: &DbError) -> Cause {
    let text = server_text(server);
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
