//! Connecting to PostgreSQL, and what its errors mean.

use std::{io, path::Path, time::Duration};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, ValueRef,
    postgres::{
        PgConnectOptions, PgConnection, PgDatabaseError, PgListener, PgPoolOptions, PgRow, PgSslMode,
    },
};
use tokio_rustls::rustls;

use super::super::DatabaseError;
use crate::config;

/// For the look-up, the connection and the login together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A name server that is just being told of other containers says for a moment that it knows no such name.
const LOOK_UPS: usize = 5;
const LOOK_UP_PAUSE: Duration = Duration::from_millis(300);

/// One fresh connection: the name is looked up and the password read again.
pub(super) async fn connect(config: &config::Postgres) -> Result<PgConnection, DatabaseError> {
    connect_as(config, None).await
}

/// The same, of an application of this name.
pub(super) async fn connect_as(
    config: &config::Postgres,
    name: Option<&str>,
) -> Result<PgConnection, DatabaseError> {
    let mut options = options(config)?;
    if let Some(name) = name {
        options = options.application_name(name);
    }
    let place = format!("{}:{}", config.host, config.port);
    match tokio::time::timeout(CONNECT_TIMEOUT, looked_up(async || options.connect().await)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(refusal(&place, &error)),
        Err(_) => Err(DatabaseError::NotYet(format!(
            "{place} gave no answer in {}",
            crate::words::duration(CONNECT_TIMEOUT)
        ))),
    }
}

/// Once more where the name could not be looked up.
async fn looked_up<T>(connect: impl AsyncFn() -> Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    for _ in 1..LOOK_UPS {
        match connect().await {
            Err(sqlx::Error::Io(error)) if is_look_up(&error) => tokio::time::sleep(LOOK_UP_PAUSE).await,
            answer => return answer,
        }
    }
    connect().await
}

/// The standard library has no kind for it, only these words.
fn is_look_up(error: &io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

/// A connection that hears what the server says unasked. Where it breaks, the next question makes another.
pub(super) async fn listener(config: &config::Postgres, name: &str) -> Result<PgListener, DatabaseError> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(CONNECT_TIMEOUT)
        .connect_lazy_with(options(config)?.application_name(name));
    let place = format!("{}:{}", config.host, config.port);
    let mut listener = looked_up(async || PgListener::connect_with(&pool).await)
        .await
        .map_err(|error| refusal(&place, &error))?;
    listener.eager_reconnect(false);
    listener.ignore_pool_close_event(true);
    Ok(listener)
}

/// Sends one simple-protocol message and reads every row. All columns must be text.
pub(super) async fn rows(connection: &mut PgConnection, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await
}

/// One column of one row.
pub(super) fn text(row: &PgRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    row.try_get(column)
}

/// One boolean column, cast to text.
pub(super) fn flag(row: &PgRow, column: usize) -> Result<bool, sqlx::Error> {
    Ok(text(row, column)?.as_deref() == Some("true"))
}

/// A whole number in the first column of the first row.
pub(super) fn number(rows: &[PgRow], column: usize) -> Result<u64, sqlx::Error> {
    let value = rows.first().map(|row| text(row, column)).transpose()?.flatten();
    value.and_then(|value| value.parse().ok()).ok_or(sqlx::Error::RowNotFound)
}

/// A column as the server writes it, whatever its type.
pub(super) fn written(row: &PgRow, column: usize) -> Result<Option<&str>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() { Ok(None) } else { value.as_str().map(Some).map_err(sqlx::Error::Decode) }
}

/// A column that counts.
pub(super) fn number_at(row: &PgRow, column: usize) -> Result<usize, sqlx::Error> {
    let text = written(row, column)?.unwrap_or_default();
    text.parse().map_err(|_| sqlx::Error::Protocol(format!("`{text}` is not a number")))
}

/// SQLSTATE.
pub(super) fn code(error: &sqlx::Error) -> Option<&str> {
    server(error).map(PgDatabaseError::code)
}

/// What the server said: the error itself, without our own decoration.
pub(super) fn server(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// A statement's error, in words.
pub(super) fn words(error: &sqlx::Error) -> String {
    let Some(server) = server(error) else {
        return match error {
            sqlx::Error::Io(error) => format!("the connection broke: {error}"),
            other => other.to_string(),
        };
    };
    let mut words = server.message().to_owned();
    for more in [server.detail(), server.hint()].into_iter().flatten() {
        words.push_str("; ");
        words.push_str(more);
    }
    format!("{words} (SQLSTATE {})", server.code())
}

/// A statement that failed.
pub(super) fn failed(error: &sqlx::Error) -> DatabaseError {
    DatabaseError::Failed(words(error))
}

/// The session ended, or will: nothing more can be had from it.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match code(error) {
        Some(code) => code.starts_with("57P") || code.starts_with("08"),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_)),
    }
}

/// sqlx's options print their password in `Debug`: they never leave this file.
fn options(config: &config::Postgres) -> Result<PgConnectOptions, DatabaseError> {
    let password = config.password.read().map_err(DatabaseError::Never)?;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .password(password.as_ref().map_or("", |secret| secret.expose()))
        .database(&config.name)
        .application_name("portcullis")
        .ssl_mode(PgSslMode::Prefer)
        // PgBouncer refuses start-up parameters that it does not know.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    for (name, value) in &config.parameters {
        options = match name.as_str() {
            "sslmode" => options.ssl_mode(
                value.parse().map_err(|_| DatabaseError::Never(format!("`sslmode` cannot be `{value}`")))?,
            ),
            "sslrootcert" => options.ssl_root_cert(readable(name, value)?),
            "sslcert" => options.ssl_client_cert(readable(name, value)?),
            "sslkey" => options.ssl_client_key(readable(name, value)?),
            "application_name" => options.application_name(value),
            "options" => raw_options(options, value),
            _ => options,
        };
    }
    Ok(options)
}

/// The server's own command line, `-c name=value -c name=value`, in which a backslash keeps a blank from
/// ending the word (PostgreSQL's `pg_split_opts`). sqlx takes names and values apart, and escapes them again.
fn raw_options(options: PgConnectOptions, value: &str) -> PgConnectOptions {
    options.options(setting_pairs(value))
}

fn setting_pairs(value: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let plain = |word: &str| {
        let word = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).unwrap_or(word);
        word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    words.iter().filter_map(|word| plain(word)).collect()
}

fn readable<'a>(name: &str, path: &'a str) -> Result<&'a Path, DatabaseError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(Path::new(path)),
        Err(error) => Err(DatabaseError::Never(format!("cannot read `{name}` at `{path}`: {error}"))),
    }
}

/// What a connection that did not come about means: whether to try again.
fn refusal(place: &str, error: &sqlx::Error) -> DatabaseError {
    if let Some(server) = server(error) {
        let why = words(error);
        return if is_for_good(server.code(), server.message()) {
            DatabaseError::Never(why)
        } else {
            DatabaseError::NotYet(why)
        };
    }
    let said = match error {
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    let why = format!("{place}: {said}");
    match error {
        sqlx::Error::Io(error) if is_certificate(error) => DatabaseError::Never(why),
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            DatabaseError::Never(why)
        }
        sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) => {
            DatabaseError::Never(why)
        }
        sqlx::Error::Protocol(text) if text.contains("authentication method") => DatabaseError::Never(why),
        _ => DatabaseError::NotYet(why),
    }
}

fn is_for_good(code: &str, message: &str) -> bool {
    match code.get(..2) {
        // Poolers say nearly everything with 08P01.
        Some("08") => ["authentication failed", "no such database", "no such user", "unsupported startup"]
            .iter()
            .any(|words| message.contains(words)),
        Some("53" | "57" | "58" | "XX") => false,
        _ => true,
    }
}

/// Only what rustls says of a certificate is for good; a handshake that was cut short is not.
fn is_certificate(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return matches!(
                error,
                rustls::Error::InvalidCertificate(_)
                    | rustls::Error::AlertReceived(_)
                    | rustls::Error::NoCertificatesPresented
            );
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_options_are_taken_apart() {
        let pairs = setting_pairs("-c search_path=a,b -cgeqo=off  --work_mem=1MB -c app=a\\ b\\\\c");
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("search_path", "a,b"), ("geqo", "off"), ("work_mem", "1MB"), ("app", "a b\\c")]);
    }

    #[test]
    fn what_a_pooler_says_of_credentials_is_for_good() {
        assert!(is_for_good("08P01", "password authentication failed"));
        assert!(!is_for_good("08P01", "server_login_retry"));
    }

    #[test]
    fn a_server_that_starts_or_is_full_may_be_tried_again() {
        for (code, good) in [
            ("57P03", false),
            ("53300", false),
            ("28P01", true),
            ("28000", true),
            ("3D000", true),
            ("42501", true),
        ] {
            assert_eq!(is_for_good(code, ""), good, "{code}");
        }
    }
}
