//! What a look at the database found: facts, before anyone judges them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::expected::Kind;
use crate::cause::Cause;

/// Everything one look found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inspection {
    /// Present if the shared schema was asked for.
    pub(crate) shared: Option<SchemaState>,
    /// One entry for every registered tenant that was asked for, whatever became of the look at it.
    pub(crate) tenants: BTreeMap<String, SchemaState>,
    /// Tenants that were asked for by name and that the registry does not hold.
    pub(crate) unregistered: BTreeSet<String>,
    /// How many rows the registry holds in all.
    pub(crate) registered: usize,
    /// Schemas (or files) that hold a tenant's ledger and that no registry row names; looked for only
    /// when all tenants were asked for.
    pub(crate) orphans: BTreeSet<String>,
    /// Schemas that a run of ours is making or removing at this moment, or was when it was killed; looked for only
    /// when all tenants were asked for.
    pub(crate) unfinished: BTreeSet<String>,
    /// Each tenant's type, where the framework has types.
    pub(crate) types: BTreeMap<String, String>,
    /// Tables that only tenants are expected to have and that stand in the shared schema all the same: where a
    /// tenant lacks one, queries silently reach this copy.
    pub(crate) shadows: BTreeSet<String>,
}

/// What one look at one schema saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaState {
    NoSchema,
    /// The schema is there and holds no ledger. `tables` are the expected ones that stand there all the same.
    NoLedger {
        tables: BTreeSet<String>,
    },
    Read(SchemaSnapshot),
    /// The look itself failed: no privilege, an error, a time-out.
    Failed(Cause),
    /// Dropped while it was looked at.
    Vanished,
}

/// A schema that could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SchemaSnapshot {
    /// Tenants whose ledgers are the same may share one: ten thousand copies would be half a gigabyte.
    pub(crate) ledger: Arc<[LedgerRow]>,
    pub(crate) missing_tables: BTreeSet<String>,
    /// What stands under a table's name and is something else.
    pub(crate) other_kinds: Vec<OtherKind>,
    /// By table; only for tables that are there.
    pub(crate) missing_columns: BTreeMap<String, BTreeSet<String>>,
    pub(crate) invalid_indexes: Vec<InvalidIndex>,
}

/// One row of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LedgerRow {
    pub(crate) id: String,
    /// The description in the ledger; empty where there is none.
    pub(crate) name: String,
    /// Lower-case hexadecimal.
    pub(crate) checksum: Option<String>,
    /// False for a row that says its migration failed or is half done.
    pub(crate) succeeded: bool,
}

/// A view where a table should be, or the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherKind {
    pub(crate) table: String,
    pub(crate) expected: Kind,
    pub(crate) found: Kind,
}

/// An index that PostgreSQL does not trust (`indisvalid` is false): what a failed `CREATE INDEX
/// CONCURRENTLY` leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidIndex {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) unique: bool,
}

/// What a table answered to the question how many rows it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rows {
    Counted(u64),
    /// It answers, and has more rows than can be counted quickly.
    Uncounted,
    /// In words.
    Failed(String),
}

/// What was removed of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// Rows of the registry, and of the domains.
    pub(crate) rows: usize,
    pub(crate) domains: usize,
    /// None if there was no schema.
    pub(crate) tables: Option<usize>,
    pub(crate) transactions: usize,
}
