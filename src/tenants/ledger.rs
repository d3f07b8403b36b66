//! The ledger in which a framework records migrations: its table and the framework's rules for applied migrations.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::{expected::Expected, inspection::LedgerRow};

/// The rules of one framework's ledger.
pub(crate) trait Ledger: fmt::Debug + Sync {
    /// The name in manifests.
    fn name(&self) -> &'static str;
    fn shape(&self) -> LedgerLayout<'static>;
    /// Compares the rows of one schema with the expectation. Pure.
    fn compare(&self, expected: &Expected, recorded: &[LedgerRow]) -> Comparison;
    /// Whether the manifest contains the structure of the schemas.
    fn derives_structure(&self) -> bool {
        false
    }
}

/// Command lines of a framework, with the placeholders `{app}`, `{migration}` and `{tenant}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    /// Records a migration as applied without running it.
    pub(crate) record: Option<&'static str>,
}

/// The table and the columns of a framework's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerLayout<'a> {
    pub(crate) table: &'a str,
    /// A text column whose value and a full stop precede the identifier.
    pub(crate) app: Option<&'a str>,
    /// Read as text.
    pub(crate) id: &'a str,
    /// The identifier is an integer.
    pub(crate) numbered: bool,
    /// The column with a description; None if the ledger has none.
    pub(crate) name: Option<&'a str>,
    pub(crate) checksum: Option<Checksum<'a>>,
    /// An SQL condition that a row of a successful migration meets.
    pub(crate) succeeded: Option<&'a str>,
    /// An SQL condition that a row must meet to count at all.
    pub(crate) rows: Option<&'a str>,
}

impl LedgerLayout<'static> {
    /// A ledger in which each row stands for an applied migration.
    pub(crate) const fn of(table: &'static str, id: &'static str) -> Self {
        Self {
            table,
            app: None,
            id,
            numbered: false,
            name: None,
            checksum: None,
            succeeded: None,
            rows: None,
        }
    }
}

/// A column with a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksum<'a> {
    /// A bytea column.
    Bytes(&'a str),
    /// A text column.
    Text(&'a str),
}

/// The parts of a ledger's layout that the configuration gives; the framework's own replace the absent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnLayout {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) succeeded: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<String>,
}

impl OwnLayout {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The framework's layout with these parts.
    pub(crate) fn over<'a>(&'a self, shape: LedgerLayout<'a>) -> LedgerLayout<'a> {
        LedgerLayout {
            table: self.table.as_deref().unwrap_or(shape.table),
            id: self.id.as_deref().unwrap_or(shape.id),
            succeeded: self.succeeded.as_deref().or(shape.succeeded),
            rows: self.rows.as_deref().or(shape.rows),
            ..shape
        }
    }
}

/// The difference between a ledger and the expectation. Every entry is a migration's name in messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) pending: Vec<String>,
    pub(crate) unknown: Vec<String>,
    /// Recorded for apps that the code does not contain.
    pub(crate) retired: Vec<String>,
    pub(crate) dirty: Vec<String>,
    pub(crate) altered: Vec<String>,
    /// Altered only in the line ends.
    pub(crate) altered_line_ends: Vec<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Rules(&'static str);

    impl Ledger for Rules {
        fn name(&self) -> &'static str {
            self.0
        }
        fn shape(&self) -> LedgerLayout<'static> {
            LedgerLayout::of("ledger", "id")
        }
        fn compare(&self, _: &Expected, _: &[LedgerRow]) -> Comparison {
            Comparison::default()
        }
    }

    #[test]
    fn the_rules_of_a_ledger_are_known_by_their_name() {
        let [one, same, other]: [&dyn Ledger; 3] = [&Rules("one"), &Rules("one"), &Rules("other")];
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(serde_json::to_string(other).ok().as_deref(), Some("\"other\""));
        assert!(!one.derives_structure());
    }

    #[test]
    fn the_configured_parts_of_a_layout_replace_the_frameworks() {
        let shape = LedgerLayout { succeeded: Some("success"), ..LedgerLayout::of("ledger", "version") };
        let own = |table, id, succeeded, rows| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            OwnLayout { table: owned(table), id: owned(id), succeeded: owned(succeeded), rows: owned(rows) }
        };
        assert_eq!(OwnLayout::default().over(shape), shape);
        assert!(OwnLayout::default().is_empty());
        for (own, layout) in [
            (own(Some("t"), None, None, None), LedgerLayout { table: "t", ..shape }),
            (own(None, Some("i"), None, None), LedgerLayout { id: "i", ..shape }),
            (own(None, None, Some("s"), None), LedgerLayout { succeeded: Some("s"), ..shape }),
            (own(None, None, None, Some("r")), LedgerLayout { rows: Some("r"), ..shape }),
        ] {
            assert_eq!(own.over(shape), layout);
            assert!(!own.is_empty());
        }
    }
}
