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
