//! Applies migrations to one schema: each file in a transaction of its own, as psql and sqlx do, or all in one where that is
//! configured; what cannot run in a transaction, on its own.

use std::time::Duration;

use sqlx::postgres::PgRow;

use super::{
    LEDGER, Postgres, connect,
    connection::Connection,
    ledgers, lock,
    quote::{identifier, literal},
    run_migration::{self, Mode, apply_error},
};
use crate::{
    database::{Applied, ApplyEnd, ApplyError, Limits, MigrationFile, Schema, pending::pending},
    tenants::inspection::LedgerRow,
};

/// Takes a lock that lasts as long as the transaction.
const TRANSACTION: &str = "pg_try_advisory_xact_lock";

/// SQLSTATE of a schema and of a table that is not there.
const NO_SCHEMA: &str = "3F000";
const NO_TABLE: &str = "42P01";

/// Attempts in all, where another session's lock stood in the way.
const ATTEMPTS: u32 = 6;

impl Postgres {
    /// Applies those of `files` that the schema's ledger lacks, in order; it may be given all of them.
    pub(crate) async fn apply(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<Applied, ApplyError> {
        let name = match schema {
            Schema::Shared => &self.config.shared_schema,
            Schema::Tenant(name) => name,
        };
        let create = *schema == Schema::Shared;
        let mut applied = Applied::default();
        for segment in files.chunk_by(|a, b| !a.no_transaction && !b.no_transaction) {
            if let Err(error) = self.segment(name, segment, limits, create, &mut applied.migrations).await {
                return Err(ApplyError { applied: applied.migrations, ..error });
            }
        }
        Ok(applied)
    }

    async fn segment(
        &self,
        schema: &str,
        files: &[MigrationFile],
        limits: &Limits,
        create: bool,
        applied: &mut Vec<String>,
    ) -> Result<(), ApplyError> {
        let outside_of = files.iter().find(|file| file.no_transaction);
        if let Some(file) = outside_of.filter(|_| self.is_pooled()) {
            return Err(needs_session(file));
        }
        let mut attempt = 1;
        loop {
            let mut connection = self.writer_for(limits).await?;
            let before = applied.len();
            let outcome = match outside_of {
                Some(_) => outside(&mut connection, schema, files, limits, create, applied).await,
                None => inside(&mut connection, schema, files, limits, create, applied).await,
            };
            match outcome {
                Ok(()) => {
                    // A lock of the session's own is left behind, too.
                    if outside_of.is_none() && applied.len() == before {
                        self.release_clean(connection).await;
                    } else {
                        self.release(connection).await;
                    }
                    return Ok(());
                }
                Err(error) => {
                    // Where another run is at work, nothing was begun.
                    let taken = error.end == ApplyEnd::HeldByOther;
                    if taken {
                        self.release_clean(connection).await;
                    } else {
                        connection.close().await;
                    }
                    if !error.is_locked() || (taken && limits.nowait) || attempt == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(100..=300) * u64::from(attempt))).await;
            attempt += 1;
        }
    }
}

/// What runs outside a transaction needs a session of its own, for its lock and its settings.
pub(super) fn needs_session(file: &MigrationFile) -> ApplyError {
    let why = "a pooler in transaction mode is between, and the file runs outside a transaction: set `direct` in `[database]`";
    ApplyError::of(why).at(file, None)
}

/// Files that run in transactions. Between two of them another run may go on: what is pending is read again.
pub(super) async fn inside(
    connection: &mut Connection,
    schema: &str,
    files: &[MigrationFile],
    limits: &Limits,
    create: bool,
    applied: &mut Vec<String>,
) -> Result<(), ApplyError> {
    loop {
        let recorded = begin(connection, schema, limits, create).await?;
        let pending = pending(files, &recorded)?;
        let batch = if limits.all_in_one { pending.len() } else { pending.len().min(1) };
        for file in pending.iter().take(batch) {
            run_migration::file(connection, schema, file, limits, Mode::Inside).await?;
        }
        connection.run("COMMIT", limits.deadline).await.map_err(|error| apply_error(&error))?;
        applied.extend(pending.iter().take(batch).map(|file| file.name()));
        if batch == pending.len() {
            return Ok(());
        }
    }
}

/// Begins a transaction under the schema's lock, and says what its ledger records.
async fn begin(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
    create: bool,
) -> Result<Vec<LedgerRow>, ApplyError> {
    if let Some(recorded) = at_once(connection, schema, limits).await? {
        return Ok(recorded);
    }
    connection.rows(&run_migration::begin(limits)).await.map_err(|error| apply_error(&error))?;
    if let Err(error) = lock::schema(connection, schema, TRANSACTION, limits.nowait).await {
        if error.end == ApplyEnd::HeldByOther {
            connection.rows("ROLLBACK").await.map_err(|error| apply_error(&error))?;
        }
        return Err(error);
    }
    recorded(connection, schema, create).await
}

/// Begins, takes the schema's lock and reads its ledger in one message. None, and nothing is begun, where another run
/// has the lock or there is no ledger.
async fn at_once(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
) -> Result<Option<Vec<LedgerRow>>, ApplyError> {
    let (begin, lock) = (run_migration::begin(limits), lock::attempt(schema, TRANSACTION));
    let message = format!("{begin}; {lock}; {}", ledgers::select(LEDGER, 0, schema));
    match connection.rows(&message).await {
        Ok(rows) => {
            if let Some((lock, ledger)) = rows.split_first()
                && connect::flag(lock, 0).map_err(|error| apply_error(&error))?
            {
                return recorded_in(ledger).map(Some);
            }
        }
        Err(error) if matches!(connect::code(&error), Some(NO_SCHEMA | NO_TABLE)) => {}
        Err(error) => return Err(apply_error(&error)),
    }
    connection.rows("ROLLBACK").await.map_err(|error| apply_error(&error))?;
    Ok(None)
}

/// One file in no transaction, under a lock that the session holds.
pub(super) async fn outside(
    connection: &mut Connection,
    schema: &str,
    files: &[MigrationFile],
    limits: &Limits,
    create: bool,
    applied: &mut Vec<String>,
) -> Result<(), ApplyError> {
    lock::schema(connection, schema, "pg_try_advisory_lock", limits.nowait).await?;
    let recorded = recorded(connection, schema, create).await?;
    for file in pending(files, &recorded)? {
        run_migration::file(connection, schema, file, limits, Mode::Outside).await?;
        applied.push(file.name());
    }
    Ok(())
}

/// What the ledger says now. One that is not there is made for the shared schema alone.
async fn recorded(
    connection: &mut Connection,
    schema: &str,
    create: bool,
) -> Result<Vec<LedgerRow>, ApplyError> {
    if !has_ledger(connection, schema).await? {
        if !create {
            return Err(ApplyError::of(format!(
                "the schema or its ledger `{}` is not there, and is not made again for a tenant",
                LEDGER.table
            )));
        }
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(schema));
        if !exists(connection, schema).await? {
            connection.rows(&sql).await.map_err(|error| apply_error(&error))?;
        }
        connection.rows(&run_migration::create_ledger(schema)).await.map_err(|error| apply_error(&error))?;
    }
    let rows = connection.rows(&ledgers::select(LEDGER, 0, schema)).await;
    recorded_in(&rows.map_err(|error| apply_error(&error))?)
}

fn recorded_in(rows: &[PgRow]) -> Result<Vec<LedgerRow>, ApplyError> {
    rows.iter().map(ledgers::recorded).collect::<Result<_, _>>().map_err(|error| apply_error(&error))
}

async fn has_ledger(connection: &mut Connection, schema: &str) -> Result<bool, ApplyError> {
    let sql = format!(
        "SELECT 1::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname::text = {} AND c.relname::text = {} AND c.relkind IN ('r', 'p')",
        literal(schema),
        literal(LEDGER.table),
    );
    Ok(!connection.rows(&sql).await.map_err(|error| apply_error(&error))?.is_empty())
}

pub(super) async fn exists(connection: &mut Connection, schema: &str) -> Result<bool, ApplyError> {
    let sql =
        format!("SELECT 1::text FROM pg_catalog.pg_namespace WHERE nspname::text = {}", literal(schema));
    Ok(!connection.rows(&sql).await.map_err(|error| apply_error(&error))?.is_empty())
}
