//! Judges columns: those that differ, and those that the code does not know.

use super::{
    Change, Judge,
    constraints::computes,
    defaults::is_plain_sequence,
    definitions::{Column, Value, mentions},
    of_table,
    types::conversion,
};
use crate::tenants::structure::{Object, ObjectKind};

impl<'a> Judge<'a> {
    /// A column that both sides have.
    pub(super) fn compare_column(&mut self, known: &'a Object, found: &'a Object) {
        if known.definition == found.definition {
            return;
        }
        let (before, after) = (Column::parse(&known.definition), Column::parse(&found.definition));
        let mut changes = Vec::new();
        if before.type_name != after.type_name {
            changes.extend(conversion(before.type_name, after.type_name));
        }
        match (before.not_null, after.not_null) {
            (false, true) => changes.push(Change::NotNull),
            (true, false) => changes.push(Change::Nullable),
            _ => {}
        }
        if before.value != after.value {
            changes.extend(self.compare_values(found, before, after));
        }
        for change in changes {
            self.add_object(change, Some(known), Some(found));
        }
    }

    /// The change for statements that give the column a value, or leave it out.
    fn compare_values(&self, found: &'a Object, before: Column<'a>, after: Column<'a>) -> Option<Change> {
        use Value::{Default, Generated, Identity, Null};
        match (before.value, after.value) {
            (Generated(_), _) => Some(Change::Changed),
            (Identity { always: was, options: old }, Identity { always, options }) if was || !always => {
                (old != options).then_some(Change::OtherDefault)
            }
            (_, Generated(_) | Identity { always: true, .. }) => Some(Change::Generated),
            // The code always gives a value.
            (Null, Null | Default(_) | Identity { .. }) if before.not_null => None,
            (Null, Null) => None,
            (_, Null) if after.not_null => Some(Change::NoDefault),
            // Existing rows may have the first values of an identity's sequence.
            (_, Null | Identity { .. }) => Some(Change::OtherDefault),
            (_, Default(default)) => {
                let is_harmless = self.is_valid_default(default, after.type_name) && !self.has_rule(found);
                (!is_harmless).then_some(Change::OtherDefault)
            }
        }
    }

    /// A column that the code does not know, in a table that it knows.
    pub(super) fn judge_new_column(&mut self, found: &'a Object) {
        let column = Column::parse(&found.definition);
        let change = match column.value {
            Value::Null if column.not_null => Change::Required,
            Value::Null if self.has_plain_type(column.type_name) => return,
            Value::Default(default) if self.is_valid_default(default, column.type_name) => return,
            Value::Identity { options, .. } if is_plain_sequence(options) => return,
            _ => Change::Additional,
        };
        self.add_object(change, None, Some(found));
    }

    /// Whether another value of the column may violate a rule, or reach a trigger.
    fn has_rule(&self, column: &'a Object) -> bool {
        use ObjectKind::{Column as OtherColumn, Constraint, Index, Policy, Rule, Table, Trigger, View};
        let of = |kind| of_table(&self.found_objects, kind, &column.table);
        let indexes = of(Index).filter(|index| index.is_unique_index() || computes(&index.definition));
        let mut rules = of(Constraint).chain(indexes);
        rules.any(|rule| mentions(&rule.definition, &column.name))
            || of(Trigger).chain(of(Rule)).chain(of(Policy)).next().is_some()
            || of_table(&self.found_objects, Table, "").any(|table| mentions(&table.definition, &column.name))
            || of_table(&self.found_objects, View, "").any(|view| view.definition.contains("check_option"))
            || of(OtherColumn).any(|other| {
                matches!(Column::parse(&other.definition).value, Value::Generated(text) if mentions(text, &column.name))
            })
    }

    /// A column of the schema.
    pub(super) fn column(&self, table: &str, name: &str) -> Option<Column<'a>> {
        let object = self.found_objects.get(&(ObjectKind::Column, table, name))?;
        Some(Column::parse(&object.definition))
    }

    /// Whether every row that the code writes has NULL in the column, because the code does not know it.
    pub(super) fn is_always_null(&self, table: &str, name: &str) -> bool {
        !self.known_objects.contains_key(&(ObjectKind::Column, table, name))
            && self.column(table, name).is_some_and(|column| {
                column.value == Value::Null && !column.not_null && self.has_plain_type(column.type_name)
            })
    }

    /// Whether every row that the code writes has a value of its own in the column.
    pub(super) fn is_always_distinct(&self, table: &str, name: &str) -> bool {
        !self.known_objects.contains_key(&(ObjectKind::Column, table, name))
            && self.column(table, name).is_some_and(|column| match column.value {
                Value::Identity { options, .. } => is_plain_sequence(options),
                Value::Default(default) => {
                    (default == "gen_random_uuid()" || default.starts_with("nextval("))
                        && self.is_valid_default(default, column.type_name)
                }
                _ => false,
            })
    }
}
