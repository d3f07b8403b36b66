//! Removes a schema: in as few transactions as the server's lock table allows, and never what stands outside of it.

use super::{
    connect,
    connection::Connection,
    journal::{self, Entry, Kind},
    quote::{identifier, literal, qualified},
    run_migration::apply_error,
};
use crate::{
    config,
    database::{ApplyError, Limits, ProvisionState, postgres::Postgres},
    tenants::manifest::Domains,
};

/// One transaction may fill this part of the server's lock table, which all sessions share.
const PART_OF_LOCKS: u64 = 4;

/// So many of those that stand outside are named.
const NAMED: usize = 5;

/// What was dropped.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Dropped {
    pub(super) tables: usize,
    pub(super) transactions: usize,
}

impl Postgres {
    /// Removes what an entry of the journal announces, if it proves whose it is; the entry goes with it.
    pub(super) async fn remove_recorded(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        domains: Option<&Domains>,
        entry: &Entry,
        limits: &Limits,
    ) -> Result<ProvisionState, ApplyError> {
        let failed = |error: sqlx::Error| apply_error(&error);
        let (schema, started_by) = (&entry.tenant, &entry.started_by);
        let registered = self.is_registered(connection, registry, schema).await.map_err(failed)?;
        let schema_exists = super::apply::exists(connection, schema).await?;
        if entry.kind == Kind::Command && (registered || schema_exists) {
            return Ok(ProvisionState::Unproven(format!(
                "`{schema}` was absent when {started_by} had the framework make it, and nothing proves what it made"
            )));
        }
        if schema_exists && !journal::is_proved(connection, &entry.nonce).await.map_err(failed)? {
            return Ok(ProvisionState::Unproven(format!(
                "the schema `{schema}` does not bear the mark of {started_by}, which began to make it"
            )));
        }
        if registered && !entry.rows {
            return Ok(ProvisionState::Unproven(format!(
                "the registry names `{schema}`, and {started_by}, which made the schema, did not write that"
            )));
        }
        if schema_exists {
            drop_tables(connection, schema, limits).await?;
        }
        connection.rows(&begin(limits)).await.map_err(failed)?;
        if registered {
            self.delete_rows(connection, registry, domains, schema).await.map_err(failed)?;
        }
        if schema_exists {
            drop_schema(connection, schema, limits).await?;
        }
        let end = format!("{}; COMMIT", journal::delete_entries(&entry.nonce));
        connection.run(&end, limits.deadline).await.map_err(failed)?;
        Ok(ProvisionState::Absent)
    }
}

/// The beginning of a transaction that removes something.
pub(super) fn begin(limits: &Limits) -> String {
    format!(
        "BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = {}",
        limits.lock_timeout.as_millis()
    )
}

/// Drops as many of the schema's tables as it takes for the rest to fit into one transaction.
pub(super) async fn drop_tables(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
) -> Result<Dropped, ApplyError> {
    let failed = |error: sqlx::Error| apply_error(&error);
    let mut dropped = Dropped::default();
    let budget = budget(connection).await.map_err(failed)?;
    loop {
        let batch = batch(connection, schema, budget).await.map_err(failed)?;
        if batch.rest <= budget || batch.tables.is_empty() {
            return Ok(Dropped { tables: dropped.tables + batch.count, ..dropped });
        }
        connection.rows(&begin(limits)).await.map_err(failed)?;
        refuse_outside(connection, schema).await?;
        let sql = format!("DROP {} IF EXISTS {} CASCADE; COMMIT", batch.kind, batch.tables.join(", "));
        connection.run(&sql, limits.deadline).await.map_err(failed)?;
        dropped.tables += batch.tables.len();
        dropped.transactions += 1;
    }
}

/// Drops the schema with all that is left in it, inside the transaction that is open.
pub(super) async fn drop_schema(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
) -> Result<(), ApplyError> {
    refuse_outside(connection, schema).await?;
    let sql = format!("DROP SCHEMA {} CASCADE", identifier(schema));
    connection.run(&sql, limits.deadline).await.map_err(|error| apply_error(&error))
}

/// CASCADE takes along what depends on the schema wherever it stands. Asked inside the transaction that drops.
pub(super) async fn refuse_outside(connection: &mut Connection, schema: &str) -> Result<(), ApplyError> {
    let rows = connection.rows(&outside(schema)).await.map_err(|error| apply_error(&error))?;
    let mut names = Vec::new();
    for row in &rows {
        names.extend(connect::text(row, 0).map_err(|error| apply_error(&error))?);
    }
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Err(ApplyError::of(format!(
        "what stands outside of `{schema}` depends on it: {}{more}",
        names.join(", ")
    )))
}

/// Asks for what would be lost with the schema and does not stand in it. Inside is what depends on the schema itself, and what is
/// a part of something inside: an index, a default, a row type. Followed by the index of `pg_depend` alone, from one object to the
/// next (`OFFSET 0` keeps the planner from reading all of it), because other tenants' objects stand there too.
fn outside(schema: &str) -> String {
    let dependent = "CROSS JOIN LATERAL (SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d \
         WHERE d.refclassid = i.classid AND d.refobjid = i.objid";
    format!(
        "WITH RECURSIVE n AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_namespace \
         WHERE nspname = {name}::name AND nspname::text = {name}), inside(classid, objid) AS (\
         SELECT 'pg_catalog.pg_namespace'::regclass::oid, oid FROM n \
         UNION SELECT d.classid, d.objid FROM inside i {dependent} AND (i.classid = 'pg_catalog.pg_namespace'::regclass AND i.objid = (SELECT oid FROM n) \
         OR d.deptype IN ('i', 'e', 'P', 'S') \
         OR d.deptype = 'a' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.classid = d.classid \
         AND o.objid = d.objid AND o.refclassid = 'pg_catalog.pg_namespace'::regclass) \
         OR d.classid IN ('pg_catalog.pg_cast'::regclass, 'pg_catalog.pg_transform'::regclass) \
         AND d.refclassid = 'pg_catalog.pg_type'::regclass) OFFSET 0) d), \
         there AS (SELECT d.* FROM inside i {dependent} OFFSET 0) d \
         WHERE NOT EXISTS (SELECT FROM inside o WHERE o.classid = d.classid AND o.objid = d.objid)) \
         SELECT DISTINCT CASE WHEN r.oid IS NULL THEN pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) \
         ELSE pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0) END \
         FROM there d LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid \
         AND r.rulename = '_RETURN' ORDER BY 1",
        name = literal(schema),
    )
}

/// What one transaction may drop of a schema.
struct Batch {
    kind: String,
    tables: Vec<String>,
    /// How much all that stands there weighs.
    rest: u64,
    count: usize,
}

async fn batch(connection: &mut Connection, schema: &str, budget: u64) -> Result<Batch, sqlx::Error> {
    let mut batch = Batch { kind: String::new(), tables: Vec::new(), rest: 0, count: 0 };
    let mut weight = 0;
    for row in connection.rows(&weights(schema)).await? {
        let (Some(name), Some(what)) = (connect::text(&row, 0)?, connect::text(&row, 1)?) else {
            continue;
        };
        let metadata_schema: u64 = connect::text(&row, 2)?.and_then(|text| text.parse().ok()).unwrap_or(1);
        batch.rest += metadata_schema;
        batch.count += 1;
        if batch.kind.is_empty() {
            batch.kind.clone_from(&what);
        }
        if what == batch.kind && (batch.tables.is_empty() || weight + metadata_schema <= budget) {
            weight += metadata_schema;
            batch.tables.push(qualified(schema, &name));
        }
    }
    Ok(batch)
}

/// How many locks one transaction may take.
async fn budget(connection: &mut Connection) -> Result<u64, sqlx::Error> {
    let sql = "SELECT (current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint \
               + current_setting('max_prepared_transactions')::bigint))::text";
    let rows = connection.rows(sql).await?;
    Ok((connect::number(&rows, 0)? / PART_OF_LOCKS).max(1))
}

/// What stands in a schema and holds rows or shows them, each with about as many locks as dropping it takes: itself and its
/// types, its indexes, its hidden table, its constraints, defaults with their sequences, and triggers.
fn weights(schema: &str) -> String {
    format!(
        "SELECT c.relname::text, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' \
         WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, \
         (3 + CASE WHEN c.reltoastrelid <> 0 THEN 3 ELSE 0 END \
         + (SELECT count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid) \
         + (SELECT count(*) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid) \
         + 2 * (SELECT count(*) FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid) \
         + (SELECT count(*) FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid))::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname::text = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
         ORDER BY c.relkind NOT IN ('v', 'm'), c.relkind = 'm', NOT c.relispartition, 2, 1",
        literal(schema),
    )
}
