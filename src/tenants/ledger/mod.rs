//! How frameworks record migrations: one file a framework, each a shape (where to read) and a rule
//! (what counts as applied).

pub(crate) mod sqlx;

use super::{
    found::Recorded,
    manifest::{Expected, Framework},
};

/// Where a framework's ledger stands and which columns say what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    /// Read as text.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// A column of bytes.
    pub(crate) checksum: Option<&'static str>,
    /// A boolean column.
    pub(crate) succeeded: Option<&'static str>,
}

/// A ledger held against the expectation. Every entry is what people call the migration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) pending: Vec<String>,
    pub(crate) unknown: Vec<String>,
    pub(crate) dirty: Vec<String>,
    pub(crate) altered: Vec<String>,
    pub(crate) duplicates: Vec<String>,
}

impl Framework {
    pub(crate) const fn shape(self) -> Shape {
        match self {
            Framework::Sql => sqlx::SHAPE,
        }
    }

    pub(crate) fn compare(self, expected: &Expected, recorded: &[Recorded]) -> Comparison {
        match self {
            Framework::Sql => sqlx::compare(expected, recorded),
        }
    }
}
