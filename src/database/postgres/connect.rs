//! Connects to PostgreSQL. Its callers also find the columns of rows and the causes of errors here.

use std::time::Duration;

pub(super) use super::columns::{flag, number, number_at, raw_text, text};
use super::{super::DatabaseError, connection::Connection, login::Login};
use crate::{
    cause::Kind,
    config,
    deadline::Deadline,
    retry::{Pauses, Retry},
};

/// While the server has no free connection.
const FULL_TIMEOUT: Duration = Duration::from_mins(1);
const FULL_PAUSES: Pauses = Pauses::even(Duration::from_millis(300));

/// Opens a new connection, as soon as one is free.
pub(super) async fn connect(config: &config::Postgres) -> Result<Connection, DatabaseError> {
    connect_as(config, None).await
}

/// The same with this application name.
pub(super) async fn connect_as(
    config: &config::Postgres,
    name: Option<&str>,
) -> Result<Connection, DatabaseError> {
    let mut retry = Retry::new(FULL_PAUSES).until(Deadline::after(FULL_TIMEOUT));
    let mut login = None;
    loop {
        let answer = log_in(config, name, &mut login).await;
        let is_full =
            matches!(&answer, Err(DatabaseError::NotYet(why)) if why.kind == Kind::TooManyConnections);
        if !is_full || !retry.pause().await {
            return answer;
        }
    }
}

/// The same without a wait, for callers that wait themselves. It resolves the name and reads the password again. A
/// refused password is read once more: it may have been rotated, or have expired.
pub(super) async fn connect_once(
    config: &config::Postgres,
    name: Option<&str>,
) -> Result<Connection, DatabaseError> {
    log_in(config, name, &mut None).await
}

/// `login` keeps the password and the certificates for the next attempt on a server without a free connection.
async fn log_in<'c>(
    config: &'c config::Postgres,
    name: Option<&'c str>,
    login: &mut Option<Login<'c>>,
) -> Result<Connection, DatabaseError> {
    // A login is large, and every caller would contain it.
    Box::pin(async {
        let first = match login {
            Some(first) => first,
            None => login.insert(Login::read(config, name, None).await?),
        };
        let outcome = first.connect().await;
        if !matches!(&outcome, Err(error) if error.is_refused_password()) {
            return outcome;
        }
        let second = Login::read(config, name, Some(first)).await?;
        let outcome = if second.has_same_password(first) { outcome } else { second.connect().await };
        outcome.map_err(|error| error.of_token(&config.password))
    })
    .await
}
