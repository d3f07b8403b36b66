//! The ledger in which a framework records migrations: its table and the framework's rules for applied migrations.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{expected::Expected, inspection::LedgerRow};

/// The rules of one framework's ledger.
pub(crate) trait Ledger: fmt::Debug + Sync {
    /// The name in manifests.
    fn name(&self) -> &'static str;
    fn shape(&self) -> LedgerLayout;
    /// Compares the rows of one schema with the expectation. Pure.
    fn compare(&self, expected: &Expected, recorded: &[LedgerRow]) -> Comparison;
}

/// Command lines of a framework, with the placeholders `{app}`, `{migration}` and `{tenant}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    /// Records a migration as applied without running it.
    pub(crate) record: Option<&'static str>,
}

/// The table and the columns of a framework's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LedgerLayout {
    pub(crate) table: &'static str,
    /// A text column whose value and a full stop precede the identifier.
    pub(crate) app: Option<&'static str>,
    /// Read as text.
    pub(crate) id: &'static str,
    /// The identifier is an integer.
    pub(crate) numbered: bool,
    pub(crate) name: &'static str,
    /// A bytea column.
    pub(crate) checksum: Option<&'static str>,
    /// A boolean column.
    pub(crate) succeeded: Option<&'static str>,
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::tenants::manifest::Migration;

    /// A ledger like Alembic's: one row for each head of the graph.
    #[derive(Debug)]
    struct Heads;

    impl Ledger for Heads {
        fn name(&self) -> &'static str {
            "heads"
        }

        fn shape(&self) -> LedgerLayout {
            LedgerLayout {
                table: "heads",
                app: None,
                id: "version",
                numbered: false,
                name: "version",
                checksum: None,
                succeeded: None,
            }
        }

        fn compare(&self, expected: &Expected, recorded: &[LedgerRow]) -> Comparison {
            let find = |id: &str| expected.migrations.iter().find(|migration| migration.id == id);
            let mut applied: BTreeSet<&str> = BTreeSet::new();
            let mut stack: Vec<&str> = recorded.iter().map(|row| row.id.as_str()).collect();
            while let Some(id) = stack.pop() {
                if let (true, Some(migration)) = (applied.insert(id), find(id)) {
                    stack.extend(migration.depends.iter().map(String::as_str));
                }
            }
            let unknown = recorded.iter().map(|row| &row.id).filter(|id| find(id).is_none());
            let ids = expected.migrations.iter().map(|migration| &migration.id);
            Comparison {
                pending: ids.filter(|id| !applied.contains(id.as_str())).cloned().collect(),
                unknown: unknown.cloned().collect(),
                ..Comparison::default()
            }
        }
    }

    #[test]
    fn a_ledger_of_heads_is_resolved_through_the_dependencies() {
        let migration = |id: &str, depends: &[&str]| Migration {
            id: id.into(),
            depends: depends.iter().map(|id| (*id).to_owned()).collect(),
            ..Migration::default()
        };
        let migrations = vec![
            migration("1", &[]),
            migration("2a", &["1"]),
            migration("2b", &["1"]),
            migration("3", &["2a", "2b"]),
        ];
        let expected = Expected { migrations, ..Expected::default() };
        let row =
            |id: &&str| LedgerRow { id: (*id).into(), name: String::new(), checksum: None, succeeded: true };
        for (recorded, pending, unknown) in [
            (&["3"][..], &[][..], &[][..]),
            (&["2a"], &["2b", "3"], &[]),
            (&["2a", "2b"], &["3"], &[]),
            (&["4"], &["1", "2a", "2b", "3"], &["4"]),
        ] {
            let rows: Vec<LedgerRow> = recorded.iter().map(row).collect();
            let comparison = Heads.compare(&expected, &rows);
            assert_eq!(
                (comparison.pending, comparison.unknown),
                (strings(pending), strings(unknown)),
                "{recorded:?}"
            );
        }
    }

    fn strings(strings: &[&str]) -> Vec<String> {
        strings.iter().map(|word| (*word).to_owned()).collect()
    }
}
