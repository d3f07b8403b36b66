//! The structure of a schema as a list of objects with their definitions, from which each can be created again.

pub(crate) mod difference;
pub(crate) mod judge;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{ordered, words::hex};

/// Stands for the schema's own name where a definition contains it: `CREATE FUNCTION <schema>.stamp()`. A definition
/// names every other object of the schema without a schema.
pub(crate) const OWN_SCHEMA: &str = "<schema>";

/// Each kind of object, in the order in which its objects are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ObjectKind {
    /// `CREATE TYPE name` or `CREATE DOMAIN name`, then the definition.
    Type,
    /// `CREATE SEQUENCE name`, then the definition; `OWNED BY table.column` is its last part. The sequence of an identity
    /// column is a part of the column.
    Sequence,
    /// The definition is the statement. The name contains the types of the arguments: `stamp(integer)`.
    Function,
    /// `CREATE TABLE name (columns)`, then the definition, which is empty for an ordinary table. On SQLite, the
    /// definition is the statement, and its columns and constraints are no objects.
    Table,
    /// `ALTER TABLE table ADD COLUMN name`, then the definition. The columns of a table are listed in their order. A view
    /// lists only the columns with a default.
    Column,
    /// `ALTER TABLE table ADD CONSTRAINT name`, then the definition. NOT NULL is a part of the column.
    Constraint,
    /// `CREATE [UNIQUE] INDEX name ON table`, then the definition; `UNIQUE` is its first word. The index of a constraint
    /// is a part of the constraint. On SQLite, the definition is the statement.
    Index,
    /// `CREATE VIEW name`, then the definition. On SQLite, the definition is the statement.
    View,
    /// `CREATE MATERIALIZED VIEW name`, then the definition.
    MaterializedView,
    /// The definition is the statement.
    Trigger,
    /// The definition is the statement.
    Rule,
    /// `CREATE POLICY name ON table`, then the definition.
    Policy,
    /// Extended statistics. The definition is the statement.
    Statistics,
    /// An operator, a collation, a text search configuration and the like, without a definition.
    Other,
}

/// One object of a schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Object {
    pub(crate) kind: ObjectKind,
    /// The table or view of a column, constraint, index, trigger, rule or policy; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) table: String,
    /// Not quoted, except in the name of a function.
    pub(crate) name: String,
    /// The part of the statement after the names, as [`ObjectKind`] describes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) definition: String,
    /// What further statements have set, in words: `disabled`, `invalid`, `row level security`. `inherited` means that the
    /// object belongs to the parent's: the statement that attaches the table creates it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) state: String,
}

/// The objects of one schema, by kind, table and position or name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Structure(Vec<Object>);

impl Object {
    /// The name in messages and in `[[accept]]`: `invoice.net`; the name alone for an index.
    pub(crate) fn item(&self) -> String {
        match self.kind {
            ObjectKind::Index => self.name.clone(),
            _ if self.table.is_empty() => self.name.clone(),
            _ => format!("{}.{}", self.table, self.name),
        }
    }
}

impl Structure {
    /// The objects in any order, except that a table's columns are in their order.
    pub(crate) fn new(mut objects: Vec<Object>) -> Self {
        fn order(object: &Object) -> (ObjectKind, &str, &str) {
            let name = if object.kind == ObjectKind::Column { "" } else { object.name.as_str() };
            (object.kind, &object.table, name)
        }
        ordered::sort_by(&mut objects, |one, other| order(one).cmp(&order(other)));
        Self(objects)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn objects(&self) -> &[Object] {
        &self.0
    }

    /// Without a table and what belongs to it.
    pub(crate) fn without_table(mut self, table: &str) -> Self {
        let owned = format!("OWNED BY {table}.");
        self.0.retain(|object| {
            object.table != table
                && !(object.kind == ObjectKind::Table && object.name == table)
                && !(object.kind == ObjectKind::Sequence && object.definition.contains(&owned))
        });
        self
    }

    /// A digest of all objects.
    pub(crate) fn digest(&self) -> String {
        hex(&Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }
}

/// The text of a definition with [`OWN_SCHEMA`] instead of the schema's name before a full stop.
pub(crate) fn relative(text: &str, schema: &str) -> String {
    let quoted = format!("\"{}\".", schema.replace('"', "\"\""));
    let text = replaced(text, &quoted);
    let plain = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { replaced(&text, &format!("{schema}.")) } else { text }
}

/// Replaces a name that is not the end of a longer one.
fn replaced(text: &str, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, found) = rest.split_at(at);
        out += before;
        let longer =
            out.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '"' || c == '.');
        if longer {
            out += name;
        } else {
            out += OWN_SCHEMA;
            out.push('.');
        }
        rest = &found[name.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_schemas_own_name_is_replaced() {
        for (schema, text, expected) in [
            ("acme", "CREATE FUNCTION acme.f()", "CREATE FUNCTION <schema>.f()"),
            ("acme", "nextval('acme.id_seq'::regclass)", "nextval('<schema>.id_seq'::regclass)"),
            ("acme", "INSERT INTO \"acme\".x", "INSERT INTO <schema>.x"),
            ("acme", "big_acme.f(other.acme.x, acmes.y)", "big_acme.f(other.acme.x, acmes.y)"),
            ("B \"2\"", "\"B \"\"2\"\"\".f(b.x)", "<schema>.f(b.x)"),
            ("Acme", "acme.f(\"Acme\".x)", "acme.f(<schema>.x)"),
        ] {
            assert_eq!(relative(text, schema), expected);
        }
    }

    #[test]
    fn columns_stay_in_their_order_and_a_table_leaves_with_its_parts() {
        let object = |kind, table: &str, name: &str, definition: &str| Object {
            kind,
            table: table.into(),
            name: name.into(),
            definition: definition.into(),
            state: String::new(),
        };
        let structure = Structure::new(vec![
            object(ObjectKind::Column, "b", "z", "text"),
            object(ObjectKind::Column, "b", "a", "text"),
            object(ObjectKind::Table, "", "b", ""),
            object(ObjectKind::Sequence, "", "s", "AS bigint OWNED BY ledger.id"),
            object(ObjectKind::Table, "", "ledger", ""),
            object(ObjectKind::Column, "ledger", "id", "bigint"),
        ]);
        let names = |structure: &Structure| -> Vec<String> {
            structure.objects().iter().map(|object| object.name.clone()).collect()
        };
        assert_eq!(names(&structure), ["s", "b", "ledger", "z", "a", "id"]);
        assert_eq!(names(&structure.without_table("ledger")), ["b", "z", "a"]);
    }
}
