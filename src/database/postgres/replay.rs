//! Runs the statements that were recorded in one tenant's schema in another tenant's schema, in one transaction.

use super::{
    Postgres, connect,
    connection::{Connection, QUERY_TIMEOUT, Row},
    connection_pool::CACHED_BY_REPLAY,
    error::QueryError,
    lock,
    quote::{array, identifier},
    run_migration,
    structure::{DigestKinds, PLAN, digest, structure},
};
use crate::{
    database::{ApplyEnd, ApplyError, Limits, segments::retry_locked, sql_lexer},
    tenants::recording::{Difference, ExpectedStructure, Recording, Replayed},
};

/// Acquires a lock that ends with the transaction.
pub(super) const TRANSACTION: &str = "pg_try_advisory_xact_lock";

/// The lock modes of a transaction that reads a table or refers to it with a foreign key; every other mode changes it.
const UNCHANGED: &str = "'AccessShareLock', 'RowShareLock', 'ShareRowExclusiveLock'";

/// Fires the deferred triggers while the search path is the tenant's.
const FIRE_TRIGGERS: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// The number of characters of a failed statement in a message.
const SHOWN: usize = 120;

impl Postgres {
    pub(crate) async fn replay(
        &self,
        tenant: &str,
        recording: &Recording,
        structure: &ExpectedStructure,
        limits: &Limits,
    ) -> Result<Replayed, ApplyError> {
        retry_locked(limits, async || {
            let check = if structure.has_rare() { &CHECK_ALL } else { &CHECK_COMMON };
            let (mut connection, locked) = self.begin_replay(tenant, limits, check).await?;
            let lock_and_replay = async {
                if !locked {
                    lock::schema(&mut connection, tenant, TRANSACTION, limits.nowait).await?;
                }
                replay(&mut connection, (tenant, check), recording, structure, limits).await
            };
            let replayed = lock_and_replay.await;
            match &replayed {
                Ok(Replayed::Equal) => self.release_after(connection, CACHED_BY_REPLAY).await,
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

    /// A connection with the prepared statement and an open transaction, and whether that has the tenant's lock.
    async fn begin_replay(
        &self,
        tenant: &str,
        limits: &Limits,
        check: &Check,
    ) -> Result<(Connection, bool), ApplyError> {
        let begin = format!("{}; {}", run_migration::begin(limits), lock::attempt(tenant, TRANSACTION));
        let is_locked = |rows: &[Row]| rows.first().is_some_and(|row| connect::flag(row, 0).unwrap_or(false));
        while let Some(mut connection) = self.prepared_writer(check.name) {
            if let Ok(rows) = connection.rows(&begin).await {
                connection.set_query_timeout(QUERY_TIMEOUT + limits.lock_timeout);
                return Ok((connection, is_locked(&rows)));
            }
        }
        let mut connection = self.writer_for(limits).await?;
        let prepare = check.prepare(connection.server_version());
        let rows = connection.rows(&format!("{begin}; {prepare}")).await?;
        connection.set_prepared(Some(check.name));
        Ok((connection, is_locked(&rows)))
    }
}

async fn replay(
    connection: &mut Connection,
    (tenant, check): (&str, &Check),
    recording: &Recording,
    expected: &ExpectedStructure,
    limits: &Limits,
) -> Result<Replayed, ApplyError> {
    let (mut why, completes) = (String::new(), !recording.completion.is_empty());
    for statements in [&recording.statements].into_iter().chain(completes.then_some(&recording.completion)) {
        let sql = [
            prepare(tenant, recording, limits),
            statements.join(";\n"),
            FIRE_TRIGGERS.to_owned(),
            proofs(recording),
            check.execute(tenant),
        ]
        .join(";\n");
        let rows = match connection.rows_of_statements(&sql, limits.deadline).await {
            Ok(rows) => rows,
            Err((done, error)) => {
                let statement =
                    sql_lexer::split(&sql).nth(done).map_or("", |(_, statement)| statement.trim());
                let shown: String = statement.chars().take(SHOWN).collect();
                return failed(&error).map(|replayed| replayed.at(&shown));
            }
        };
        let [.., answers, checked] = rows.as_slice() else {
            return Err(ApplyError::of("the proofs have no answer"));
        };
        match difference(recording, answers, checked)? {
            None => return commit(connection, (tenant, check), checked, expected, limits).await,
            Some(difference) => why = difference,
        }
    }
    Ok(Replayed::Differs(Difference { why, structure: None }))
}

/// Commits if the structure is the expected one.
async fn commit(
    connection: &mut Connection,
    (tenant, check): (&str, &Check),
    checked: &Row,
    expected: &ExpectedStructure,
    limits: &Limits,
) -> Result<Replayed, ApplyError> {
    let digest = connect::text(checked, DIGEST)?;
    if !digest.as_ref().is_some_and(|digest| expected.is_known(digest)) {
        connection.rows(ANY_PLAN).await?;
        let found = structure(connection, tenant).await?.digest();
        if found != expected.full {
            let why = "the structure would differ".to_owned();
            return Ok(Replayed::Differs(Difference { why, structure: Some(found) }));
        }
        if let Some(digest) = digest {
            let again = connection.rows(&check.execute(tenant)).await;
            let again =
                again.and_then(|rows| rows.first().map_or(Ok(None), |row| connect::text(row, DIGEST)));
            if again?.as_ref() == Some(&digest) {
                expected.learn(digest);
            }
        } else {
            expected.note_rare();
        }
    }
    match connection.run("COMMIT", limits.deadline).await {
        Ok(()) => Ok(Replayed::Equal),
        Err(error) => failed(&error),
    }
}

/// An error of a statement is a difference between the tenants; a lost connection and a lock are not.
fn failed(error: &QueryError) -> Result<Replayed, ApplyError> {
    let failure = ApplyError::of(error.cause());
    if failure.end == ApplyEnd::Failed && error.server().is_some() {
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

/// Selects the relations outside of the tenant's schema that the open transaction has changed or created. `tenant` is an
/// expression.
pub(super) fn changed_outside(tenant: &str) -> String {
    // Without joins, which would read the whole catalog while nested loops are off.
    format!(
        "SELECT pg_catalog.string_agg(DISTINCT o.schema || '.' || o.name, ', ') FROM (SELECT \
         (SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE n.oid = \
         (SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid = l.relation)) AS schema, \
         (SELECT c.relname::text FROM pg_catalog.pg_class c WHERE c.oid = l.relation) AS name FROM pg_catalog.pg_locks l \
         WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode NOT IN ({UNCHANGED})) AS o \
         WHERE o.schema <> {tenant} AND o.schema !~ '^pg_'",
    )
}

/// The catalogs are much larger than one tenant's part of them.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";

/// For the query of the complete structure.
const ANY_PLAN: &str = "SET LOCAL enable_nestloop = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on; \
    SET LOCAL enable_bitmapscan = on";

/// The columns of the prepared statement.
const OUTSIDE: usize = 0;
const DIGEST: usize = 2;

/// A prepared statement that checks one tenant after another: planning it takes longer than running it.
struct Check {
    name: &'static str,
    kinds: DigestKinds,
}

const CHECK_COMMON: Check = Check { name: "portcullis_check", kinds: DigestKinds::Common };
const CHECK_ALL: Check = Check { name: "portcullis_check_all", kinds: DigestKinds::All };

impl Check {
    fn prepare(&self, version: u32) -> String {
        format!(
            "DEALLOCATE ALL; SET LOCAL search_path = pg_catalog; \
             PREPARE {} (text[]) AS SELECT ({}), digest.* FROM ({}) AS digest",
            self.name,
            changed_outside("$1[1]"),
            digest(version, "$1", "", self.kinds),
        )
    }

    fn execute(&self, tenant: &str) -> String {
        let tenant = array([Some(tenant)]);
        format!(
            "SET LOCAL search_path = pg_catalog; SET LOCAL plan_cache_mode = force_generic_plan; {PLAN}; {BY_INDEX}; \
             EXECUTE {} ({tenant})",
            self.name
        )
    }
}

/// The first proof with another answer, or a change outside of the schema.
fn difference(recording: &Recording, answers: &Row, checked: &Row) -> Result<Option<String>, QueryError> {
    for (column, proof) in recording.proofs.iter().enumerate() {
        if connect::text(answers, column)? != proof.answer {
            return Ok(Some(format!("{} would differ", proof.what)));
        }
    }
    Ok(connect::text(checked, OUTSIDE)?.map(|names| format!("the statements would change {names}")))
}
