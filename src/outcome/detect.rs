//! The results of `detect`: the ledgers of a database, and the migration files that fit them.

use serde::Serialize;

use crate::failure::Failure;

/// The ledgers of a database.
#[derive(Debug, Serialize)]
pub(crate) struct Detected {
    /// Its name and its servers.
    pub(crate) database: String,
    /// Those in most schemas first.
    pub(crate) ledgers: Vec<DetectedLedger>,
    /// Tables that have the name of a ledger and the columns of no known one.
    pub(crate) unknown: Vec<UnknownLedger>,
    /// The ledgers that cannot be read.
    #[serde(skip)]
    pub(crate) failure: Option<Failure>,
}

/// A tool's ledger.
#[derive(Debug, Serialize)]
pub(crate) struct DetectedLedger {
    pub(crate) tool: &'static str,
    pub(crate) framework: &'static str,
    pub(crate) table: String,
    /// The shared schema has one.
    pub(crate) shared: bool,
    /// A schema of the tool's own that has one.
    pub(crate) own_schema: Option<String>,
    /// The other schemas that have one.
    pub(crate) schemas: Vec<String>,
    /// The migrations in these schemas; None if the framework's own program lists the
    /// migrations, or if no ledger can be read.
    pub(crate) files: Option<FittingFiles>,
    /// The table with the names of the schemas.
    pub(crate) registry: Option<String>,
    /// The schemas that no row of that table names.
    pub(crate) unlisted: usize,
    /// The gate reads this tool's ledgers in a database of this engine.
    #[serde(skip)]
    pub(crate) is_judged: bool,
    /// The tables `[migrations]` and, if other schemas than the shared one have the ledger, `[tenants]`; None if the gate
    /// cannot judge this ledger.
    pub(crate) config: Option<String>,
}

/// The folder whose migrations fit the ledger of one schema best.
#[derive(Debug, Default, Serialize)]
pub(crate) struct FittingFiles {
    /// The schema whose ledger was read.
    pub(crate) schema: String,
    /// None if no folder has a recorded migration.
    pub(crate) folder: Option<String>,
    /// The number of its migrations.
    pub(crate) migrations: usize,
    /// Recorded migrations without a file.
    pub(crate) without_file: Vec<String>,
    /// Files that are not recorded.
    pub(crate) pending: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct UnknownLedger {
    pub(crate) table: String,
    pub(crate) columns: Vec<String>,
    pub(crate) schemas: Vec<String>,
}
