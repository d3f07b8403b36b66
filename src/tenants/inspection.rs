//! The facts that an inspection of the database found, without verdicts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{expected::Kind, structure::Structure};
use crate::cause::Cause;

/// The result of one inspection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inspection {
    /// Present if the shared schema was requested.
    pub(crate) shared: Option<SchemaState>,
    /// One entry for every requested and registered tenant, also after an error.
    pub(crate) tenants: BTreeMap<String, SchemaState>,
    /// Tenants that were requested by name and are not in the registry.
    pub(crate) unregistered: BTreeSet<String>,
    /// The total number of rows in the registry.
    pub(crate) registered: usize,
    /// A registry of another kind than a table may hide rows. It is a table unless all tenants were requested.
    pub(crate) registry_kind: Kind,
    /// Rows of the registry that the configured condition excludes. Empty unless all tenants were requested.
    pub(crate) excluded: BTreeSet<String>,
    /// Tenants with several rows in the registry. Empty unless all tenants were requested.
    pub(crate) duplicates: BTreeSet<String>,
    /// Schemas (or files) that contain a tenant's ledger and have no registry row. Empty unless all tenants were requested.
    pub(crate) orphans: BTreeSet<String>,
    /// Schemas that a run is creating or deleting, or was when it was killed. Empty unless all tenants were requested.
    pub(crate) unfinished: BTreeSet<String>,
    /// Tenants that a framework's command is creating, or was when its run was killed, each with the run.
    pub(crate) half_created: BTreeMap<String, String>,
    /// Each tenant's type, if the framework has types.
    pub(crate) types: BTreeMap<String, String>,
    /// Tables in the shared schema that only tenants should have. If a tenant's table is missing, queries silently use
    /// this one.
    pub(crate) shadows: BTreeSet<String>,
    /// The engine and its major version.
    pub(crate) server: Option<(String, String)>,
}

/// The state of one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaState {
    NoSchema,
    /// The tenant has its own database, which does not exist.
    NoDatabase,
    /// The schema exists without a ledger. `tables` are the expected tables that exist.
    NoLedger {
        tables: BTreeSet<String>,
    },
    Read(SchemaSnapshot),
    /// The inspection failed: no privilege, an error, a timeout.
    Failed(Cause),
    /// Dropped during the inspection.
    Vanished,
}

/// The content of a readable schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SchemaSnapshot {
    /// Tenants with equal ledgers share one copy: ten thousand copies would need half a gigabyte.
    pub(crate) ledger: Arc<[LedgerRow]>,
    pub(crate) missing_tables: BTreeSet<String>,
    /// Relations that have an expected table's name and another kind.
    pub(crate) other_kinds: Vec<OtherKind>,
    /// By table; only for tables that exist.
    pub(crate) missing_columns: BTreeMap<String, BTreeSet<String>>,
    pub(crate) invalid_indexes: Vec<InvalidIndex>,
    /// Without the ledger's table, if it was requested. Schemas of equal structure share one copy.
    pub(crate) structure: Option<Arc<Structure>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LedgerRow {
    pub(crate) id: String,
    /// The description in the ledger; empty if it has none.
    pub(crate) name: String,
    /// Lower-case hexadecimal.
    pub(crate) checksum: Option<String>,
    /// False for a row of a failed or half-applied migration.
    pub(crate) succeeded: bool,
}

/// A relation of an unexpected kind, for example a view instead of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherKind {
    pub(crate) table: String,
    pub(crate) expected: Kind,
    pub(crate) found: Kind,
}

/// An index that PostgreSQL does not use (`indisvalid` is false), left by a failed `CREATE INDEX CONCURRENTLY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidIndex {
    pub(crate) name: String,
    pub(crate) table: String,
    pub(crate) unique: bool,
}

/// The result of counting a table's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rows {
    Counted(u64),
    /// Readable, but with too many rows for a quick count.
    Uncounted,
    /// With a description.
    Failed(String),
}

/// The deleted parts of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// Rows of the registry.
    pub(crate) rows: usize,
    pub(crate) domains: usize,
    /// None if the schema did not exist.
    pub(crate) tables: Option<usize>,
    pub(crate) transactions: usize,
}
