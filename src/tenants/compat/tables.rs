//! Compares the tables and columns, which every manifest has.

use super::{Change, Index, Judge, Part, sqlite};
use crate::{
    ordered::Ordered,
    tenants::{
        manifest::{Expected, Kind},
        structure::ObjectKind,
    },
    words::list,
};

impl<'a> Judge<'a> {
    /// Missing tables and columns, and new columns if nothing else is known about them.
    pub(super) fn compare_tables(&mut self, has_structure: bool) {
        let (known, found) = (self.known, self.found);
        for (table, columns) in known {
            let Some(others) = found.get(table) else {
                let renamed = only(found.iter().filter(|(name, of)| {
                    !known.contains_key(*name) && *of == columns && !columns.is_empty()
                }));
                let kind = match self.code.kinds.get(table) {
                    Some(Kind::View) => ObjectKind::View,
                    Some(Kind::MaterializedView) => ObjectKind::MaterializedView,
                    _ => ObjectKind::Table,
                };
                self.add(kind, table, Change::Missing).renamed_to = renamed.map(|(name, _)| name.clone());
                continue;
            };
            if self.code.kinds.get(table) != self.schema.kinds.get(table) {
                self.add(ObjectKind::Table, table, Change::Changed);
            }
            if columns.is_empty() || others.is_empty() {
                continue;
            }
            for column in columns.difference(others) {
                let is_like = |new: &&String| {
                    definition(&self.found_objects, table, new)
                        == definition(&self.known_objects, table, column)
                };
                let renamed = only(others.difference(columns).filter(is_like)).cloned();
                self.add(ObjectKind::Column, &format!("{table}.{column}"), Change::Missing).renamed_to =
                    renamed;
            }
            if !has_structure {
                for column in others.difference(columns) {
                    self.add(ObjectKind::Column, &format!("{table}.{column}"), Change::Additional);
                }
            }
        }
    }

    /// Without a structure, nothing else is known about the effect of a migration.
    pub(super) fn compare_migrations(&mut self) {
        let ids = |of: &'a Expected| of.migrations.iter().map(|one| one.id.as_str()).into_set();
        let (known, found) = (ids(self.code), ids(self.schema));
        let names: Vec<&str> = known.symmetric_difference(&found).copied().collect();
        if !names.is_empty() && !matches!(self.part, Part::Type(_)) {
            self.add(ObjectKind::Other, &list(&names, 3), Change::Unknown);
        }
    }
}

/// The definition of a column; None if it is not known.
fn definition<'a>(index: &Index<'a>, table: &'a str, column: &'a str) -> Option<&'a str> {
    match index.get(&(ObjectKind::Column, table, column)) {
        Some(object) => Some(&object.definition),
        None => sqlite::column(&index.get(&(ObjectKind::Table, "", table))?.definition, column),
    }
}

/// The only element, if there is exactly one.
fn only<T>(mut elements: impl Iterator<Item = T>) -> Option<T> {
    elements.next().filter(|_| elements.next().is_none())
}
