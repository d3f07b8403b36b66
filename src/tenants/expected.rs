//! The expectation of one schema: migrations, tables and columns.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::structure::Structure;

use crate::ordered::Ordered;

/// Each table with its columns. Empty columns mean that only the table itself is checked.
pub(crate) type Tables = BTreeMap<String, BTreeSet<String>>;

/// The expected content of one schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// In the order in which they are applied.
    pub(crate) migrations: Vec<Migration>,
    pub(crate) tables: Tables,
    /// The kinds of those `tables` that are not ordinary tables.
    #[serde(default, skip_serializing_if = "Kinds::is_empty")]
    pub(crate) kinds: Kinds,
    /// By migration: those of the `tables` and columns that it creates and no later migration creates again. Only
    /// migrations that run in one transaction have an entry, so that the existence of these objects proves that the
    /// migration was applied.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) creates: BTreeMap<String, Tables>,
    /// Only in a manifest of SQL files, without the ledger's table.
    #[serde(default, skip_serializing_if = "Structure::is_empty")]
    pub(crate) structure: Structure,
}

impl Expected {
    /// The first of the pending migrations, by their names in messages, whose objects exist according to `exists`. A
    /// framework that records a migration also records its dependencies, so the list ends at the first other one.
    pub(crate) fn applied_without_record(
        &self,
        pending: &[String],
        exists: impl Fn(&str, Option<&str>) -> bool,
    ) -> Vec<String> {
        let is_applied = |name: &&String| {
            let created = self.migrations.iter().find(|migration| migration.name == **name);
            created.and_then(|migration| self.creates.get(&migration.id)).is_some_and(|tables| {
                let mut objects = tables.iter().flat_map(|(table, columns)| {
                    let columns = columns.iter().map(|column| Some(column.as_str()));
                    columns.chain([None]).map(move |column| (table.as_str(), column))
                });
                objects.all(|(table, column)| exists(table, column))
            })
        };
        pending.iter().take_while(is_applied).cloned().collect()
    }

    /// The tables and columns that migrations other than the pending ones create.
    pub(crate) fn created_without(&self, pending: &[String]) -> Created<'_> {
        let mut created = Created::default();
        let names: BTreeSet<&str> = pending.iter().map(String::as_str).into_set();
        for migration in &self.migrations {
            // The name of a baseline may have a remark.
            let is_baseline = !migration.replaces.is_empty();
            let is_pending = names.contains(&*migration.name)
                || (is_baseline && pending.iter().any(|pending| pending.starts_with(&migration.name)));
            for (table, columns) in self.creates.get(&migration.id).into_iter().flatten() {
                // The first migration with the table creates it; later ones add columns.
                let (_, found) = created.0.entry(table).or_insert((!is_pending, BTreeSet::new()));
                if !is_pending {
                    found.extend(columns.iter().map(String::as_str));
                }
            }
        }
        created
    }
}

/// Tables, each with whether the migrations create it and with the columns that they create.
#[derive(Default)]
pub(crate) struct Created<'m>(BTreeMap<&'m str, (bool, BTreeSet<&'m str>)>);

impl Created<'_> {
    /// Whether the table, or this column of it, is among them.
    pub(crate) fn contains(&self, table: &str, column: Option<&str>) -> bool {
        self.0.get(table).is_some_and(|(is_created, columns)| {
            column.map_or(*is_created, |column| columns.contains(column))
        })
    }
}

/// The kind of each relation; an ordinary table by default.
pub(crate) type Kinds = BTreeMap<String, Kind>;

/// The kind of a relation that has rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Partitioned or not: an operator may partition a table without a change of the code.
    #[default]
    Table,
    View,
    MaterializedView,
    ForeignTable,
}

/// One migration as its framework's ledger records it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migration {
    /// The identifier in the ledger.
    pub(crate) id: String,
    /// The name in messages: `1 tenants`.
    pub(crate) name: String,
    /// Lower-case hexadecimal, if the framework records a checksum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<String>,
    /// The checksum of the same text with the other line ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) other_line_ends: Option<String>,
    /// Its app, if the framework has apps; `id` is then `app.name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) app: String,
    /// Its direct dependencies, for ledgers that record only the last migrations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) depends: Vec<String>,
    /// The migrations that a squash replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(entries: &[(&str, &[&str])]) -> Tables {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        entries.iter().map(|(table, names)| ((*table).to_owned(), columns(names))).collect()
    }

    /// `1 a` creates `item`, `2 b` adds a column to it, `3 c` creates nothing, and `4 d` creates `line`.
    fn expected() -> Expected {
        let migrations = ["1 a", "2 b", "3 c", "4 d"].map(|name| Migration {
            id: name[..1].into(),
            name: name.into(),
            ..Migration::default()
        });
        let creates = [
            ("1", tables(&[("item", &["id"])])),
            ("2", tables(&[("item", &["net"])])),
            ("4", tables(&[("line", &["item"])])),
        ];
        Expected {
            migrations: migrations.into(),
            creates: creates.map(|(id, tables)| (id.to_owned(), tables)).into(),
            ..Expected::default()
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_first_pending_migrations_whose_objects_exist_are_applied_without_a_record() {
        let applied = |pending: &[&str], missing: (&str, Option<&str>)| {
            let exists = |table: &str, column: Option<&str>| (table, column) != missing;
            expected().applied_without_record(&names(pending), exists)
        };
        let nothing = ("", None);
        assert_eq!(applied(&["1 a", "2 b"], nothing), ["1 a", "2 b"]);
        assert_eq!(applied(&["1 a", "2 b"], ("item", Some("net"))), ["1 a"]);
        assert_eq!(applied(&["1 a", "2 b"], ("item", None)), [""; 0]);
        assert_eq!(applied(&["2 b", "3 c", "4 d"], nothing), ["2 b"], "nothing proves 3 c");
        assert_eq!(applied(&["4 d"], ("item", Some("net"))), ["4 d"]);
        assert_eq!(applied(&["9 z"], nothing), [""; 0]);
    }

    #[test]
    fn what_pending_migrations_create_is_not_due() {
        let objects =
            [("item", None), ("item", Some("id")), ("item", Some("net")), ("line", None), ("other", None)];
        let due = |expected: &Expected, pending: &[&str]| {
            let pending = names(pending);
            let created = expected.created_without(&pending);
            objects.map(|(table, column)| created.contains(table, column))
        };
        let whole = expected();
        assert_eq!(due(&whole, &[]), [true, true, true, true, false]);
        assert_eq!(due(&whole, &["2 b"]), [true, true, false, true, false]);
        assert_eq!(due(&whole, &["1 a", "2 b"]), [false, false, false, true, false]);
        assert_eq!(due(&whole, &["4 d"]), [true, true, true, false, false]);
        // A pending baseline is named with a remark; another migration is known by its whole name.
        let mut baseline = expected();
        assert_eq!(due(&baseline, &["4 d (replaces 1 to 3)"]), [true, true, true, true, false]);
        baseline.migrations[3].replaces = names(&["3 c"]);
        assert_eq!(due(&baseline, &["4 d (replaces 1 to 3)"]), [true, true, true, false, false]);
        assert_eq!(due(&baseline, &["1 a"]), [false, false, true, true, false]);
    }
}
