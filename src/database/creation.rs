//! What is to be made of a tenant: its schema, its rows, and the nonce that proves later who made it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::tenants::manifest::{ColumnValue, Domains};

/// One tenant that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    pub(crate) schema: String,
    /// The registry row's columns beside the schema's own.
    pub(crate) columns: BTreeMap<String, ColumnValue>,
    pub(crate) domain: Option<(Domains, String)>,
    pub(crate) rows: RegistryRow,
    pub(crate) nonce: String,
    pub(crate) run: String,
    pub(crate) commit_marker: CommitMarker,
}

/// When the rows are, where that is not the transaction that makes the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistryRow {
    /// Before the schema is migrated, because the framework looks there.
    BeforeMigrations,
    /// Once it is whole.
    AfterMigrations,
    /// Nobody ever registers it.
    Never,
}

/// Which transaction makes it whole, noted before that is committed: where the answer is lost, or is not waited for, it proves
/// that a tenant which stands there is this one. Shared by all copies.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitMarker(Arc<AtomicU64>);

impl Creation {
    /// Of a tenant that is its schema and nothing more.
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

/// What nobody else has ever written.
pub(crate) fn nonce() -> String {
    format!("{:032x}", fastrand::u128(..))
}
