//! How frameworks record migrations: one file a framework, each a shape (where to read) and a rule
//! (what counts as applied).

pub(crate) mod django;
pub(crate) mod sqlx;

use super::{
    found::Recorded,
    manifest::{Expected, Framework},
};

/// Where a framework's ledger stands and which columns say what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) table: &'static str,
    /// A column of text whose value and a full stop precede the identifier.
    pub(crate) app: Option<&'static str>,
    /// Read as text.
    pub(crate) id: &'static str,
    /// The identifier is a whole number.
    pub(crate) numbered: bool,
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
    /// Recorded, of apps that the code does not have at all.
    pub(crate) retired: Vec<String>,
    pub(crate) dirty: Vec<String>,
    pub(crate) altered: Vec<String>,
    pub(crate) duplicates: Vec<String>,
}

impl Framework {
    pub(crate) const fn shape(self) -> Shape {
        match self {
            Framework::Sql => sqlx::SHAPE,
            Framework::Django52 | Framework::Django60 => django::SHAPE,
        }
    }

    pub(crate) fn compare(self, expected: &Expected, recorded: &[Recorded]) -> Comparison {
        match self {
            Framework::Sql => sqlx::compare(expected, recorded),
            Framework::Django52 => django::compare(expected, recorded, django::Squashes::Flat),
            Framework::Django60 => django::compare(expected, recorded, django::Squashes::Nested),
        }
    }
}
