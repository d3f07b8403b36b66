//! The ledgers and the registry of a database that no configuration describes.

/// The tables that may be ledgers, and the table that lists most of their schemas.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) ledgers: Vec<LedgerTable>,
    pub(crate) registry: Option<RegistryTable>,
}

/// A table with the name of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LedgerTable {
    pub(crate) schema: String,
    /// It is in the shared schema.
    pub(crate) shared: bool,
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
    /// The role may not read it.
    pub(crate) denied: bool,
}

/// A table of the shared schema with the names of schemas.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RegistryTable {
    pub(crate) table: String,
    pub(crate) column: String,
    /// The schemas with a ledger that it does not list.
    pub(crate) unlisted: usize,
}

/// Parts of the names of ledgers.
const PARTS: [&str; 6] =
    ["migration", "schema_version", "schema_revision", "schema_history", "changelog", "phinxlog"];

/// The names of ledgers, as a regular expression in lower case.
pub(crate) fn like_a_ledger() -> String {
    format!("({})", PARTS.join("|"))
}

/// Whether a table has the name of a ledger, and not of a table in which a tool holds its lock.
pub(crate) fn is_like_a_ledger(table: &str) -> bool {
    let name = table.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part)) && !name.ends_with(LOCK)
}

/// The end of the names of the tables in which tools hold their locks.
pub(crate) const LOCK: &str = "lock";
