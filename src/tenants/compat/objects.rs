//! Judges the objects of PostgreSQL's structures: each kind by its own rules.

use super::{
    Change, Judge,
    definitions::{identifier, mentions},
    key, of_table,
    types::labels,
};
use crate::tenants::structure::{Object, ObjectKind, difference};

/// States of a table that do not concern statements.
const IRRELEVANT: [&str; 2] = ["unlogged", "replica identity full"];

impl<'a> Judge<'a> {
    pub(super) fn compare_objects(&mut self) {
        let (code, schema) = (self.code, self.schema);
        for object in code.structure.objects() {
            let found = self.found_objects.get(&key(object)).copied();
            if let Some(found) = found {
                self.compare_object(object, found);
            } else if let Some(change) = self.missing(object) {
                self.add_object(change, Some(object), None);
            }
        }
        for object in schema.structure.objects() {
            if !self.known_objects.contains_key(&key(object))
                && let Some(change) = self.additional(object)
            {
                self.add_object(change, None, Some(object));
            }
        }
        let common: Vec<&'a str> = self.known.keys().map(String::as_str).collect();
        for table in common.into_iter().filter(|table| self.is_common(table)).collect::<Vec<_>>() {
            self.compare_rules(table);
        }
    }

    /// An object that both sides have.
    fn compare_object(&mut self, known: &'a Object, found: &'a Object) {
        match known.kind {
            ObjectKind::Column if self.is_common(&known.table) => self.compare_column(known, found),
            ObjectKind::Type => self.compare_types(known, found),
            // Rules compare constraints and indexes by their definitions.
            ObjectKind::Column | ObjectKind::Constraint | ObjectKind::Index | ObjectKind::Statistics => {}
            ObjectKind::Table => {
                if known.definition != found.definition || state(known) != state(found) {
                    self.add_object(Change::Changed, Some(known), Some(found));
                }
            }
            _ if known == found => {}
            _ => self.add_object(Change::Changed, Some(known), Some(found)),
        }
    }

    fn compare_types(&mut self, known: &Object, found: &Object) {
        if known.definition == found.definition {
            return;
        }
        let is_enum = |object: &Object| object.definition.starts_with("AS ENUM (");
        let change = if is_enum(known) && is_enum(found) {
            let (before, after) = (labels(&known.definition), labels(&found.definition));
            let remaining: Vec<&str> = after.iter().copied().filter(|label| before.contains(label)).collect();
            if remaining == before {
                Change::LabelAdded
            } else if remaining.len() < before.len() {
                Change::LabelMissing
            } else {
                Change::Changed
            }
        } else {
            Change::Changed
        };
        self.add_object(change, Some(known), Some(found));
    }

    /// The change if the schema lacks an object that the code knows.
    fn missing(&self, object: &Object) -> Option<Change> {
        match object.kind {
            // Reported with the tables, columns and rules.
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Column
            | ObjectKind::Constraint
            | ObjectKind::Index
            | ObjectKind::Statistics => None,
            ObjectKind::Type => Some(Change::Missing),
            ObjectKind::Sequence => {
                let owner = difference::table(object);
                (owner.is_empty() || self.found.contains_key(&*owner)).then_some(if owner.is_empty() {
                    Change::Missing
                } else {
                    Change::Changed
                })
            }
            ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Policy => {
                self.is_common(&object.table).then_some(Change::Changed)
            }
            // The code may not use it.
            ObjectKind::Function | ObjectKind::Other => Some(Change::Changed),
        }
    }

    /// The change if the code does not know an object of the schema.
    fn additional(&mut self, object: &'a Object) -> Option<Change> {
        match object.kind {
            ObjectKind::Column if self.is_common(&object.table) => {
                self.judge_new_column(object);
                None
            }
            ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Policy => {
                self.is_common(&object.table).then_some(Change::Additional)
            }
            ObjectKind::Function => {
                // A call may be ambiguous, or reach the other one.
                let name = identifier(&object.name)?.0;
                let is_overload = |other: &&Object| {
                    other.kind == ObjectKind::Function
                        && identifier(&other.name).is_some_and(|(other, _)| other == name)
                };
                let mut objects = self.code.structure.objects().iter();
                objects.any(|other| is_overload(&other)).then_some(Change::Additional)
            }
            ObjectKind::Table => self.new_table(object),
            ObjectKind::Constraint => self.reference(object),
            ObjectKind::Other => Some(Change::Additional),
            _ => None,
        }
    }

    /// A partition that only has what it inherits accepts the rows of its table.
    fn new_table(&self, object: &'a Object) -> Option<Change> {
        let is_child =
            ["PARTITION OF ", "INHERITS ("].iter().any(|start| object.definition.starts_with(start));
        let is_of_known = is_child && self.known.keys().any(|table| mentions(&object.definition, table));
        let parts = || {
            let kinds = [ObjectKind::Column, ObjectKind::Constraint, ObjectKind::Index, ObjectKind::Trigger];
            kinds.into_iter().flat_map(|kind| of_table(&self.found_objects, kind, &object.name))
        };
        let is_plain = object.definition.starts_with("PARTITION OF ")
            && !object.definition.contains(" PARTITION BY ")
            && !object.definition.contains(" SERVER ")
            && !self.has_default_partition()
            && parts().all(|part| part.state == "inherited")
            && parts().filter(|part| part.kind == ObjectKind::Column).all(|column| {
                let parent = object.definition.strip_prefix("PARTITION OF ").and_then(identifier);
                parent.is_some_and(|(parent, _)| {
                    self.found_objects
                        .get(&(ObjectKind::Column, &parent, &column.name))
                        .is_some_and(|of_parent| of_parent.definition == column.definition)
                })
            });
        (is_of_known && !is_plain).then_some(Change::Additional)
    }

    /// A default partition no longer accepts the rows of a new one.
    fn has_default_partition(&self) -> bool {
        let is_default =
            |definition: &str| definition.starts_with("PARTITION OF ") && definition.contains(" DEFAULT");
        of_table(&self.known_objects, ObjectKind::Table, "").any(|table| is_default(&table.definition))
    }

    /// A row that a new table refers to cannot be deleted by code that does not know the table.
    fn reference(&self, object: &Object) -> Option<Change> {
        if self.known.contains_key(&object.table) {
            return None;
        }
        let (_, target) = object.definition.split_once(" REFERENCES ")?;
        let (table, _) = identifier(target)?;
        let is_deleted = self.deletes(&object.table, &object.definition);
        (self.known.contains_key(&table) && !is_deleted).then_some(Change::Referenced)
    }
}

fn state(table: &Object) -> Vec<&str> {
    table.state.split(", ").filter(|word| !word.is_empty() && !IRRELEVANT.contains(word)).collect()
}
