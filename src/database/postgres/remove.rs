//! Removes a schema: in as few transactions as the server's lock table allows, and never what stands outside of it.

use sqlx::postgres::PgConnection;

use super::{
    connect,
    journal::{self, Entry, Kind},
    quote::{identifier, literal, qualified},
    run::bare,
};
use crate::{
    config,
    database::{ApplyError, Limits, Undone, postgres::Postgres},
    tenants::manifest::Domains,
};

/// One transaction may fill this part of the server's lock table, which all sessions share.
const PART_OF_LOCKS: u64 = 4;

/// What was dropped.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Dropped {
    pub(super) tables: usize,
    pub(super) transactions: usize,
}

impl Postgres {
    /// Removes what an entry of the journal announces, if it proves whose it is; the entry goes with it.
    pub(super) async fn remove_announced(
        &self,
        connection: &mut PgConnection,
        registry: &config::Registry,
        domains: Option<&Domains>,
        entry: &Entry,
        limits: &Limits,
    ) -> Result<Undone, ApplyError> {
        let failed = |error: sqlx::Error| bare(&error);
        let (schema, begun) = (&entry.tenant, &entry.begun);
        let registered = self.is_registered(connection, registry, schema).await.map_err(failed)?;
        let stands = super::apply::exists(connection, schema).await?;
        if entry.kind == Kind::Command && (registered || stands) {
            return Ok(Undone::Unproved(format!(
                "`{schema}` was absent when {begun} had the framework make it, and nothing proves what it made"
            )));
        }
        if stands && !journal::is_proved(connection, &entry.nonce).await.map_err(failed)? {
            return Ok(Undone::Unproved(format!(
                "the schema `{schema}` does not bear the mark of {begun}, which began to make it"
            )));
        }
        if registered && !entry.rows {
            return Ok(Undone::Unproved(format!(
                "the registry names `{schema}`, and {begun}, which made the schema, did not write that"
            )));
        }
        let mut rows_too = String::new();
        if stands {
            if let Some(outside) = outside(connection, schema).await.map_err(failed)? {
                return Ok(Undone::Unproved(format!("{outside} depends on what stands in `{schema}`")));
            }
            drop_tables(connection, schema, limits).await.map_err(failed)?;
            rows_too = format!("DROP SCHEMA {} CASCADE; ", identifier(schema));
        }
        connect::rows(connection, &begin(limits)).await.map_err(failed)?;
        if registered {
            self.delete_rows(connection, registry, domains, schema).await.map_err(failed)?;
        }
        let end = format!("{rows_too}{}; COMMIT", journal::strike(&entry.nonce));
        connect::rows(connection, &end).await.map_err(failed)?;
        Ok(Undone::Nothing)
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
    connection: &mut PgConnection,
    schema: &str,
    limits: &Limits,
) -> Result<Dropped, sqlx::Error> {
    let mut dropped = Dropped::default();
    let budget = budget(connection).await?;
    loop {
        let mut batch: Vec<String> = Vec::new();
        let (mut weight, mut rest) = (0, 0);
        let (mut kind, mut count) = (String::new(), 0);
        for row in connect::rows(connection, &weights(schema)).await? {
            let (Some(name), Some(what)) = (connect::text(&row, 0)?, connect::text(&row, 1)?) else {
                continue;
            };
            let own: u64 = connect::text(&row, 2)?.and_then(|text| text.parse().ok()).unwrap_or(1);
            rest += own;
            count += 1;
            if kind.is_empty() {
                kind.clone_from(&what);
            }
            if what == kind && (batch.is_empty() || weight + own <= budget) {
                weight += own;
                batch.push(qualified(schema, &name));
            }
        }
        if rest <= budget || batch.is_empty() {
            return Ok(Dropped { tables: dropped.tables + count, ..dropped });
        }
        let sql = format!("{}; DROP {kind} IF EXISTS {} CASCADE; COMMIT", begin(limits), batch.join(", "));
        if let Err(error) = connect::rows(connection, &sql).await {
            let _ = connect::rows(connection, "ROLLBACK").await;
            return Err(error);
        }
        dropped.tables += batch.len();
        dropped.transactions += 1;
    }
}

/// What would be lost with the schema and does not stand in it, in words.
pub(super) async fn outside(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Option<String>, sqlx::Error> {
    let sql = format!(
        "WITH here AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname::text = {name}), there AS (\
         SELECT r.ev_class AS rel FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid \
         WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refobjid IN (SELECT oid FROM here) \
         UNION ALL SELECT k.conrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM here) \
         UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent IN (SELECT oid FROM here)) \
         SELECT there.rel::regclass::text FROM there WHERE there.rel NOT IN (SELECT oid FROM here) LIMIT 1",
        name = literal(schema),
    );
    let rows = connect::rows(connection, &sql).await?;
    Ok(rows.first().map(|row| connect::text(row, 0)).transpose()?.flatten().map(|name| format!("`{name}`")))
}

/// How many locks one transaction may take.
async fn budget(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let sql = "SELECT (current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint \
               + current_setting('max_prepared_transactions')::bigint))::text";
    let rows = connect::rows(connection, sql).await?;
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
