//! Connects to PostgreSQL. Its callers also find the columns of rows and the causes of errors here.

use std::time::Duration;

use super::{super::DatabaseError, connection::Connection, login::Login};
pub(super) use super::{
    columns::{flag, number, number_at, raw_text, text},
    error::{cause, code, failed, is_lost, is_missing, server_error},
};
use crate::{cause::Kind, config, deadline::Deadline};

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
