//! Converts the driver's errors. `sqlx::Error` is the error type of both engines.

use std::{error::Error, fmt, io};

use sqlx::error::{DatabaseError, ErrorKind};
use tokio_postgres::error::DbError;

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
