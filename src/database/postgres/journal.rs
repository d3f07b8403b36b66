//! The journal: the creations and deletions in progress, recorded before they start.
//!
//! The schema's comment contains the entry's nonce, and the entry contains the schema's OID. Together they prove that a
//! schema is the one that this run created or was asked to delete, and not another one of the same name.

use super::{
    connect,
    connection::Connection,
    error::QueryError,
    metadata_schema,
    quote::{identifier, literal},
};

/// The ownership tag: the schema comment before the nonce, until the schema is complete.
pub(super) const OWNERSHIP_TAG: &str = "portcullis: not whole, ";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS portcullis.journal (nonce text PRIMARY KEY, run text NOT NULL, \
     registry text NOT NULL, tenant text NOT NULL, kind text NOT NULL, schema oid, rows boolean NOT NULL DEFAULT false, \
     begun_at timestamptz NOT NULL DEFAULT now())";

/// The operation that an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// This run creates a schema.
    Making,
    /// This run deletes a schema.
    Removing,
    /// The framework's own command creates a tenant that was absent before. Nothing proves what the command created.
    Command,
    /// The framework's own command created the tenant and succeeded; this run completes the tenant.
    Created,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Making => "making",
            Kind::Removing => "removing",
            Kind::Command => "command",
            Kind::Created => "created",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) nonce: String,
    pub(super) run: String,
    pub(super) registry: String,
    pub(super) tenant: String,
    pub(super) kind: Kind,
    /// The same transaction wrote the registry rows.
    pub(super) rows: bool,
    /// `run 1a2b3c4d at 2026-11-23 20:23:00 UTC`.
    pub(super) started_by: String,
}

/// Whether the journal's table exists.
pub(super) async fn exists(connection: &mut Connection) -> Result<bool, QueryError> {
    let sql = format!(
        "SELECT 1::text WHERE pg_catalog.to_regclass('{}.journal') IS NOT NULL",
        metadata_schema::SCHEMA
    );
    Ok(!connection.rows(&sql).await?.is_empty())
}

/// Creates the journal if it does not exist. Must run outside a transaction.
pub(super) async fn ensure(connection: &mut Connection) -> Result<(), QueryError> {
    if exists(connection).await? { Ok(()) } else { metadata_schema::ensure(connection, TABLE).await }
}

/// The statements that insert an entry for an existing schema and set the schema's ownership tag.
pub(super) fn insert_entry(entry: (&str, &str, &str), schema: &str, kind: Kind, rows: bool) -> String {
    let (nonce, run, registry) = entry;
    format!(
        "COMMENT ON SCHEMA {} IS {}; INSERT INTO {}.journal (nonce, run, registry, tenant, kind, rows, schema) \
         SELECT {}, {}, {}, {tenant}, '{}', {rows}, n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname::text = {tenant}",
        identifier(schema),
        literal(&format!("{OWNERSHIP_TAG}{nonce}")),
        metadata_schema::SCHEMA,
        literal(nonce),
        literal(run),
        literal(registry),
        kind.word(),
        tenant = literal(schema),
    )
}

/// The statement that inserts an entry for a tenant that does not exist yet.
pub(super) fn record_intent(nonce: &str, run: &str, registry: &str, tenant: &str) -> String {
    format!(
        "INSERT INTO {}.journal (nonce, run, registry, tenant, kind) VALUES ({}, {}, {}, {}, '{}')",
        metadata_schema::SCHEMA,
        literal(nonce),
        literal(run),
        literal(registry),
        literal(tenant),
        Kind::Command.word(),
    )
}

/// The statement that records the success of the framework's command.
pub(super) fn record_success(nonce: &str) -> String {
    format!(
        "UPDATE {}.journal SET kind = '{}' WHERE nonce = {}",
        metadata_schema::SCHEMA,
        Kind::Created.word(),
        literal(nonce),
    )
}

/// The statement that deletes an entry.
pub(super) fn delete_entries(nonce: &str) -> String {
    format!("DELETE FROM {}.journal WHERE nonce = {}", metadata_schema::SCHEMA, literal(nonce))
}

/// Deletes the entry and the ownership tag of a complete schema and returns the transaction's number. None if the
/// schema no longer has this tag.
pub(super) async fn complete(
    connection: &mut Connection,
    nonce: &str,
    schema: &str,
) -> Result<Option<u64>, QueryError> {
    let sql = format!(
        "{} AND {} RETURNING pg_catalog.txid_current()::text",
        delete_entries(nonce),
        proved("journal")
    );
    let rows = connection.rows(&sql).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    connection.rows(&format!("COMMENT ON SCHEMA {} IS NULL", identifier(schema))).await?;
    connect::number(&rows, 0).map(Some)
}

/// Whether the schema of an entry still has the entry's ownership tag.
pub(super) async fn is_proved(connection: &mut Connection, nonce: &str) -> Result<bool, QueryError> {
    let sql = format!(
        "SELECT 1::text FROM {}.journal j WHERE j.nonce = {} AND {}",
        metadata_schema::SCHEMA,
        literal(nonce),
        proved("j")
    );
    Ok(!connection.rows(&sql).await?.is_empty())
}

/// The entries that match a condition.
pub(super) async fn entries(connection: &mut Connection, condition: &str) -> Result<Vec<Entry>, QueryError> {
    if !exists(connection).await? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT nonce, tenant, kind, rows::text, 'run ' || run || ' at ' || \
         to_char(begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', run, registry \
         FROM {}.journal WHERE {condition} ORDER BY begun_at, nonce",
        metadata_schema::SCHEMA
    );
    let mut entries = Vec::new();
    for row in connection.rows(&sql).await? {
        let word = |column| Ok::<_, QueryError>(connect::text(&row, column)?.unwrap_or_default());
        let kind = match word(2)?.as_str() {
            "making" => Kind::Making,
            "removing" => Kind::Removing,
            "created" => Kind::Created,
            // An unknown kind of a later version counts as a command, so that nothing is removed.
            _ => Kind::Command,
        };
        let rows = connect::flag(&row, 3)?;
        entries.push(Entry {
            nonce: word(0)?,
            run: word(5)?,
            registry: word(6)?,
            tenant: word(1)?,
            kind,
            rows,
            started_by: word(4)?,
        });
    }
    Ok(entries)
}

/// The condition of a registry's entries for one tenant.
pub(super) fn entries_of(tenant: &str, registry: &str) -> String {
    format!("tenant = {} AND registry = {}", literal(tenant), literal(registry))
}

/// The condition that OID, name and comment of the schema match the entry.
fn proved(journal: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = {journal}.schema AND n.nspname::text = {journal}.tenant \
         AND pg_catalog.obj_description(n.oid, 'pg_namespace') = {} || {journal}.nonce)",
        literal(OWNERSHIP_TAG)
    )
}

/// Selects a row if the journal exists and this role may read it.
pub(super) fn readable() -> String {
    let schema = metadata_schema::SCHEMA;
    format!(
        "SELECT 1::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = '{schema}' AND c.relname = 'journal' \
         AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    )
}

/// Selects descriptions of the intents of frameworks' commands, whose schemas have no ownership tag.
pub(super) fn intents() -> String {
    format!(
        "SELECT 'the journal entry of run ' || run || ', which had the framework create ' || tenant FROM {}.journal WHERE kind = '{}' \
         ORDER BY begun_at, nonce",
        metadata_schema::SCHEMA,
        Kind::Command.word(),
    )
}

/// Selects the tenants of a registry that a framework's command has not finished creating: tenant, run and time.
pub(super) fn half_created(registry: &str) -> String {
    format!(
        "SELECT tenant, 'run ' || run || ' at ' || to_char(begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' \
         FROM {}.journal WHERE kind = '{}' AND registry = {}",
        metadata_schema::SCHEMA,
        Kind::Command.word(),
        literal(registry),
    )
}

/// Selects the schemas with an ownership tag. Every role may run it.
pub(super) fn tagged_schemas() -> String {
    format!(
        "SELECT n.nspname::text FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_description d \
         ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objsubid = 0 \
         WHERE d.description LIKE {} ORDER BY 1",
        literal(&format!("{OWNERSHIP_TAG}%"))
    )
}
