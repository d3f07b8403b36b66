//! Applies migrations to one schema: one transaction per file, as psql and sqlx do, or one for all if configured. A
//! file that cannot run in a transaction runs alone.

use super::{
    LEDGER, Postgres, connect,
    connection::{Connection, Row},
    ledgers, lock,
    quote::{identifier, literal},
    run_migration::{self, Transaction},
};
use crate::{
    database::{Applied, ApplyEnd, ApplyError, Limits, MigrationFile, Schema, pending::pending, segments},
    tenants::inspection::LedgerRow,
};

/// Acquires a lock that ends with the transaction.
pub(super) const TRANSACTION: &str = "pg_try_advisory_xact_lock";

impl Postgres {
    /// Applies the pending ones of `files` to the schema, in order.
    pub(crate) async fn apply(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<Applied, ApplyError> {
        let name = self.schema_name(schema);
        let create = *schema == Schema::Shared;
        segments::apply_each(files, limits, async |segment, applied| {
            self.segment(name, segment, limits, create, applied).await
        })
        .await
    }

    pub(super) fn schema_name<'a>(&'a self, schema: &'a Schema) -> &'a str {
        match schema {
            Schema::Shared => &self.config.shared_schema,
            Schema::Tenant(name) => name,
        }
    }

    async fn segment(
        &self,
        schema: &str,
        files: &[MigrationFile],
        limits: &Limits,
        create: bool,
        applied: &mut Vec<String>,
    ) -> Result<(), ApplyError> {
        let no_transaction = files.iter().find(|file| file.no_transaction);
        if let Some(file) = no_transaction.filter(|_| self.is_pooled()) {
            return Err(needs_session(file));
        }
        let mut connection = self.writer_for(limits).await?;
        let before = applied.len();
        let outcome = match no_transaction {
            Some(_) => {
                apply_without_transaction(&mut connection, schema, files, limits, create, applied).await
            }
            None => apply_in_transactions(&mut connection, schema, files, limits, create, applied).await,
        };
        match &outcome {
            // A file outside a transaction leaves a session lock behind.
            Ok(()) if no_transaction.is_some() || applied.len() > before => self.release(connection).await,
            Ok(()) => self.release_clean(connection).await,
            // If another run holds the schema's lock, no transaction is open.
            Err(error) if error.end == ApplyEnd::HeldByOther => self.release_clean(connection).await,
            Err(_) => connection.close().await,
        }
        outcome
    }
}

/// The error of a file outside a transaction behind a pooler: it needs its own session for its lock and its settings.
pub(super) fn needs_session(file: &MigrationFile) -> ApplyError {
    let why = "the file runs outside a transaction, which does not work through a pooler in transaction mode: set `direct` in `[database]`";
    ApplyError::of(why).at(file, None)
}

/// Applies files in transactions. Reads the pending files again after each one, because another run may continue in between.
pub(super) async fn apply_in_transactions(
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
            run_migration::file(connection, schema, file, limits, Transaction::Open).await?;
        }
        connection.run("COMMIT", limits.deadline).await?;
        applied.extend(pending.iter().take(batch).map(|file| file.name()));
        if batch == pending.len() {
            return Ok(());
        }
    }
}

/// Begins a transaction, acquires the schema's lock and reads the ledger.
async fn begin(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
    create: bool,
) -> Result<Vec<LedgerRow>, ApplyError> {
    if let Some(recorded) = begin_in_one_message(connection, schema, limits).await? {
        return Ok(recorded);
    }
    connection.rows(&run_migration::begin(limits)).await?;
    if let Err(error) = lock::schema(connection, schema, TRANSACTION, limits.nowait).await {
        if error.end == ApplyEnd::HeldByOther {
            connection.rows("ROLLBACK").await?;
        }
        return Err(error);
    }
    recorded(connection, schema, create).await
}

/// Begins, acquires the schema's lock and reads its ledger in one message. None, without an open transaction, if
/// another run holds the lock or the ledger does not exist.
async fn begin_in_one_message(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
) -> Result<Option<Vec<LedgerRow>>, ApplyError> {
    let (begin, lock) = (run_migration::begin(limits), lock::attempt(schema, TRANSACTION));
    let message = format!("{begin}; {lock}; {}", ledgers::select(LEDGER, 0, schema));
    match connection.rows(&message).await {
        Ok(rows) => {
            if let Some((lock, ledger)) = rows.split_first()
                && connect::flag(lock, 0)?
            {
                return recorded_in(ledger).map(Some);
            }
        }
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(ApplyError::from(error)),
    }
    connection.rows("ROLLBACK").await?;
    Ok(None)
}

/// Applies one file outside a transaction, under a session lock.
pub(super) async fn apply_without_transaction(
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
        run_migration::file(connection, schema, file, limits, Transaction::None).await?;
        applied.push(file.name());
    }
    Ok(())
}

/// The ledger's rows. A missing ledger is created only if `create`.
async fn recorded(
    connection: &mut Connection,
    schema: &str,
    create: bool,
) -> Result<Vec<LedgerRow>, ApplyError> {
    if !has_ledger(connection, schema).await? {
        if !create {
            return Err(ApplyError::of(format!(
                "the tenant's schema or its ledger `{}` does not exist; Portcullis does not create it again",
                LEDGER.table
            )));
        }
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(schema));
        if !exists(connection, schema).await? {
            connection.rows(&sql).await?;
        }
        connection.rows(&run_migration::create_ledger(schema)).await?;
    }
    let rows = connection.rows(&ledgers::select(LEDGER, 0, schema)).await;
    recorded_in(&rows?)
}

fn recorded_in(rows: &[Row]) -> Result<Vec<LedgerRow>, ApplyError> {
    rows.iter().map(ledgers::recorded).collect::<Result<_, _>>().map_err(ApplyError::from)
}

async fn has_ledger(connection: &mut Connection, schema: &str) -> Result<bool, ApplyError> {
    let sql = format!(
        "SELECT 1::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname::text = {} AND c.relname::text = {} AND c.relkind IN ('r', 'p')",
        literal(schema),
        literal(LEDGER.table),
    );
    Ok(!connection.rows(&sql).await?.is_empty())
}

pub(super) async fn exists(connection: &mut Connection, schema: &str) -> Result<bool, ApplyError> {
    let sql =
        format!("SELECT 1::text FROM pg_catalog.pg_namespace WHERE nspname::text = {}", literal(schema));
    Ok(!connection.rows(&sql).await?.is_empty())
}
