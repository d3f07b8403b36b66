//! What one schema must hold: migrations, tables and columns.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Each table with its columns; empty columns mean that only the table itself is looked for.
pub(crate) type Tables = BTreeMap<String, BTreeSet<String>>;

/// What one schema must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// In the order in which they are applied.
    pub(crate) migrations: Vec<Migration>,
    pub(crate) tables: Tables,
    /// Those of `tables` that are something else.
    #[serde(default, skip_serializing_if = "Kinds::is_empty")]
    pub(crate) kinds: Kinds,
}

/// What stands under a table's name; an ordinary table where nothing is said.
pub(crate) type Kinds = BTreeMap<String, Kind>;

/// What can hold rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Partitioned or not: either may become the other without the code's knowledge.
    #[default]
    Table,
    View,
    MaterializedView,
    ForeignTable,
}

/// One migration, as its framework's ledger knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migration {
    /// What the ledger records.
    pub(crate) id: String,
    /// What people call it: `1 tenants`.
    pub(crate) name: String,
    /// Lower-case hexadecimal, where the framework records one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<String>,
    /// The checksum of the same text with the other line ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) other_line_ends: Option<String>,
    /// The app that it belongs to, where the framework has apps: then `id` is `app.name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) app: String,
    /// The migrations that it directly depends on: a ledger that records only the last ones needs them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends: Vec<String>,
    /// What a squashed migration stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<String>,
}
