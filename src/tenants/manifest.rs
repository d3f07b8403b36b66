//! What the code expects of the shared schema and of each tenant: migrations, tables and columns.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format that this program reads and writes; another number is refused.
pub(crate) const FORMAT: u32 = 1;

/// The whole expectation, as `portcullis.manifest.json` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// Whose ledger rules apply.
    pub(crate) framework: Framework,
    pub(crate) shared: Expected,
    pub(crate) tenant: Expected,
}

/// How migrations are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framework {
    /// Plain SQL files in sqlx's naming, recorded in `_sqlx_migrations`.
    Sql,
}

/// What one schema must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// In the order in which they are applied.
    pub(crate) migrations: Vec<Migration>,
    /// Each table with its columns; empty columns mean that only the table itself is looked for.
    pub(crate) tables: BTreeMap<String, BTreeSet<String>>,
}

/// One migration, as its framework's ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migration {
    /// What the ledger records: sqlx's version as a decimal number.
    pub(crate) id: String,
    /// What people call it: `1 tenants`.
    pub(crate) name: String,
    /// Lower-case hexadecimal, where the framework records one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<String>,
}

impl Manifest {
    /// The digest that names a release.
    pub(crate) fn release(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).iter().take(8).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}
