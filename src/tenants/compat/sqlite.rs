//! Judges the statements of SQLite's structures: a table's columns and constraints are the items of its statement.

use super::{
    Change, Judge,
    definitions::{identifier, list},
    of_table,
};
use crate::tenants::structure::{Object, ObjectKind};

/// The first words of a table's constraints.
const CONSTRAINTS: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];
/// Words of a new column that add a rule, or compute the value.
const RULES: [&str; 6] = ["CHECK", "UNIQUE", "PRIMARY", "GENERATED", "AS", "COLLATE"];

/// The definition of a column in the statement of its table, without its name.
pub(super) fn column<'a>(statement: &'a str, name: &str) -> Option<&'a str> {
    let (items, _) = list(statement)?;
    items.into_iter().find_map(|item| {
        let (column, definition) = column_of(item)?;
        (column == name).then_some(definition)
    })
}

/// The name of a column in lower case, and the rest of its item; None for a constraint.
fn column_of(item: &str) -> Option<(String, &str)> {
    let (name, rest) = identifier(item)?;
    let is_quoted = !item.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let is_constraint = !is_quoted && CONSTRAINTS.contains(&name.to_uppercase().as_str());
    (!is_constraint).then(|| (name.to_lowercase(), rest.trim()))
}

impl<'a> Judge<'a> {
    pub(super) fn compare_statements(&mut self) {
        let tables: Vec<&'a str> = self.known.keys().map(String::as_str).collect();
        for table in tables.into_iter().filter(|table| self.is_common(table)).collect::<Vec<_>>() {
            for kind in [ObjectKind::Table, ObjectKind::View] {
                let key = (kind, "", table);
                if let (Some(known), Some(found)) =
                    (self.known_objects.get(&key).copied(), self.found_objects.get(&key).copied())
                {
                    self.compare_statement(table, known, found);
                }
            }
            self.compare_attached(table);
        }
    }

    fn compare_statement(&mut self, table: &'a str, known: &'a Object, found: &'a Object) {
        if known.definition == found.definition {
            return;
        }
        let lists = (list(&known.definition), list(&found.definition));
        let (ObjectKind::Table, (Some((before, old)), Some((after, options)))) = (known.kind, lists) else {
            self.add_object(Change::Changed, Some(known), Some(found));
            return;
        };
        let columns = self.known.get(table);
        let is_known = |name: &String| columns.is_some_and(|columns| columns.contains(name));
        let mut has_changed = old != options;
        for item in after.iter().filter(|item| !before.contains(item)) {
            match column_of(item) {
                Some((name, definition)) if !is_known(&name) => {
                    let is_strict = options.to_uppercase().contains("STRICT");
                    if let Some(change) = new_column(definition, is_strict) {
                        self.add(ObjectKind::Column, &format!("{table}.{name}"), change).found =
                            Some(definition.to_owned());
                    }
                }
                _ => has_changed = true,
            }
        }
        // A missing column is reported with the tables.
        has_changed |= before.iter().filter(|item| !after.contains(item)).any(|item| {
            column_of(item)
                .is_none_or(|(name, _)| self.found.get(table).is_some_and(|columns| columns.contains(&name)))
        });
        if has_changed {
            self.add_object(Change::Changed, Some(known), Some(found));
        }
    }

    /// The indexes and triggers of a table.
    fn compare_attached(&mut self, table: &'a str) {
        let (known, found) = (self.known_objects.clone(), self.found_objects.clone());
        for kind in [ObjectKind::Index, ObjectKind::Trigger] {
            let objects = |index| of_table(index, kind, table);
            for object in objects(&known) {
                let is_there = objects(&found).any(|other| other.definition == object.definition);
                if !is_there && (kind == ObjectKind::Trigger || object.is_unique_index()) {
                    let change =
                        if kind == ObjectKind::Trigger { Change::Changed } else { Change::NoArbiter };
                    self.add_object(change, Some(object), None);
                }
            }
            for object in objects(&found) {
                let is_plain = list(&object.definition)
                    .is_some_and(|(elements, _)| !elements.iter().any(|element| element.contains('(')));
                let change = match kind {
                    ObjectKind::Index if object.is_unique_index() => Change::Stricter,
                    ObjectKind::Index if is_plain => continue,
                    _ => Change::Additional,
                };
                if !objects(&known).any(|other| other.definition == object.definition) {
                    self.add_object(change, None, Some(object));
                }
            }
        }
    }
}

/// The change for statements that do not know a new column.
fn new_column(definition: &str, is_strict: bool) -> Option<Change> {
    // A parenthesis may follow a word without a space.
    let upper = definition.to_uppercase().replace('(', " (");
    let words: Vec<&str> = upper.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    let default = words.iter().position(|word| *word == "DEFAULT").and_then(|at| words.get(at + 1));
    if RULES.iter().any(|rule| has(rule)) {
        return Some(Change::Additional);
    }
    match default {
        None | Some(&"NULL") if upper.contains("NOT NULL") => Some(Change::Required),
        None | Some(&"NULL") => None,
        // The default of a reference is a row that may not exist.
        Some(value) => {
            let is_literal = value.starts_with('\'')
                || value.trim_start_matches('(').trim_end_matches(')').parse::<f64>().is_ok()
                || ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "TRUE", "FALSE"].contains(value);
            (!is_literal || is_strict || has("REFERENCES")).then_some(Change::Additional)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_column_needs_a_value_that_the_code_does_not_give() {
        for (definition, change) in [
            ("TEXT", None),
            ("TEXT REFERENCES x(id)", None),
            ("VARCHAR(20) DEFAULT 'a'", None),
            ("INTEGER NOT NULL DEFAULT 0", None),
            ("INTEGER NOT NULL", Some(Change::Required)),
            ("INTEGER NOT NULL DEFAULT NULL", Some(Change::Required)),
            ("INTEGER NOT NULL DEFAULT (abs(-1))", Some(Change::Additional)),
            ("INTEGER DEFAULT 1 REFERENCES x(id)", Some(Change::Additional)),
            ("INTEGER NOT NULL DEFAULT(0)", None),
            ("INTEGER NOT NULL DEFAULT(abs(-1))", Some(Change::Additional)),
            ("INTEGER NOT NULL DEFAULT 0 CHECK(n > 0)", Some(Change::Additional)),
            ("INTEGER DEFAULT(unixepoch())", Some(Change::Additional)),
            ("INTEGER CHECK(n > 0)", Some(Change::Additional)),
            ("INTEGER CHECK (n > 0)", Some(Change::Additional)),
            ("TEXT UNIQUE", Some(Change::Additional)),
            ("INTEGER GENERATED ALWAYS AS (n) STORED", Some(Change::Additional)),
        ] {
            assert_eq!(new_column(definition, false), change, "{definition}");
        }
    }
}
