//! Drops a schema, in as few transactions as the server's lock table allows, and never an object outside it.

use super::{
    connect,
    connection::Connection,
    error::QueryError,
    journal::{self, Entry, Kind},
    quote::{identifier, literal, qualified},
};
use crate::{
    config,
    database::{ApplyError, Limits, ProvisionState, postgres::Postgres},
    tenants::manifest::Domains,
};

/// One transaction may use this share of the server's lock table, which all sessions share.
const SHARE_OF_LOCKS: u64 = 4;

/// The maximum number of named objects.
const NAMED: usize = 5;

/// The number of dropped tables and of transactions.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Dropped {
    pub(super) tables: usize,
    pub(super) transactions: usize,
}

impl Postgres {
    /// Removes the schema, the rows and the entry, if the entry proves that its run created them.
    pub(super) async fn remove_recorded(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        domains: Option<&Domains>,
        entry: &Entry,
        limits: &Limits,
    ) -> Result<ProvisionState, ApplyError> {
        let (schema, started_by) = (&entry.tenant, &entry.started_by);
        let registered = self.is_registered(connection, registry, schema).await?;
        let schema_exists = super::apply::exists(connection, schema).await?;
        if matches!(entry.kind, Kind::Command | Kind::Created) && (registered || schema_exists) {
            return Ok(ProvisionState::Unproven(format!(
                "`{schema}` was absent before {started_by} had the framework create it, and nothing proves what the framework created"
            )));
        }
        if schema_exists && !journal::is_proved(connection, &entry.nonce).await? {
            return Ok(ProvisionState::Unproven(format!(
                "the schema `{schema}` does not have the ownership tag of {started_by}, which started to create it"
            )));
        }
        if registered && !entry.rows {
            return Ok(ProvisionState::Unproven(format!(
                "the registry contains `{schema}`, but {started_by}, which created the schema, did not write that row"
            )));
        }
        if schema_exists {
            drop_tables(connection, schema, limits).await?;
        }
        connection.rows(&begin(limits)).await?;
        if registered {
            self.delete_rows(connection, registry, domains, schema).await?;
        }
        if schema_exists {
            drop_schema(connection, schema, limits).await?;
        }
        let end = format!("{}; COMMIT", journal::delete_entries(&entry.nonce));
        connection.run(&end, limits.deadline).await?;
        Ok(ProvisionState::Absent)
    }
}

/// The statements that begin a transaction with DROP or DELETE.
pub(super) fn begin(limits: &Limits) -> String {
    format!(
        "BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = {}",
        limits.lock_timeout.as_millis()
    )
}

/// Drops tables of the schema until the rest fits into one transaction.
pub(super) async fn drop_tables(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
) -> Result<Dropped, ApplyError> {
    let mut dropped = Dropped::default();
    let budget = budget(connection).await?;
    loop {
        let batch = batch(connection, schema, budget).await?;
        if batch.rest <= budget || batch.tables.is_empty() {
            return Ok(Dropped { tables: dropped.tables + batch.count, ..dropped });
        }
        connection.rows(&begin(limits)).await?;
        refuse_outside(connection, schema).await?;
        let sql = format!("DROP {} IF EXISTS {} CASCADE; COMMIT", batch.kind, batch.tables.join(", "));
        connection.run(&sql, limits.deadline).await?;
        dropped.tables += batch.tables.len();
        dropped.transactions += 1;
    }
}

/// Drops the schema and the rest of its content in the open transaction.
pub(super) async fn drop_schema(
    connection: &mut Connection,
    schema: &str,
    limits: &Limits,
) -> Result<(), ApplyError> {
    refuse_outside(connection, schema).await?;
    let sql = format!("DROP SCHEMA {} CASCADE", identifier(schema));
    connection.run(&sql, limits.deadline).await.map_err(ApplyError::from)
}

/// Fails if an object outside the schema depends on it, because CASCADE would drop that object. It must run in the
/// transaction of the DROP.
pub(super) async fn refuse_outside(connection: &mut Connection, schema: &str) -> Result<(), ApplyError> {
    let rows = connection.rows(&dependents_outside(schema)).await?;
    let mut names = Vec::new();
    for row in &rows {
        names.extend(connect::text(row, 0)?);
    }
    if names.is_empty() {
        return Ok(());
    }
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    Err(ApplyError::of(format!("objects outside `{schema}` depend on it: {}{more}", names.join(", "))))
}

/// Selects the objects outside the schema that CASCADE would drop. Inside are the objects that depend on the schema,
/// and their parts: indexes, defaults, row types. The query follows the index of `pg_depend` from object to object
/// (`OFFSET 0` stops the planner from reading the entire table with all tenants' objects).
fn dependents_outside(schema: &str) -> String {
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

/// The tables of a schema that one transaction may drop.
struct Batch {
    kind: String,
    tables: Vec<String>,
    /// The number of locks for the entire rest of the schema.
    rest: u64,
    count: usize,
}

async fn batch(connection: &mut Connection, schema: &str, budget: u64) -> Result<Batch, QueryError> {
    let mut batch = Batch { kind: String::new(), tables: Vec::new(), rest: 0, count: 0 };
    let mut locks = 0;
    for row in connection.rows(&locks_per_table(schema)).await? {
        let (Some(name), Some(what)) = (connect::text(&row, 0)?, connect::text(&row, 1)?) else {
            continue;
        };
        let table_locks: u64 = connect::text(&row, 2)?.and_then(|text| text.parse().ok()).unwrap_or(1);
        batch.rest += table_locks;
        batch.count += 1;
        if batch.kind.is_empty() {
            batch.kind.clone_from(&what);
        }
        if what == batch.kind && (batch.tables.is_empty() || locks + table_locks <= budget) {
            locks += table_locks;
            batch.tables.push(qualified(schema, &name));
        }
    }
    Ok(batch)
}

/// The number of locks that one transaction may hold.
async fn budget(connection: &mut Connection) -> Result<u64, QueryError> {
    let sql = "SELECT (current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint \
               + current_setting('max_prepared_transactions')::bigint))::text";
    let rows = connection.rows(sql).await?;
    Ok((connect::number(&rows, 0)? / SHARE_OF_LOCKS).max(1))
}

/// Selects the tables and views of a schema, each with the approximate number of locks of its DROP: the table, its
/// types, indexes, TOAST table, constraints, defaults with their sequences, and triggers.
fn locks_per_table(schema: &str) -> String {
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
