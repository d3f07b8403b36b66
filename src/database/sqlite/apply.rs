//! Applies migrations to one database file: one transaction per migration, or one for all if configured. A migration
//! that cannot run in a transaction runs alone.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use sqlx::{Connection, Row, sqlite::SqliteConnection};
use tokio::time::Instant;

use super::{LEDGER, Sqlite, disk, files, inspect};
use crate::{
    database::{
        Applied, ApplyEnd, ApplyError, Limits, MigrationFile, Schema, pending::pending, segments, sql_lexer,
    },
    tenants::inspection::LedgerRow,
    words::{count, hex},
};

/// The ledger as sqlx creates it.
pub(super) const CREATE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (\
    version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
    checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";

impl Sqlite {
    pub(crate) async fn apply(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<Applied, ApplyError> {
        let create = *schema == Schema::Shared;
        let path = self.file_to_change(schema, create).await?;
        let busy_timeout = if limits.nowait { Duration::ZERO } else { limits.lock_timeout };
        segments::apply_each(files, limits, async |segment, applied| {
            let mut connection = files::write(&path, create, busy_timeout).await?;
            let outcome = apply(&mut connection, segment, create, limits.all_in_one, applied).await;
            // Closing the connection rolls back an open transaction.
            let _ = connection.close().await;
            // The lock of the file is the tenant's lock.
            outcome.map_err(|error| {
                let end = if error.is_locked() && limits.nowait { ApplyEnd::HeldByOther } else { error.end };
                ApplyError { end, ..error }
            })
        })
        .await
    }

    pub(crate) async fn record(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let path = self.file_to_change(schema, false).await?;
        segments::retry_locked(limits, async || {
            let mut connection = files::write(&path, false, limits.lock_timeout).await?;
            let recorded = record(&mut connection, files).await;
            // Closing the connection rolls back an open transaction.
            let _ = connection.close().await;
            recorded.map_err(ApplyError::from)
        })
        .await
    }

    pub(super) async fn file_to_change(&self, schema: &Schema, create: bool) -> Result<PathBuf, ApplyError> {
        let path = self.path(schema).ok_or_else(|| ApplyError::of("the name is not valid as a file name"))?;
        if create || disk::exists(&path).await.map_err(ApplyError::of)? {
            return Ok(path);
        }
        Err(ApplyError::of("the tenant's file does not exist; Portcullis does not create it again"))
    }
}

/// Applies files that all run in transactions, or one file that does not.
async fn apply(
    connection: &mut SqliteConnection,
    files: &[MigrationFile],
    create: bool,
    all_in_one: bool,
    applied: &mut Vec<String>,
) -> Result<(), ApplyError> {
    let no_transaction = files.iter().any(|file| file.no_transaction);
    loop {
        files::rows(connection, "BEGIN IMMEDIATE").await?;
        let recorded = recorded(connection, create).await?;
        let pending = pending(files, &recorded)?;
        let batch = if all_in_one { pending.len() } else { pending.len().min(1) };
        if no_transaction {
            files::rows(connection, "COMMIT").await?;
        }
        for file in pending.iter().take(batch) {
            run(connection, file, no_transaction).await?;
        }
        if !no_transaction {
            files::rows(connection, "COMMIT").await?;
        }
        applied.extend(pending.iter().take(batch).map(|file| file.name()));
        if batch == pending.len() {
            return Ok(());
        }
    }
}

async fn recorded(connection: &mut SqliteConnection, create: bool) -> Result<Vec<LedgerRow>, ApplyError> {
    if !Sqlite::has_table(connection, LEDGER.table).await? {
        if !create {
            let why = format!(
                "the tenant's ledger `{}` does not exist; Portcullis does not create it again",
                LEDGER.table
            );
            return Err(ApplyError::of(why));
        }
        files::rows(connection, CREATE_LEDGER).await?;
    }
    inspect::own_ledger(connection).await.map_err(ApplyError::from)
}

/// The number of rows per table that refer to rows that do not exist.
async fn dangling(connection: &mut SqliteConnection) -> Result<BTreeMap<String, usize>, sqlx::Error> {
    let mut dangling = BTreeMap::new();
    for row in files::rows(connection, "PRAGMA foreign_key_check").await? {
        *dangling.entry(row.try_get::<String, _>(0)?).or_default() += 1;
    }
    Ok(dangling)
}

/// Runs one file and records it. Its ledger row is inserted as failed before the file runs, so that a file that commits
/// by itself, or that stops half-way outside a transaction, stays recorded as dirty.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    file: &MigrationFile,
    no_transaction: bool,
) -> Result<(), ApplyError> {
    let started = Instant::now();
    let failed = |error: sqlx::Error| file_error(file, None, no_transaction, &error);
    files::rows(connection, &insert(file)).await.map_err(failed)?;
    // A savepoint ends with its transaction. Releasing it proves that the file did not end the transaction.
    if !no_transaction {
        files::rows(connection, "SAVEPOINT portcullis").await.map_err(failed)?;
    }
    let before = dangling(connection).await.map_err(failed)?;
    if let Err((done, error)) = files::statements(connection, &file.sql).await {
        let line = sql_lexer::line_of_statement(&file.sql, done);
        let failed = file_error(file, line, no_transaction, &error);
        return Err(if no_transaction { ApplyError { end: ApplyEnd::Dirty, ..failed } } else { failed });
    }
    let (end, why) = if no_transaction {
        ("BEGIN; COMMIT", "the file leaves a transaction open")
    } else {
        (
            "RELEASE portcullis",
            "the file ends the transaction in which it runs: it contains COMMIT, ROLLBACK or BEGIN",
        )
    };
    if files::rows(connection, end).await.is_err() {
        return Err(ApplyError { end: ApplyEnd::Dirty, ..ApplyError::of(why).at(file, None) });
    }
    let after = dangling(connection).await.map_err(failed)?;
    if let Some((table, rows)) =
        after.iter().find(|(table, rows)| before.get(*table).is_none_or(|earlier| earlier < *rows))
    {
        let why = format!(
            "the file leaves {} of `{table}` that refer to rows that do not exist",
            count(*rows, "row")
        );
        let error = ApplyError::of(why).at(file, None);
        return Err(if no_transaction { ApplyError { end: ApplyEnd::Dirty, ..error } } else { error });
    }
    files::rows(connection, &update(file, started.elapsed())).await.map_err(failed)?;
    Ok(())
}

fn update(file: &MigrationFile, took: Duration) -> String {
    let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
    format!(
        "UPDATE {} SET success = 1, execution_time = {took} WHERE version = {}",
        LEDGER.table, file.version
    )
}

async fn record(connection: &mut SqliteConnection, files: &[MigrationFile]) -> Result<(), sqlx::Error> {
    files::rows(connection, "BEGIN IMMEDIATE").await?;
    files::rows(connection, CREATE_LEDGER).await?;
    for file in files {
        let replace = "ON CONFLICT (version) DO UPDATE SET checksum = excluded.checksum";
        files::rows(connection, &format!("{} {replace}", insert(file))).await?;
        files::rows(connection, &update(file, Duration::ZERO)).await?;
    }
    files::rows(connection, "COMMIT").await.map(drop)
}

fn insert(file: &MigrationFile) -> String {
    format!(
        "INSERT INTO {} (version, description, success, checksum, execution_time) VALUES ({}, {}, 0, x'{}', -1)",
        LEDGER.table,
        file.version,
        files::literal(&file.description),
        hex(&file.checksum),
    )
}

fn file_error(
    file: &MigrationFile,
    line: Option<usize>,
    no_transaction: bool,
    error: &sqlx::Error,
) -> ApplyError {
    let error = ApplyError::of(files::cause(error)).at(file, line);
    // Half of the file may be applied, so it is not retried.
    let end = if no_transaction && error.is_locked() { ApplyEnd::Failed } else { error.end };
    ApplyError { end, ..error }
}
