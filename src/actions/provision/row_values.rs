//! The values of one new row: given ones, and the defaults of the project's model. Pure.

use std::collections::BTreeMap;

use crate::{database::Column, tenants::manifest::ColumnValue};

/// A value for each column of a new row.
#[derive(Debug)]
pub(super) struct RowValues(BTreeMap<String, ColumnValue>);

impl RowValues {
    /// The given values, and the defaults for the other columns.
    pub(super) fn new(defaults: Option<&BTreeMap<String, ColumnValue>>, given: &[(String, String)]) -> Self {
        let mut columns = defaults.cloned().unwrap_or_default();
        columns
            .extend(given.iter().map(|(column, value)| (column.clone(), ColumnValue::Text(value.clone()))));
        Self(columns)
    }

    /// Sets a column that has no value from the command line or the step; replaces the model's default.
    pub(super) fn set_default(&mut self, column: &str, value: &str, given: &[(String, String)]) {
        if !given.iter().any(|(name, _)| name == column) {
            self.0.insert(column.to_owned(), ColumnValue::Text(value.to_owned()));
        }
    }

    /// Whether the project must compute a value.
    pub(super) fn is_computed(&self) -> bool {
        self.0.values().any(|value| *value == ColumnValue::Computed)
    }

    /// Replaces the values to compute; a column without a computed value is NULL.
    pub(super) fn resolve(&mut self, computed: &BTreeMap<String, String>) {
        self.0.retain(|column, value| {
            if *value != ColumnValue::Computed {
                return true;
            }
            let Some(text) = computed.get(column) else { return false };
            *value = ColumnValue::Text(text.clone());
            true
        });
    }

    /// The columns that need a value and have none; `filled` are filled otherwise. Each has its name and its type.
    pub(super) fn missing(&self, known: &[Column], filled: &str) -> Vec<(String, String)> {
        let is_missing = |column: &&Column| {
            column.is_required && column.name != filled && !self.0.contains_key(&column.name)
        };
        known.iter().filter(is_missing).map(|column| (column.name.clone(), column.kind.clone())).collect()
    }

    pub(super) fn into_columns(self) -> BTreeMap<String, ColumnValue> {
        self.0
    }
}

/// The first given column that the table does not have. Nothing is known about a table that does not exist.
pub(super) fn unknown<'a>(given: &'a [(String, String)], known: &[Column]) -> Option<&'a str> {
    let is_unknown = |name: &str| !known.is_empty() && !known.iter().any(|column| column.name == name);
    given.iter().map(|(name, _)| name.as_str()).find(|name| is_unknown(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ColumnValue {
        ColumnValue::Text(text.into())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    fn column(name: &str, is_required: bool) -> Column {
        Column { name: name.into(), kind: "text".into(), is_required }
    }

    #[test]
    fn a_given_value_precedes_every_default() {
        let defaults = [("plan".to_owned(), text("free")), ("name".to_owned(), text(""))].into();
        let given = [pair("plan", "team")];
        let mut row = RowValues::new(Some(&defaults), &given);
        row.set_default("plan", "x", &given);
        row.set_default("name", "Acme", &given);
        let expected = [("plan".to_owned(), text("team")), ("name".to_owned(), text("Acme"))].into();
        assert_eq!(row.into_columns(), expected);
    }

    #[test]
    fn a_value_that_the_project_does_not_compute_is_null() {
        let defaults = ["a", "b"].map(|name| (name.to_owned(), ColumnValue::Computed)).into();
        let mut row = RowValues::new(Some(&defaults), &[]);
        assert!(row.is_computed());
        row.resolve(&[("a".to_owned(), "2026-01-01".to_owned())].into());
        assert_eq!(row.into_columns(), [("a".to_owned(), text("2026-01-01"))].into());
    }

    #[test]
    fn every_required_column_without_a_value_is_listed() {
        let known =
            [column("schema", true), column("plan", true), column("paid", true), column("note", false)];
        let row = RowValues::new(None, &[pair("plan", "team")]);
        assert_eq!(row.missing(&known, "schema"), [("paid".to_owned(), "text".to_owned())]);
        assert_eq!(unknown(&[pair("plan", ""), pair("colour", "red")], &known), Some("colour"));
        assert_eq!(unknown(&[pair("colour", "red")], &[]), None);
    }
}
