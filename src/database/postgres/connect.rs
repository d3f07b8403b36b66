//! Connects to PostgreSQL and classifies its errors.

use std::{io, path::PathBuf, time::Duration};

use sqlx::{
    ConnectOptions, Row, ValueRef,
    postgres::{PgConnectOptions, PgDatabaseError, PgListener, PgPoolOptions, PgRow, PgSslMode},
};
use tokio_rustls::rustls;

use super::{super::DatabaseError, connection::Connection};
use crate::{
    cause::{Cause, Code, Kind},
    config::{self, SYSTEM_ROOTS},
    deadline::Deadline,
    files,
    net::CERTIFICATE_BUNDLES,
};

/// For the name resolution, the connection and the login together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit and the pause of retries while the server has no free connection.
const FULL_TIMEOUT: Duration = Duration::from_secs(30);
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// While containers start, a name server may not know a name for a moment.
const RESOLUTION_ATTEMPTS: usize = 5;
const RESOLUTION_PAUSE: Duration = Duration::from_millis(300);

/// Opens a new connection: resolves the name and reads the password again.
pub(super) async fn connect(config: &config::Postgres) -> Result<Connection, DatabaseError> {
    connect_as(config, None).await
}

/// The same with this application name.
pub(super) async fn connect_as(
    config: &config::Postgres,
    name: Option<&str>,
) -> Result<Connection, DatabaseError> {
    let login = async {
        let mut options = options(config).await?;
        if let Some(name) = name {
            options = options.application_name(name);
        }
        retry_name_resolution(async || Box::pin(options.connect()).await)
            .await
            .map_err(|error| refusal(&address(config), &error))
    };
    with_timeout(config, login).await.map(Connection::new)
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

/// Limits the entire login: files, name resolution, connection and authentication.
async fn with_timeout<T>(
    config: &config::Postgres,
    login: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    Deadline::after(CONNECT_TIMEOUT).limit(login).await.unwrap_or_else(|_| {
        let (address, limit) = (address(config), crate::words::duration(CONNECT_TIMEOUT));
        Err(DatabaseError::NotYet(Cause::new(
            Kind::Silent,
            format!("{address} did not respond within {limit}"),
        )))
    })
}

fn address(config: &config::Postgres) -> String {
    format!("{}:{}", config.host, config.port)
}

/// Retries if the name could not be resolved.
async fn retry_name_resolution<T>(
    connect: impl AsyncFn() -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    for _ in 1..RESOLUTION_ATTEMPTS {
        match connect().await {
            Err(sqlx::Error::Io(error)) if is_name_resolution_error(&error) => {
                tokio::time::sleep(RESOLUTION_PAUSE).await;
            }
            answer => return answer,
        }
    }
    connect().await
}

/// The standard library has no error kind for it, only this text.
fn is_name_resolution_error(error: &io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

/// A connection that receives notifications. If it breaks, the next query opens another one.
pub(super) async fn listener(config: &config::Postgres, name: &str) -> Result<PgListener, DatabaseError> {
    let login = async {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_lazy_with(options(config).await?.application_name(name));
        let listener = retry_name_resolution(async || PgListener::connect_with(&pool).await).await;
        listener.map_err(|error| refusal(&address(config), &error))
    };
    let mut listener = with_timeout(config, login).await?;
    listener.eager_reconnect(false);
    listener.ignore_pool_close_event(true);
    Ok(listener)
}

pub(super) fn text(row: &PgRow, column: usize) -> Result<Option<String>, sqlx::Error> {
    row.try_get(column)
}

/// One boolean column, cast to text.
pub(super) fn flag(row: &PgRow, column: usize) -> Result<bool, sqlx::Error> {
    Ok(text(row, column)?.as_deref() == Some("true"))
}

/// An unsigned number in a column of the first row.
pub(super) fn number(rows: &[PgRow], column: usize) -> Result<u64, sqlx::Error> {
    let value = rows.first().map(|row| text(row, column)).transpose()?.flatten();
    value.and_then(|value| value.parse().ok()).ok_or(sqlx::Error::RowNotFound)
}

/// A column's text representation, for any type.
pub(super) fn raw_text(row: &PgRow, column: usize) -> Result<Option<&str>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() { Ok(None) } else { value.as_str().map(Some).map_err(sqlx::Error::Decode) }
}

/// A column with a count.
pub(super) fn number_at(row: &PgRow, column: usize) -> Result<usize, sqlx::Error> {
    let text = raw_text(row, column)?.unwrap_or_default();
    text.parse().map_err(|_| sqlx::Error::Protocol(format!("`{text}` is not a number")))
}

/// The SQLSTATE.
pub(super) fn code(error: &sqlx::Error) -> Option<&str> {
    server_error(error).map(PgDatabaseError::code)
}

/// A table or its schema does not exist.
pub(super) fn is_missing(error: &sqlx::Error) -> bool {
    matches!(code(error), Some("42P01" | "3F000"))
}

/// The server's error without sqlx's additions.
pub(super) fn server_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
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
    let mut text = server.message().to_owned();
    for more in [server.detail(), server.hint()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(more);
    }
    let text = format!("{text} (SQLSTATE {})", server.code());
    // Row security has the same SQLSTATE as a missing privilege; only the server's routine differs.
    let kind = match server.routine() {
        Some("check_enable_rls") => Kind::RowSecurity,
        _ => Kind::of_sqlstate(server.code()),
    };
    Cause { kind, code: Code::sqlstate(server.code()), text }
}

/// The error of a failed statement.
pub(super) fn failed(error: &sqlx::Error) -> DatabaseError {
    DatabaseError::Failed(cause(error))
}

/// The session has ended, will end or does not respond.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    matches!(cause(error).kind, Kind::Lost | Kind::Silent)
}

/// sqlx's options print the password in `Debug`, so they never leave this file.
async fn options(config: &config::Postgres) -> Result<PgConnectOptions, DatabaseError> {
    let password = config.password.read().await;
    let password = password.map_err(|error| DatabaseError::Never(Cause::new(Kind::File, error)))?;
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .password(password.as_ref().map_or("", |secret| secret.expose()))
        .database(&config.name)
        .application_name("portcullis")
        .ssl_mode(PgSslMode::Prefer)
        // PgBouncer rejects unknown start-up parameters.
        .extra_float_digits(None)
        .statement_cache_capacity(0)
        .disable_statement_logging();
    for (name, value) in &config.parameters {
        options = match name.as_str() {
            "sslmode" => options.ssl_mode(value.parse().map_err(|_| {
                DatabaseError::Never(Cause::new(Kind::Certificate, format!("`sslmode` cannot be `{value}`")))
            })?),
            "sslrootcert" if value == SYSTEM_ROOTS => match system_roots().await? {
                Some(roots) => options.ssl_root_cert_from_pem(roots),
                None => options,
            },
            "sslrootcert" => options.ssl_root_cert_from_pem(pem(name, value).await?),
            "sslcert" => options.ssl_client_cert_from_pem(pem(name, value).await?),
            "sslkey" => options.ssl_client_key_from_pem(pem(name, value).await?),
            "application_name" => options.application_name(value),
            "options" => raw_options(options, value),
            _ => options,
        };
    }
    // As in libpq, a configured root certificate implies verification, and the system's roots the host name's, too: also
    // where `direct` or `reader` gives one of the two parameters and `[database]` the other.
    let parameter = |name: &str| config.parameters.get(name).map(String::as_str);
    match (parameter("sslmode"), parameter("sslrootcert")) {
        (_, Some(SYSTEM_ROOTS)) => options = options.ssl_mode(PgSslMode::VerifyFull),
        (Some("require"), Some(_)) => options = options.ssl_mode(PgSslMode::VerifyCa),
        _ => {}
    }
    Ok(options)
}

/// The image's certificates; None if it has none, and then Mozilla's are used.
async fn system_roots() -> Result<Option<Vec<u8>>, DatabaseError> {
    for bundle in CERTIFICATE_BUNDLES {
        let file = PathBuf::from(bundle);
        let read = files::within(files::TIMEOUT, move || files::read_now(&file, u64::MAX)).await;
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let why = Cause::io(&format!("cannot read the system's certificates `{bundle}`"), &error);
                return Err(DatabaseError::Never(why));
            }
            Ok(roots) => return Ok(Some(roots)),
        }
    }
    Ok(None)
}

/// Parses the server's command line, `-c name=value -c name=value`, in which a backslash escapes a blank (PostgreSQL's
/// `pg_split_opts`). sqlx needs separate names and values and escapes them again.
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
    let pair = |word: &str| {
        let word = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")).unwrap_or(word);
        word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    words.iter().filter_map(|word| pair(word)).collect()
}

/// Reads the file off the runtime's thread; sqlx would read it on that thread.
async fn pem(name: &str, path: &str) -> Result<Vec<u8>, DatabaseError> {
    let file = PathBuf::from(path);
    files::within(files::TIMEOUT, move || files::read_now(&file, u64::MAX)).await.map_err(|error| {
        DatabaseError::Never(Cause::io(&format!("cannot read `{name}` at `{path}`"), &error))
    })
}

/// Classifies a failed connection: temporary or permanent.
fn refusal(address: &str, error: &sqlx::Error) -> DatabaseError {
    if let Some(server) = server_error(error) {
        let (why, temporary) = (cause(error), is_temporary(server.code(), server.message()));
        return match temporary {
            true if why.is_connection() => DatabaseError::NotYet(why),
            // The connection ended before the session started.
            true => DatabaseError::NotYet(Cause { kind: Kind::Unreachable, ..why }),
            false if why.kind == Kind::Lost => {
                DatabaseError::Never(Cause { kind: Kind::Authentication, ..why })
            }
            false => DatabaseError::Never(why),
        };
    }
    match error {
        sqlx::Error::Io(error) if is_certificate(error) => {
            DatabaseError::Never(Cause { kind: Kind::Certificate, ..Cause::io(address, error) })
        }
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            DatabaseError::Never(Cause::io(address, error))
        }
        sqlx::Error::Io(error) => {
            DatabaseError::NotYet(Cause { kind: Kind::Unreachable, ..Cause::io(address, error) })
        }
        sqlx::Error::Tls(_) => {
            DatabaseError::Never(Cause::new(Kind::Certificate, format!("{address}: {error}")))
        }
        sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) => {
            DatabaseError::Never(Cause::new(Kind::Authentication, format!("{address}: {error}")))
        }
        sqlx::Error::Protocol(text) if text.contains("authentication method") => {
            DatabaseError::Never(Cause::new(Kind::Authentication, format!("{address}: {error}")))
        }
        _ => DatabaseError::NotYet(Cause::new(Kind::Unreachable, format!("{address}: {error}"))),
    }
}

/// Whether a rejected login may succeed later. A pooler uses 08P01 for nearly every error, always in English; only for
/// it the message decides.
fn is_temporary(code: &str, message: &str) -> bool {
    match code.get(..2) {
        Some("08") => !["authentication failed", "no such database", "no such user", "unsupported startup"]
            .iter()
            .any(|words| message.contains(words)),
        Some("53" | "57" | "58" | "XX") => true,
        _ => false,
    }
}

/// Only rustls's certificate errors are permanent; an interrupted handshake is not.
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
    fn the_servers_command_line_is_split_into_settings() {
        let pairs = setting_pairs("-c search_path=a,b -cgeqo=off  --work_mem=1MB -c app=a\\ b\\\\c");
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("search_path", "a,b"), ("geqo", "off"), ("work_mem", "1MB"), ("app", "a b\\c")]);
    }

    #[test]
    fn a_poolers_credential_error_is_permanent() {
        assert!(!is_temporary("08P01", "password authentication failed"));
        assert!(is_temporary("08P01", "server_login_retry"));
    }

    #[test]
    fn a_starting_or_full_server_is_a_temporary_error() {
        for (code, later) in [
            ("57P03", true),
            ("53300", true),
            ("28P01", false),
            ("28000", false),
            ("3D000", false),
            ("42501", false),
        ] {
            assert_eq!(is_temporary(code, ""), later, "{code}");
        }
    }
}
