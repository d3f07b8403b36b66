//! Creates a lost app's tables by its recording, in one transaction.
//!
//! The statements run in a schema of their own, in which empty copies stand for the tables of other apps. Then the tables
//! move to the tenant's schema, and last come the foreign keys to the other apps' tables, which lock these tables.

use std::time::Duration;

use super::{
    Postgres, connect,
    connection::Connection,
    lock,
    quote::{array, identifier, literal},
    replay::{TRANSACTION, changed_outside, prepare},
    run_migration,
};
use crate::{
    cause::Kind,
    database::{ApplyEnd, ApplyError, Limits},
    retry::{Pauses, Retry},
    tenants::recording::Recording,
};

/// For a lock on a table in use. A session that waits for a lock blocks the sessions behind it.
const SHARED_LOCK_TIMEOUT: Duration = Duration::from_millis(300);
const SHARED_LOCK_PAUSES: Pauses = Pauses::even(Duration::from_millis(500));

impl Postgres {
    pub(crate) async fn rebuild(
        &self,
        tenant: &str,
        recording: &Recording,
        limits: &Limits,
    ) -> Result<(), ApplyError> {
        let mut connection = self.writer_for(limits).await?;
        let rebuilt = rebuild(&mut connection, tenant, recording, limits).await;
        match &rebuilt {
            Ok(()) => self.release_clean(connection).await,
            Err(_) => connection.close().await,
        }
        rebuilt
    }
}

async fn rebuild(
    connection: &mut Connection,
    tenant: &str,
    recording: &Recording,
    limits: &Limits,
) -> Result<(), ApplyError> {
    let scratch = format!("portcullis_replay_{:016x}", fastrand::u64(..));
    connection.rows(&run_migration::begin(limits)).await?;
    lock::schema(connection, tenant, TRANSACTION, limits.nowait).await?;
    let create = format!(
        "CREATE SCHEMA {} AUTHORIZATION {}; {}; {}",
        identifier(&scratch),
        identifier(&recording.role),
        prepare(&scratch, recording, limits),
        recording.statements.join(";\n"),
    );
    run(connection, &create, limits).await?;
    let keys = texts(connection, &foreign_keys(tenant, &scratch, recording)).await?;
    let copies =
        recording.copies.iter().map(|table| format!("{}.{}", identifier(&scratch), identifier(table)));
    for copy in copies {
        run(connection, &format!("DROP TABLE {copy} CASCADE"), limits).await?;
    }
    for relation in texts(connection, &relations(&scratch)).await? {
        run(connection, &format!("ALTER {relation} SET SCHEMA {}", identifier(tenant)), limits).await?;
    }
    let rest = format!(
        "DROP SCHEMA {}; {}; {}",
        identifier(&scratch),
        prepare(tenant, recording, limits),
        recording.ledger.join(";\n"),
    );
    run(connection, &rest, limits).await?;
    add_foreign_keys(connection, &keys, limits).await?;
    if let Some(outside) = texts(connection, &changed_outside(&literal(tenant))).await?.first() {
        return Err(ApplyError::of(format!("the statements would change {outside}")));
    }
    run(connection, "COMMIT", limits).await
}

/// Locks the other apps' tables together. If one of them is in use for longer, all are released before the next attempt.
async fn add_foreign_keys(
    connection: &mut Connection,
    keys: &[String],
    limits: &Limits,
) -> Result<(), ApplyError> {
    if keys.is_empty() {
        return Ok(());
    }
    let timeout = SHARED_LOCK_TIMEOUT.min(limits.lock_timeout).as_millis();
    let add = format!("SAVEPOINT keys; SET LOCAL lock_timeout = {timeout}; {}", keys.join("; "));
    let mut retry = Retry::new(SHARED_LOCK_PAUSES).until(limits.deadline);
    loop {
        let error = match run(connection, &add, limits).await {
            Err(error) if error.end == ApplyEnd::LockTimeout => error,
            result => return result,
        };
        tracing::info!("another session uses a table that a foreign key refers to: {}", error.why);
        run(connection, "ROLLBACK TO SAVEPOINT keys", limits).await?;
        if !retry.pause().await {
            return Err(error);
        }
    }
}

async fn run(connection: &mut Connection, sql: &str, limits: &Limits) -> Result<(), ApplyError> {
    connection.run(sql, limits.deadline).await.map_err(|error| {
        let error = ApplyError::from(error);
        let end = if error.why.kind == Kind::Locked { ApplyEnd::LockTimeout } else { error.end };
        ApplyError { end, ..error }
    })
}

/// The first column of every row that is not null.
async fn texts(connection: &mut Connection, sql: &str) -> Result<Vec<String>, ApplyError> {
    let rows = connection.rows(sql).await?;
    let texts = rows.iter().filter_map(|row| connect::text(row, 0).transpose());
    texts.collect::<Result<_, _>>().map_err(ApplyError::from)
}

/// Selects the statements that add the foreign keys to copied tables again, to the tables that the copies stand for; those
/// outside of the tenant's schema last.
fn foreign_keys(tenant: &str, scratch: &str, recording: &Recording) -> String {
    let schemas =
        array([tenant].into_iter().chain(recording.search_path.iter().map(String::as_str)).map(Some));
    let copies = array(recording.copies.iter().map(|table| Some(table.as_str())));
    format!(
        "SET LOCAL search_path = pg_catalog; SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', {tenant}, c.relname, k.conname, \
         replace(pg_get_constraintdef(k.oid), ' REFERENCES ' || {scratch} || '.', format(' REFERENCES %I.', target.schema))) \
         FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid \
         JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (SELECT s.schema, s.position \
         FROM unnest({schemas}) WITH ORDINALITY s(schema, position) JOIN pg_namespace o ON o.nspname::text = s.schema \
         JOIN pg_class t ON t.relnamespace = o.oid AND t.relname = f.relname AND t.relkind IN ('r', 'p') \
         ORDER BY s.position LIMIT 1) target \
         WHERE k.contype = 'f' AND n.nspname::text = {scratch} AND f.relnamespace = n.oid \
         AND f.relname::text = ANY ({copies}) AND c.relname::text <> ALL ({copies}) \
         ORDER BY target.position, f.relname, c.relname, k.conname",
        tenant = literal(tenant),
        scratch = literal(scratch),
    )
}

/// Selects the relations of the schema that do not belong to another one: `TABLE schema.name`.
fn relations(schema: &str) -> String {
    format!(
        "SELECT format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' \
         WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, n.nspname, c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname::text = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d \
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') \
         AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) ORDER BY c.relkind, c.relname",
        literal(schema),
    )
}
