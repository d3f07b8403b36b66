//! Runs the statements that were recorded in one tenant's schema in another tenant's schema, in one transaction.

use super::{
    Postgres, connect,
    connection::{Connection, Row},
    lock,
    quote::{identifier, literal},
    run_migration::{self, apply_error},
    structure::structure,
};
use crate::{
    database::{ApplyEnd, ApplyError, Limits, segments::retry_locked, sql_lexer},
    tenants::recording::{Difference, Recording, Replayed},
};

/// Acquires a lock that ends with the transaction.
pub(super) const TRANSACTION: &str = "pg_try_advisory_xact_lock";

/// The lock modes of a transaction that reads a table or refers to it with a foreign key; every other mode changes it.
const UNCHANGED: &str = "'AccessShareLock', 'RowShareLock', 'ShareRowExclusiveLock'";

/// The number of characters of a failed statement in a message.
const SHOWN: usize = 120;

impl Postgres {
    pub(crate) async fn replay(
        &self,
        tenant: &str,
        recording: &Recording,
        structure: &str,
        limits: &Limits,
    ) -> Result<Replayed, ApplyError> {
        retry_locked(limits, async || {
            let mut connection = self.writer_for(limits).await?;
            let replayed = replay(&mut connection, tenant, recording, structure, limits).await;
            match &replayed {
                Ok(Replayed::Equal) => self.release_clean(connection).await,
                Ok(Replayed::Differs(_)) | Err(ApplyError { end: ApplyEnd::HeldByOther, .. })
                    if connection.rows("ROLLBACK").await.is_ok() =>
                {
                    self.release_clean(connection).await;
                }
                _ => connection.close().await,
            }
            replayed
        })
        .await
    }
}

async fn replay(
    connection: &mut Connection,
    tenant: &str,
    recording: &Recording,
    expected: &str,
    limits: &Limits,
) -> Result<Replayed, ApplyError> {
    connection.rows(&run_migration::begin(limits)).await.map_err(|error| apply_error(&error))?;
    lock::schema(connection, tenant, TRANSACTION, limits.nowait).await?;
    let sql = format!("{}; {}", prepare(tenant, recording, limits), recording.statements.join(";\n"));
    if let Err((done, error)) = connection.statements(&sql, limits.deadline).await {
        let statement = sql_lexer::split(&sql).nth(done).map_or("", |(_, statement)| statement.trim());
        let shown: String = statement.chars().take(SHOWN).collect();
        return failed(&error).map(|replayed| replayed.at(&shown));
    }
    let checks = format!("{}; {}", proofs(recording), changed_outside(tenant));
    let rows = match connection.rows(&checks).await {
        Ok(rows) => rows,
        Err(error) => return failed(&error),
    };
    if let Some(why) = difference(recording, &rows).map_err(|error| apply_error(&error))? {
        return Ok(Replayed::Differs(Difference { why, structure: None }));
    }
    let found = structure(connection, tenant).await.map_err(|error| apply_error(&error))?.digest();
    if found != expected {
        let why = "the structure would differ".to_owned();
        return Ok(Replayed::Differs(Difference { why, structure: Some(found) }));
    }
    match connection.run("COMMIT", limits.deadline).await {
        Ok(()) => Ok(Replayed::Equal),
        Err(error) => failed(&error),
    }
}

/// An error of a statement is a difference between the tenants; a lost connection and a lock are not.
fn failed(error: &sqlx::Error) -> Result<Replayed, ApplyError> {
    let failure = apply_error(error);
    if failure.end == ApplyEnd::Failed && connect::server_error(error).is_some() {
        return Ok(Replayed::Differs(Difference { why: failure.why.to_string(), structure: None }));
    }
    Err(failure)
}

/// Selects the role and the schemas for the recorded statements.
pub(super) fn prepare(schema: &str, recording: &Recording, limits: &Limits) -> String {
    let schemas = [schema].into_iter().chain(recording.search_path.iter().map(String::as_str));
    let search_path = schemas.map(identifier).collect::<Vec<_>>().join(", ");
    let role = identifier(&recording.role);
    let mut sql = format!("SET LOCAL ROLE {role}; SET LOCAL search_path = {search_path}");
    if let Some(timeout) = limits.statement_timeout {
        sql = format!("{sql}; SET LOCAL statement_timeout = {}", timeout.as_millis());
    }
    sql
}

/// Selects the answers to the proofs as one row.
fn proofs(recording: &Recording) -> String {
    let answers = recording.proofs.iter().map(|proof| format!("({})::text", proof.sql));
    format!("SELECT {}", answers.collect::<Vec<_>>().join(", "))
}

/// Selects the relations outside of the tenant's schema that the open transaction has changed or created.
pub(super) fn changed_outside(tenant: &str) -> String {
    format!(
        "SELECT pg_catalog.string_agg(DISTINCT n.nspname || '.' || c.relname, ', ') FROM pg_catalog.pg_locks l \
         JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode NOT IN ({UNCHANGED}) \
         AND n.nspname::text <> {} AND n.nspname !~ '^pg_'",
        literal(tenant),
    )
}

/// The first proof with another answer, or a change outside of the schema.
fn difference(recording: &Recording, rows: &[Row]) -> Result<Option<String>, sqlx::Error> {
    let [answers, outside] = rows else { return Ok(Some("the proofs have no answer".into())) };
    for (column, proof) in recording.proofs.iter().enumerate() {
        if connect::text(answers, column)? != proof.answer {
            return Ok(Some(format!("{} would differ", proof.what)));
        }
    }
    Ok(connect::text(outside, 0)?.map(|names| format!("the statements would change {names}")))
}
