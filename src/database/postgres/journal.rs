//! The journal: what a run is about to make or to remove, written down before it does.
//!
//! The schema's comment holds the entry's nonce, and the entry the schema's OID: both together prove that a schema
//! is what that run made (or was told to remove), and not somebody's of the same name.

use super::{
    connect,
    connection::Connection,
    metadata_schema,
    quote::{identifier, literal},
};

/// Before the nonce, in the comment of a schema that is not whole.
pub(super) const OWNERSHIP_TAG: &str = "portcullis: not whole, ";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS portcullis.journal (nonce text PRIMARY KEY, run text NOT NULL, \
     registry text NOT NULL, tenant text NOT NULL, kind text NOT NULL, schema oid, rows boolean NOT NULL DEFAULT false, \
     begun_at timestamptz NOT NULL DEFAULT now())";

/// What an entry announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A schema that we make.
    Making,
    /// A schema that somebody told us to remove.
    Removing,
    /// A tenant that was absent before the framework's own command was to make it: nothing proves what it made.
    Command,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Making => "making",
            Kind::Removing => "removing",
            Kind::Command => "command",
        }
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) nonce: String,
    pub(super) run: String,
    pub(super) registry: String,
    pub(super) tenant: String,
    pub(super) kind: Kind,
    /// The registry's rows were written in the same transaction as this.
    pub(super) rows: bool,
    /// `run 1a2b3c4d at 2026-11-23 20:23:00 UTC`.
    pub(super) started_by: String,
}

/// Whether there is a journal at all.
pub(super) async fn exists(connection: &mut Connection) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "SELECT 1::text WHERE pg_catalog.to_regclass('{}.journal') IS NOT NULL",
        metadata_schema::SCHEMA
    );
    Ok(!connection.rows(&sql).await?.is_empty())
}

/// Makes the journal, if there is none. Outside of a transaction.
pub(super) async fn ensure(connection: &mut Connection) -> Result<(), sqlx::Error> {
    if exists(connection).await? { Ok(()) } else { metadata_schema::ensure(connection, TABLE).await }
}

/// Statements that write an entry for a schema that exists, and mark the schema.
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

/// A statement that writes an entry for a tenant of which nothing exists yet.
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

/// A statement that removes an entry.
pub(super) fn delete_entries(nonce: &str) -> String {
    format!("DELETE FROM {}.journal WHERE nonce = {}", metadata_schema::SCHEMA, literal(nonce))
}

/// Removes the entry and the mark of a schema that is whole now, and says in which transaction. None if it is no longer the
/// one that was marked.
pub(super) async fn close(
    connection: &mut Connection,
    nonce: &str,
    schema: &str,
) -> Result<Option<u64>, sqlx::Error> {
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

/// Whether the schema of an entry is still the one that was marked.
pub(super) async fn is_proved(connection: &mut Connection, nonce: &str) -> Result<bool, sqlx::Error> {
    let sql = format!(
        "SELECT 1::text FROM {}.journal j WHERE j.nonce = {} AND {}",
        metadata_schema::SCHEMA,
        literal(nonce),
        proved("j")
    );
    Ok(!connection.rows(&sql).await?.is_empty())
}

/// All entries, or those of one nonce or tenant.
pub(super) async fn entries(connection: &mut Connection, condition: &str) -> Result<Vec<Entry>, sqlx::Error> {
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
        let word = |column| Ok::<_, sqlx::Error>(connect::text(&row, column)?.unwrap_or_default());
        let kind = match word(2)?.as_str() {
            "making" => Kind::Making,
            "removing" => Kind::Removing,
            // Also what a later version may write: nothing of it is ever touched.
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

/// The condition of what a registry's runs have noted of one tenant.
pub(super) fn of(tenant: &str, registry: &str) -> String {
    format!("tenant = {} AND registry = {}", literal(tenant), literal(registry))
}

/// By OID, name and comment.
fn proved(journal: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = {journal}.schema AND n.nspname::text = {journal}.tenant \
         AND pg_catalog.obj_description(n.oid, 'pg_namespace') = {} || {journal}.nonce)",
        literal(OWNERSHIP_TAG)
    )
}

/// Asks whether there is a journal, and whether this role may read it.
pub(super) fn readable() -> String {
    let schema = metadata_schema::SCHEMA;
    format!(
        "SELECT 1::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = '{schema}' AND c.relname = 'journal' \
         AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
    )
}

/// What the framework's own commands were about to make, in words: no schema bears a mark of it.
pub(super) fn intents() -> String {
    format!(
        "SELECT 'the note that run ' || run || ' had the framework make ' || tenant FROM {}.journal WHERE kind = '{}' \
         ORDER BY begun_at, nonce",
        metadata_schema::SCHEMA,
        Kind::Command.word(),
    )
}

/// The schemas that are marked; everybody may ask.
pub(super) fn marked() -> String {
    format!(
        "SELECT n.nspname::text FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_description d \
         ON d.objoid = n.oid AND d.classoid = 'pg_catalog.pg_namespace'::regclass AND d.objsubid = 0 \
         WHERE d.description LIKE {} ORDER BY 1",
        literal(&format!("{OWNERSHIP_TAG}%"))
    )
}
