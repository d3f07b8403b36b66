//! The request to create a tenant: its schema, its rows, and the nonce that later proves which run created it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::tenants::manifest::{ColumnValue, Domains};

/// One tenant to create.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    pub(crate) schema: String,
    /// The registry row's columns, without the schema column.
    pub(crate) columns: BTreeMap<String, ColumnValue>,
    pub(crate) domain: Option<NewDomain>,
    pub(crate) rows: RegistryRow,
    pub(crate) nonce: String,
    pub(crate) run: String,
    pub(crate) commit_marker: CommitMarker,
}

/// The new tenant's row in the table of domains.
#[derive(Debug, Clone)]
pub(crate) struct NewDomain {
    pub(crate) table: Domains,
    /// Every column except for the link to the tenant.
    pub(crate) columns: BTreeMap<String, ColumnValue>,
}

/// A column of a table that new rows are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// For people.
    pub(crate) kind: String,
    /// Not NULL, and without a default.
    pub(crate) is_required: bool,
}

/// When the registry rows are written if the schema's own transaction does not write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistryRow {
    /// Before the schema is migrated, because the framework reads them.
    BeforeMigrations,
    /// After the schema is complete.
    AfterMigrations,
    /// The schema is never registered.
    Never,
}

/// The transaction that completes the tenant, recorded before its commit. If the commit's reply is lost, it proves that
/// an existing tenant is this one. All copies share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitMarker(Arc<AtomicU64>);

impl Creation {
    /// A tenant without registry columns and without a domain.
    pub(crate) fn of(schema: &str, run: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            columns: BTreeMap::new(),
            domain: None,
            rows: RegistryRow::AfterMigrations,
            nonce: nonce(),
            run: run.to_owned(),
            commit_marker: CommitMarker::default(),
        }
    }
}

impl CommitMarker {
    /// No transaction has the number zero.
    pub(super) fn note(&self, transaction: u64) {
        self.0.store(transaction, Ordering::Relaxed);
    }

    pub(super) fn transaction(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|transaction| *transaction != 0)
    }
}

/// A new random nonce.
pub(crate) fn nonce() -> String {
    format!("{:032x}", fastrand::u128(..))
}
