//! The ledger in which a framework records migrations: where it is read, and what counts as applied. Each framework
//! brings its own rules.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{found::Recorded, manifest::Expected};

/// The rules of one framework's ledger.
pub(crate) trait Ledger: fmt::Debug + Sync {
    /// As manifests name it.
    fn name(&self) -> &'static str;
    fn shape(&self) -> Shape;
    /// Holds the rows of one schema against the expectation. Pure.
    fn compare(&self, expected: &Expected, recorded: &[Recorded]) -> Comparison;
}

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

impl PartialEq for dyn Ledger {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Ledger {}

impl Serialize for dyn Ledger {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
