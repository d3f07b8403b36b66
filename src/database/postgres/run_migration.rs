//! Runs one migration file on a connection for changes and records it in the ledger.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::error::ErrorPosition;

use super::{
    LEDGER, connect,
    connection::{Connection, Row},
    error::QueryError,
    quote::{identifier, literal, qualified},
};
use crate::{
    cause::{Cause, Kind},
    config,
    database::{ApplyEnd, ApplyError, DatabaseError, Limits, MigrationFile, sql_lexer},
    deadline::Deadline,
    words::hex,
};

/// How a file relates to the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// In the open transaction.
    Open,
    /// In the open transaction, in which other sessions cannot see the tables: a file that must run outside a
    /// transaction is changed so that it can run inside.
    Private,
    None,
}

/// How long a setting of the session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifetime {
    Session,
    Transaction,
}

/// After this time the server ends a session that it cannot reach.
const UNREACHABLE: Duration = Duration::from_secs(10);

/// The server's TCP keepalive settings, in seconds.
const KEEPALIVE_IDLE: u64 = 5;
const KEEPALIVE_INTERVAL: u64 = 2;

/// The settings of every session that holds a lock or makes changes.
pub(super) fn session(connection: &Connection, lifetime: Lifetime) -> String {
    settings(connection.server_version(), lifetime, UNREACHABLE)
}

/// The meaning of times does not depend on the server. With these settings the server notices a dead client: within a second during a statement, and after `unreachable` if
/// the network fails. The server does not end idle sessions. Each setting has the first version that supports it.
pub(super) fn settings(version: u32, lifetime: Lifetime, unreachable: Duration) -> String {
    let count = unreachable.as_secs().saturating_sub(KEEPALIVE_IDLE).div_ceil(KEEPALIVE_INTERVAL).max(1);
    let set = match lifetime {
        Lifetime::Session => "SET",
        Lifetime::Transaction => "SET LOCAL",
    };
    let settings = [
        // As in sqlx's sessions.
        (0, "timezone", "'UTC'".to_owned()),
        (0, "datestyle", "'ISO, MDY'".to_owned()),
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

/// Independent of the server's default, this level makes another run's commits visible once its lock is acquired.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Begins a transaction with a lock timeout, in which a row security policy that would hide rows is an error.
pub(super) fn begin(limits: &Limits) -> String {
    format!(
        "{BEGIN}; SET LOCAL row_security = off; SET LOCAL lock_timeout = {}",
        limits.lock_timeout.as_millis()
    )
}

/// A connection for changes: it bypasses the pooler and never reaches a standby.
pub(super) async fn writer(config: &config::Postgres) -> Result<Connection, DatabaseError> {
    let mut connection = primary(config, "portcullis").await?;
    let settings = session(&connection, Lifetime::Session);
    connection.rows(&settings).await?;
    Ok(connection)
}

/// A connection with this application name to a primary server.
pub(super) async fn primary(config: &config::Postgres, name: &str) -> Result<Connection, DatabaseError> {
    on_primary(connect::connect_as(config, Some(name)).await?).await
}

/// The same without a wait for a free connection.
pub(super) async fn primary_once(config: &config::Postgres, name: &str) -> Result<Connection, DatabaseError> {
    on_primary(connect::connect_once(config, Some(name)).await?).await
}

async fn on_primary(mut connection: Connection) -> Result<Connection, DatabaseError> {
    let sql = "SELECT pg_catalog.pg_is_in_recovery()::text";
    let rows = connection.rows(sql).await?;
    let standby = rows.first().map(|row| connect::flag(row, 0)).transpose();
    if standby?.unwrap_or(false) {
        return Err(DatabaseError::Failed(Cause::new(
            Kind::ReadOnly,
            "the server is a standby, which accepts no changes",
        )));
    }
    Ok(connection)
}

/// The line of a failed statement.
pub(super) fn line(sql: &str, done: usize, error: &QueryError) -> Option<usize> {
    match error.server()?.position() {
        Some(ErrorPosition::Original(position)) => {
            Some(sql_lexer::line_of_position(sql, usize::try_from(*position).unwrap_or(usize::MAX)))
        }
        _ => sql_lexer::line_of_statement(sql, done),
    }
}

/// The ledger as sqlx creates it.
pub(super) fn create_ledger(schema: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, \
         checksum BYTEA NOT NULL, execution_time BIGINT NOT NULL)",
        qualified(schema, LEDGER.table),
    )
}

/// Resets the settings of earlier files and sets the search path to the schema and the configured schemas.
fn prepare(
    connection: &Connection,
    schema: &str,
    file: &MigrationFile,
    limits: &Limits,
    transaction: Transaction,
) -> String {
    let (local, lifetime) = match transaction {
        Transaction::None => ("", Lifetime::Session),
        Transaction::Open | Transaction::Private => ("LOCAL ", Lifetime::Transaction),
    };
    // A concurrent build waits for every running transaction, also of other tenants, and blocks no session while it
    // waits. If it is cancelled, it leaves an invalid index behind.
    let is_concurrent =
        transaction == Transaction::None && sql_lexer::without_concurrently(&file.sql) != file.sql;
    let lock_timeout = if is_concurrent { 0 } else { limits.lock_timeout.as_millis() };
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

/// Runs one file and records it. Its ledger row is inserted as failed before the file runs, so that a file that commits
/// by itself, or that stops half-way outside a transaction, stays recorded as dirty.
pub(super) async fn file(
    connection: &mut Connection,
    schema: &str,
    file: &MigrationFile,
    limits: &Limits,
    transaction: Transaction,
) -> Result<(), ApplyError> {
    let started = Instant::now();
    let failed = |error: QueryError| file_error(file, None, transaction, &error);
    let (prepare, transaction_id) =
        (prepare(connection, schema, file, limits, transaction), id_query(transaction));
    let first = format!("{prepare}; {transaction_id}; {}", insert(schema, file));
    let before = connection.rows(&first).await.and_then(|rows| first_text(&rows)).map_err(failed)?;
    let text = match transaction {
        Transaction::Private if file.no_transaction => sql_lexer::without_concurrently(&file.sql),
        _ => file.sql.clone(),
    };
    connection.set_notices(limits.notices.as_ref().map(|notices| notices.of_file(file.name())));
    let ran = statements(connection, &text, limits.deadline, transaction).await;
    connection.set_notices(None);
    if let Err((line, error)) = ran {
        let failure = file_error(file, line, transaction, &error);
        let dirty = transaction == Transaction::None || is_recorded(connection, schema, file).await;
        return Err(if dirty { ApplyError { end: ApplyEnd::Dirty, ..failure } } else { failure });
    }
    // The file is recorded as successful only if the same transaction is still open.
    let same = format!("({transaction_id}) = {}", literal(before.as_deref().unwrap_or_default()));
    let last = format!("{prepare}; {transaction_id}; {} AND {same}", update(schema, file, started.elapsed()));
    let after = connection.rows(&last).await.and_then(|rows| first_text(&rows)).map_err(failed)?;
    if after == before { Ok(()) } else { Err(transaction_error(file, transaction)) }
}

/// Runs the file's statements: in one message inside a transaction; one by one outside, because a message of several
/// statements is a transaction. The error includes its line.
async fn statements(
    connection: &mut Connection,
    text: &str,
    deadline: Deadline,
    transaction: Transaction,
) -> Result<(), (Option<usize>, QueryError)> {
    if transaction != Transaction::None {
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

/// Rolls back and checks whether the row of the failed file still exists, which means that the file has committed by itself.
async fn is_recorded(connection: &mut Connection, schema: &str, file: &MigrationFile) -> bool {
    let ledger = qualified(schema, LEDGER.table);
    let row = format!("SELECT 1 FROM {ledger} WHERE version = {} AND NOT success", file.version);
    // Two messages: in one, an error of the second statement would undo the first.
    connection.rows("ROLLBACK").await.is_ok()
        && connection.rows(&row).await.is_ok_and(|rows| !rows.is_empty())
}

/// An error of a statement that belongs to a file.
pub(super) fn file_error(
    file: &MigrationFile,
    line: Option<usize>,
    transaction: Transaction,
    error: &QueryError,
) -> ApplyError {
    let error = ApplyError::of(error.cause()).at(file, line);
    // Half of the file may be applied, so it is not retried.
    let end =
        if transaction == Transaction::None && error.is_locked() { ApplyEnd::Failed } else { error.end };
    ApplyError { end, ..error }
}

/// The error of a file that changed the state of the transaction.
fn transaction_error(file: &MigrationFile, transaction: Transaction) -> ApplyError {
    let why = match transaction {
        Transaction::None => "the file leaves a transaction open",
        Transaction::Open | Transaction::Private => {
            "the file ends the transaction in which it runs: it contains COMMIT, ROLLBACK or BEGIN"
        }
    };
    ApplyError { end: ApplyEnd::Dirty, ..ApplyError::of(why).at(file, None) }
}

/// Selects the transaction's id; without a transaction, whether none is open.
fn id_query(transaction: Transaction) -> &'static str {
    match transaction {
        Transaction::None => "SELECT (pg_catalog.now() = pg_catalog.statement_timestamp())::text",
        Transaction::Open | Transaction::Private => "SELECT pg_catalog.txid_current()::text",
    }
}

fn first_text(rows: &[Row]) -> Result<Option<String>, QueryError> {
    rows.first().map_or(Ok(None), |row| connect::text(row, 0))
}

/// Records a file that is not run.
pub(super) fn record(schema: &str, file: &MigrationFile) -> String {
    let replace = "ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum";
    format!("{} {replace}; {}", insert(schema, file), update(schema, file, Duration::ZERO))
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
