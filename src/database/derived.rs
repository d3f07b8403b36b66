//! The tables that migrations create, and the migration that created each.

use std::collections::{BTreeMap, BTreeSet};

use super::MigrationFile;
use crate::ordered::Ordered;
use crate::tenants::{
    manifest::{Kind, Kinds, Tables},
    structure::Structure,
};

/// The tables that migrations create, each with its columns, the kinds of those that are not ordinary tables, and the
/// structure without the ledger's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableSet {
    pub(crate) tables: Tables,
    pub(crate) kinds: Kinds,
    /// By migration: see `Expected::creates`.
    pub(crate) creates: BTreeMap<String, Tables>,
    pub(crate) structure: Structure,
}

impl TableSet {
    /// Adds a table and one of its columns, if it has any.
    pub(super) fn note(&mut self, table: String, kind: Kind, column: Option<String>) {
        if kind != Kind::Table {
            self.kinds.insert(table.clone(), kind);
        }
        self.tables.entry(table).or_default().extend(column);
    }

    /// Assigns to the file the objects that did not exist before it. `self` is the state after it.
    pub(super) fn note_created_by(&mut self, file: &MigrationFile, before: Self) {
        let is_new = |table: &String, column: &String| {
            before.tables.get(table).is_none_or(|columns| !columns.contains(column))
        };
        let mut created = Tables::new();
        for (table, columns) in &self.tables {
            let new: BTreeSet<String> =
                columns.iter().filter(|column| is_new(table, column)).cloned().into_set();
            if !new.is_empty() || !before.tables.contains_key(table) {
                created.insert(table.clone(), new);
            }
        }
        self.creates = before.creates;
        // A later file dropped these objects, or created them again.
        for tables in self.creates.values_mut() {
            tables.retain(|table, columns| {
                let (now, again) = (self.tables.get(table), created.get(table));
                columns.retain(|column| {
                    now.is_some_and(|now| now.contains(column))
                        && again.is_none_or(|again| !again.contains(column))
                });
                !columns.is_empty()
            });
        }
        if !file.no_transaction {
            self.creates.insert(file.version.to_string(), created);
        }
        self.creates.retain(|_, tables| !tables.is_empty());
    }
}

/// The tables that the migrations create in an empty database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) shared: TableSet,
    pub(crate) tenant: TableSet,
    /// The engine and its major version.
    pub(crate) server: (String, String),
}
