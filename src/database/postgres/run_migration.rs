//! Runs one migration file on a connection that changes things, and records it in the ledger.

use std::time::Duration;

use sqlx::postgres::{PgErrorPosition, PgRow};
use tokio::time::Instant;

use super::{
    LEDGER, connect,
    connection::Connection,
    quote::{identifier, literal, qualified},
};
use crate::{
    cause::{Cause, Kind},
    config,
    database::{ApplyEnd, ApplyError, DatabaseError, Limits, MigrationFile, sql_lexer},
    deadline::Deadline,
    words::hex,
};

/// How a file's statements meet the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In the transaction that is open.
    Inside,
    /// In the transaction that is open, where nobody else can see the tables: what must run outside is
    /// made to run inside.
    Unseen,
    /// In none.
    Outside,
}

/// How long a setting of the session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    Session,
    Transaction,
}

/// After this time the server ends a session that it cannot reach.
const UNREACHABLE: Duration = Duration::from_secs(10);

/// Before the server asks whether a peer that says nothing is still there, and between two such questions.
const KEEPALIVE_IDLE: u64 = 5;
const KEEPALIVE_INTERVAL: u64 = 2;

/// What each of our sessions sets that holds a lock or changes something.
pub(super) fn session(connection: &Connection, lifetime: Lifetime) -> String {
    settings(connection.server_version(), lifetime, UNREACHABLE)
}

/// The server notices when we are gone: within a second in the middle of a statement, and after the given time if the network
/// says nothing any more. It does not end a session that only holds a lock. Each setting with the version that has it first.
pub(super) fn settings(version: u32, lifetime: Lifetime, unreachable: Duration) -> String {
    let count = unreachable.as_secs().saturating_sub(KEEPALIVE_IDLE).div_ceil(KEEPALIVE_INTERVAL).max(1);
    let set = match lifetime {
        Lifetime::Session => "SET",
        Lifetime::Transaction => "SET LOCAL",
    };
    let settings = [
        (0, "idle_in_transaction_session_timeout", "0".to_owned()),
        (0, "tcp_keepalives_idle", KEEPALIVE_IDLE.to_string()),
        (0, "tcp_keepalives_interval", KEEPALIVE_INTERVAL.to_string()),
        (0, "tcp_keepalives_count", count.to_string()),
        (120_000, "tcp_user_timeout", unreachable.as_millis().to_string()),
        (140_000, "idle_session_timeout", "0".to_owned()),
        (140_000, "client_connection_check_interval", "1000".to_owned()),
        (170_000, "transaction_timeout", "0".to_owned()),
    ];
    let known = settings.into_iter().filter(|(since, ..)| *since <= version);
    known.map(|(_, name, value)| format!("{set} {name} = {value}")).collect::<Vec<_>>().join("; ")
}

/// Whatever the server's default is: what another run has committed is seen as soon as its lock is had.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A transaction that waits for a lock only so long, and in which a policy that would hide rows is an error.
pub(super) fn begin(limits: &Limits) -> String {
    format!(
        "{BEGIN}; SET LOCAL row_security = off; SET LOCAL lock_timeout = {}",
        limits.lock_timeout.as_millis()
    )
}

/// A connection for changes: past the pooler, and never to a standby.
pub(super) async fn writer(config: &config::Postgres) -> Result<Connection, DatabaseError> {
    let mut connection = primary(config, "portcullis").await?;
    let settings = session(&connection, Lifetime::Session);
    connection.rows(&settings).await.map_err(|error| connect::failed(&error))?;
    Ok(connection)
}

/// A connection of that name to a server that may be changed.
pub(super) async fn primary(config: &config::Postgres, name: &str) -> Result<Connection, DatabaseError> {
    let mut connection = connect::connect_as(config, Some(name)).await?;
    let sql = "SELECT pg_catalog.pg_is_in_recovery()::text";
    let rows = connection.rows(sql).await.map_err(|error| connect::failed(&error))?;
    let standby = rows.first().map(|row| connect::flag(row, 0)).transpose();
    if standby.map_err(|error| connect::failed(&error))?.unwrap_or(false) {
        return Err(DatabaseError::Failed(Cause::new(
            Kind::ReadOnly,
            "the server is a standby: nothing can be changed there",
        )));
    }
    Ok(connection)
}

/// The line on which a failed statement stands.
pub(super) fn line(sql: &str, done: usize, error: &sqlx::Error) -> Option<usize> {
    match connect::server(error)?.position() {
        Some(PgErrorPosition::Original(position)) => Some(sql_lexer::line_of_position(sql, position)),
        _ => sql_lexer::line_of_statement(sql, done),
    }
}

/// The ledger as sqlx makes it.
pub(super) fn create_ledger(schema: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
         checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
        qualified(schema, LEDGER.table),
    )
}

/// Undoes what an earlier file may have set, and makes names resolve to the schema first, and then to what is configured.
fn prepare(
    connection: &Connection,
    schema: &str,
    file: &MigrationFile,
    limits: &Limits,
    mode: Mode,
) -> String {
    let (local, lifetime) = match mode {
        Mode::Outside => ("", Lifetime::Session),
        Mode::Inside | Mode::Unseen => ("LOCAL ", Lifetime::Transaction),
    };
    // What is built concurrently waits for every transaction that is under way, other tenants' too, and keeps nobody
    // out meanwhile; given up, it leaves an invalid index behind.
    let waits = mode == Mode::Outside && sql_lexer::without_concurrently(&file.sql) != file.sql;
    let lock_timeout = if waits { 0 } else { limits.lock_timeout.as_millis() };
    let settings = session(connection, lifetime);
    let schemas = [schema].into_iter().chain(limits.search_path.iter().map(String::as_str));
    let search_path = schemas.map(identifier).collect::<Vec<_>>().join(", ");
    let mut sql = format!(
        "RESET SESSION AUTHORIZATION; RESET ALL; {settings}; SET {local}search_path = {search_path}; \
         SET {local}lock_timeout = {lock_timeout}",
    );
    if let Some(timeout) = limits.statement_timeout {
        sql = format!("{sql}; SET {local}statement_timeout = {}", timeout.as_millis());
    }
    sql
}

/// Runs one file and records it. The row is there before the file runs, as one that did not succeed: a
/// file that commits by itself, or dies half-way outside a transaction, leaves the ledger saying so.
pub(super) async fn file(
    connection: &mut Connection,
    schema: &str,
    file: &MigrationFile,
    limits: &Limits,
    mode: Mode,
) -> Result<(), ApplyError> {
    let started = Instant::now();
    let failed = |error: sqlx::Error| file_error(file, None, mode, &error);
    let (prepare, ask) = (prepare(connection, schema, file, limits, mode), transaction(mode));
    let first = format!("{prepare}; {ask}; {}", insert(schema, file));
    let before = connection.rows(&first).await.and_then(|rows| answer(&rows)).map_err(failed)?;
    let text = match mode {
        Mode::Unseen if file.no_transaction => sql_lexer::without_concurrently(&file.sql),
        _ => file.sql.clone(),
    };
    if let Err((line, error)) = statements(connection, &text, limits.deadline, mode).await {
        let failure = file_error(file, line, mode, &error);
        let dirty = mode == Mode::Outside || is_recorded(connection, schema, file).await;
        return Err(if dirty { ApplyError { end: ApplyEnd::Dirty, ..failure } } else { failure });
    }
    // What does not run in the same transaction any more is not recorded as done.
    let same = format!("({ask}) = {}", literal(before.as_deref().unwrap_or_default()));
    let last = format!("{prepare}; {ask}; {} AND {same}", update(schema, file, started.elapsed()));
    let after = connection.rows(&last).await.and_then(|rows| answer(&rows)).map_err(failed)?;
    if after == before { Ok(()) } else { Err(left(file, mode)) }
}

/// The file's statements: in one message inside the transaction; outside, where a message of several would be a transaction of
/// its own, one by one. The error comes with its line.
async fn statements(
    connection: &mut Connection,
    text: &str,
    deadline: Deadline,
    mode: Mode,
) -> Result<(), (Option<usize>, sqlx::Error)> {
    if mode != Mode::Outside {
        let outcome = connection.statements(text, deadline).await;
        return outcome.map_err(|(done, error)| (line(text, done, &error), error));
    }
    for (start, statement) in sql_lexer::split(text) {
        connection.run(statement, deadline).await.map_err(|error| {
            let before = text.get(..start).map_or(0, |before| before.matches('\n').count());
            (line(statement, 0, &error).map(|line| before + line), error)
        })?;
    }
    Ok(())
}

/// An error that belongs to no file.
pub(super) fn apply_error(error: &sqlx::Error) -> ApplyError {
    ApplyError::of(connect::cause(error))
}

/// Rolls back, and asks whether the row of a file that did not succeed is still there: then the file has
/// committed by itself.
async fn is_recorded(connection: &mut Connection, schema: &str, file: &MigrationFile) -> bool {
    let ledger = qualified(schema, LEDGER.table);
    let row = format!("SELECT 1 FROM {ledger} WHERE version = {} AND NOT success", file.version);
    // Each on its own: an error of the second would otherwise take the first back.
    connection.rows("ROLLBACK").await.is_ok()
        && connection.rows(&row).await.is_ok_and(|rows| !rows.is_empty())
}

/// An error of a statement that belongs to a file.
pub(super) fn file_error(
    file: &MigrationFile,
    line: Option<usize>,
    mode: Mode,
    error: &sqlx::Error,
) -> ApplyError {
    let error = apply_error(error).at(file, line);
    // Half of it may be done: it is not tried again.
    let end = if mode == Mode::Outside && error.is_locked() { ApplyEnd::Failed } else { error.end };
    ApplyError { end, ..error }
}

/// A file that did not leave the transaction as it found it.
fn left(file: &MigrationFile, mode: Mode) -> ApplyError {
    let why = match mode {
        Mode::Outside => "the file leaves a transaction open",
        Mode::Inside | Mode::Unseen => {
            "the file ends the transaction that it runs in: it says COMMIT, ROLLBACK or BEGIN itself"
        }
    };
    ApplyError { end: ApplyEnd::Dirty, ..ApplyError::of(why).at(file, None) }
}

/// Asks for what tells one transaction from another; outside, whether there is none.
fn transaction(mode: Mode) -> &'static str {
    match mode {
        Mode::Outside => "SELECT (pg_catalog.now() = pg_catalog.statement_timestamp())::text",
        Mode::Inside | Mode::Unseen => "SELECT pg_catalog.txid_current()::text",
    }
}

fn answer(rows: &[PgRow]) -> Result<Option<String>, sqlx::Error> {
    rows.first().map_or(Ok(None), |row| connect::text(row, 0))
}

fn insert(schema: &str, file: &MigrationFile) -> String {
    format!(
        "INSERT INTO {} (version, description, success, checksum, execution_time) \
         VALUES ({}, {}, false, pg_catalog.decode('{}', 'hex'), -1)",
        qualified(schema, LEDGER.table),
        file.version,
        literal(&file.description),
        hex(&file.checksum),
    )
}

fn update(schema: &str, file: &MigrationFile, took: Duration) -> String {
    format!(
        "UPDATE {} SET success = true, execution_time = {} WHERE version = {}",
        qualified(schema, LEDGER.table),
        i64::try_from(took.as_nanos()).unwrap_or(i64::MAX),
        file.version,
    )
}
