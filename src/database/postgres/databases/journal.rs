//! The creations and deletions of tenants' databases in progress, recorded in `[database]` before they start.
//!
//! The database's comment contains the entry's nonce. It proves that the database is the one that this run created or was
//! asked to delete, and not another one of the same name.

use super::Router;
use crate::database::{
    DatabaseError,
    postgres::{connect, connection::Connection, error::QueryError, metadata_schema, quote::literal},
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS portcullis.database_journal (nonce text PRIMARY KEY, run text NOT NULL, \
     registry text NOT NULL, tenant text NOT NULL, location text NOT NULL, kind text NOT NULL, rows boolean NOT NULL, \
     begun_at timestamptz NOT NULL DEFAULT now())";

const NAME: &str = "portcullis.database_journal";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Making,
    Removing,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Removing => "removing",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) nonce: String,
    pub(super) run: String,
    pub(super) tenant: String,
    pub(super) location: String,
    pub(super) kind: Kind,
    /// The same transaction wrote the registry rows.
    pub(super) rows: bool,
    /// `run 1a2b3c4d at 2026-11-23 20:23:00 UTC`.
    pub(super) started_by: String,
}

/// Creates the journal if it does not exist. Must run outside a transaction.
pub(super) async fn ensure(connection: &mut Connection) -> Result<(), QueryError> {
    if exists(connection).await? { Ok(()) } else { metadata_schema::ensure(connection, TABLE).await }
}

async fn exists(connection: &mut Connection) -> Result<bool, QueryError> {
    let sql = format!("SELECT 1::text WHERE pg_catalog.to_regclass('{NAME}') IS NOT NULL");
    Ok(!connection.rows(&sql).await?.is_empty())
}

/// The statement that inserts an entry of this registry.
pub(super) fn insert(entry: &Entry, registry: &str) -> String {
    let Entry { nonce, run, tenant, location, kind, rows, .. } = entry;
    format!(
        "INSERT INTO {NAME} (nonce, run, registry, tenant, location, kind, rows) VALUES ({}, {}, {}, {}, {}, '{}', {rows})",
        literal(nonce),
        literal(run),
        literal(registry),
        literal(tenant),
        literal(location),
        kind.word(),
    )
}

/// The statement that deletes an entry and returns the number of its transaction.
pub(super) fn delete(nonce: &str) -> String {
    format!("DELETE FROM {NAME} WHERE nonce = {} RETURNING pg_catalog.txid_current()::text", literal(nonce))
}

/// The entries that meet a condition, the oldest first; none if the journal does not exist.
pub(super) async fn entries(connection: &mut Connection, condition: &str) -> Result<Vec<Entry>, QueryError> {
    if !exists(connection).await? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT nonce, run, tenant, location, (kind = 'making')::text, rows::text, 'run ' || run || ' at ' \
         || pg_catalog.to_char(begun_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' \
         FROM {NAME} WHERE {condition} ORDER BY begun_at"
    );
    let entry = |row| {
        let text = |column| Ok::<_, QueryError>(connect::text(row, column)?.unwrap_or_default());
        let kind = if connect::flag(row, 4)? { Kind::Making } else { Kind::Removing };
        let (nonce, run, tenant, location) = (text(0)?, text(1)?, text(2)?, text(3)?);
        Ok(Entry { nonce, run, tenant, location, kind, rows: connect::flag(row, 5)?, started_by: text(6)? })
    };
    connection.rows(&sql).await?.iter().map(entry).collect()
}

impl Router {
    /// The condition for the entries of this registry.
    pub(super) fn own_entries(&self) -> String {
        format!("registry = {}", literal(&self.home.registry_name()))
    }

    /// The tenants whose database a run is creating or deleting, or was when it was killed, each with the run.
    pub(super) async fn unfinished(&self) -> Result<Vec<Entry>, DatabaseError> {
        let mut connection = connect::connect(self.home.reader()).await?;
        let entries = entries(&mut connection, &self.own_entries()).await;
        connection.close().await;
        match entries {
            // A role that may only SELECT from the registry: the doctor reports the journal's privileges.
            Err(error) if error.code() == Some("42501") => Ok(Vec::new()),
            other => Ok(other?),
        }
    }
}
