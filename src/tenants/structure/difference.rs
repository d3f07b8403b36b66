//! Compares two structures.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::{Object, ObjectKind, Structure};
use crate::ordered::Ordered;
use crate::words::hex;

/// An object that only one of two structures has, or that differs between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// None for an object that is not expected.
    pub(crate) expected: Option<Arc<Object>>,
    /// None for a missing object; never None together with `expected`.
    pub(crate) actual: Option<Arc<Object>>,
}

/// Whether the names of constraints, indexes and sequences count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Exact,
    /// A framework may have given them other names in an earlier release.
    Ignored,
}

/// The origin of an expected structure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reference {
    Manifest,
    /// A tenant whose structure equals the template's.
    Template {
        example: String,
    },
    /// The largest group of equal tenants.
    Majority {
        tenants: usize,
        example: String,
    },
}

impl Difference {
    /// The expected object, or the one that is not expected.
    pub(crate) fn object(&self) -> Option<&Object> {
        self.expected.as_deref().or(self.actual.as_deref())
    }

    /// The name of the object in messages and in `[[accept]]`.
    pub(crate) fn item(&self) -> String {
        self.object().map(Object::item).unwrap_or_default()
    }

    /// Whether it is about an expected object, or about a part of one. The shared schema also has objects of other programs.
    pub(crate) fn concerns_expected_objects(&self) -> bool {
        self.expected.is_some() || self.object().is_some_and(|object| !object.table.is_empty())
    }

    /// Whether the code may fail or change other rows because of it. An additional object does neither if the statements
    /// of the code do not reach it.
    pub(crate) fn matters(&self) -> bool {
        match (&self.expected, &self.actual) {
            (None, Some(found)) => match found.kind {
                ObjectKind::Index => found.is_unique_index(),
                kind => matches!(
                    kind,
                    ObjectKind::Column
                        | ObjectKind::Constraint
                        | ObjectKind::Trigger
                        | ObjectKind::Rule
                        | ObjectKind::Policy
                ),
            },
            _ => true,
        }
    }
}

impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            object: Option<ObjectKind>,
            #[serde(skip_serializing_if = "Option::is_none")]
            table: Option<&'a str>,
            name: Option<&'a str>,
            expected: Option<Text<'a>>,
            actual: Option<Text<'a>>,
        }
        #[derive(Serialize)]
        struct Text<'a> {
            definition: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            state: &'a str,
        }
        fn text(object: Option<&Object>) -> Option<Text<'_>> {
            object.map(|object| Text { definition: &object.definition, state: &object.state })
        }
        let object = self.object();
        Fields {
            object: object.map(|object| object.kind),
            table: object.map(|object| object.table.as_str()).filter(|table| !table.is_empty()),
            name: object.map(|object| object.name.as_str()),
            expected: text(self.expected.as_deref()),
            actual: text(self.actual.as_deref()),
        }
        .serialize(serializer)
    }
}

impl Object {
    pub(crate) fn is_unique_index(&self) -> bool {
        self.kind == ObjectKind::Index
            && (self.definition.starts_with("UNIQUE ") || self.definition.starts_with("CREATE UNIQUE "))
    }
}

/// The differences, sorted by kind and name. The order of a table's columns does not count. A table or view that only one
/// side has is one difference, without its parts.
pub(crate) fn compare(expected: &Structure, actual: &Structure, names: Names) -> Vec<Difference> {
    let (expected_keys, actual_keys) = (keyed(expected, names), keyed(actual, names));
    let (expected_tables, actual_tables) = (relations(expected), relations(actual));
    let is_part_of_difference = |object: &Object| {
        let table = table(object);
        !table.is_empty() && expected_tables.contains(&*table) != actual_tables.contains(&*table)
    };
    let keys: BTreeSet<&Key> = expected_keys.keys().chain(actual_keys.keys()).into_set();
    let none = Vec::new();
    let mut differences = Vec::new();
    for key in keys {
        let (wanted, found) =
            (expected_keys.get(key).unwrap_or(&none), actual_keys.get(key).unwrap_or(&none));
        for index in 0..wanted.len().max(found.len()) {
            let (wanted, found) = (wanted.get(index), found.get(index));
            if wanted.map(|(value, _)| value) == found.map(|(value, _)| value)
                || [wanted, found].into_iter().flatten().any(|(_, object)| is_part_of_difference(object))
            {
                continue;
            }
            let copy = |(_, object): &(Value, &Object)| Arc::new((*object).clone());
            differences.push(Difference { expected: wanted.map(copy), actual: found.map(copy) });
        }
    }
    differences
}

/// A digest that is equal for structures without differences.
pub(crate) fn digest(structure: &Structure, names: Names) -> String {
    let mut digest = Sha256::new();
    for (key, objects) in keyed(structure, names) {
        for (value, _) in objects {
            digest.update(format!("{key:?} {value:?}\n"));
        }
    }
    hex(&digest.finalize())
}

/// The kind, the table and the name, or what stands for the name.
type Key = (ObjectKind, String, String);
/// The definition and the state.
type Value = (String, String);

/// The objects by key. Several have one key only if names are ignored.
fn keyed(structure: &Structure, names: Names) -> BTreeMap<Key, Vec<(Value, &Object)>> {
    let owners = if names == Names::Ignored { owners(structure) } else { BTreeMap::new() };
    let mut keyed: BTreeMap<Key, Vec<(Value, &Object)>> = BTreeMap::new();
    for object in structure.objects() {
        let (mut name, mut definition) = (object.name.clone(), object.definition.clone());
        match object.kind {
            ObjectKind::Constraint | ObjectKind::Index if names == Names::Ignored => {
                name.clone_from(&definition);
            }
            ObjectKind::Sequence => name.clone_from(owners.get(&object.name).unwrap_or(&object.name)),
            ObjectKind::Column => {
                let column = format!("{}.{}", object.table, object.name);
                for (sequence, _) in owners.iter().filter(|(_, owner)| **owner == column) {
                    for quote in ["", "\""] {
                        definition =
                            definition.replace(&format!("'{quote}{sequence}{quote}'::"), "'its sequence'::");
                    }
                }
            }
            _ => {}
        }
        let value = (definition, object.state.clone());
        keyed.entry((object.kind, object.table.clone(), name)).or_default().push((value, object));
    }
    for objects in keyed.values_mut() {
        objects.sort_unstable();
    }
    keyed
}

/// The column that owns each sequence.
fn owners(structure: &Structure) -> BTreeMap<String, String> {
    structure.objects().iter().filter_map(|object| Some((object.name.clone(), owner(object)?))).into_map()
}

/// The table that an object belongs to; empty if there is none.
pub(crate) fn table(object: &Object) -> Cow<'_, str> {
    match owner(object) {
        Some(owner) => owner.rsplit_once('.').map_or("", |(table, _)| table).to_owned().into(),
        None => object.table.as_str().into(),
    }
}

/// The column that owns a sequence, without quotation marks.
fn owner(object: &Object) -> Option<String> {
    let is_sequence = object.kind == ObjectKind::Sequence;
    Some(object.definition.split_once(" OWNED BY ").filter(|_| is_sequence)?.1.replace('"', ""))
}

/// The names of the tables and views.
fn relations(structure: &Structure) -> BTreeSet<&str> {
    let relations = structure.objects().iter().filter(|object| {
        matches!(object.kind, ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView)
    });
    relations.map(|object| object.name.as_str()).into_set()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// `kind table.name: definition [state]`, one object a line.
    fn structure(text: &str) -> Structure {
        let object = |line: &str| {
            let (head, rest) = line.split_once(": ").unwrap();
            let (kind, name) = head.split_once(' ').unwrap();
            let (table, name) = name.split_once('.').unwrap_or(("", name));
            let (definition, state) =
                rest.split_once(" [").or_else(|| rest.split_once('[')).unwrap_or((rest, ""));
            Object {
                kind: serde_json::from_value(kind.into()).unwrap(),
                table: table.into(),
                name: name.into(),
                definition: definition.trim().into(),
                state: state.trim_end_matches(']').into(),
            }
        };
        Structure::new(text.lines().map(object).collect())
    }

    fn differences(expected: &str, actual: &str, names: Names) -> Vec<String> {
        let text = |object: Option<&Arc<Object>>| {
            object.map_or("-".to_owned(), |object| {
                format!("{} {} {}", object.name, object.definition, object.state).trim().to_owned()
            })
        };
        compare(&structure(expected), &structure(actual), names)
            .iter()
            .map(|one| format!("{} => {}", text(one.expected.as_ref()), text(one.actual.as_ref())))
            .collect()
    }

    const INVOICE: &str = "table invoice: \ncolumn invoice.id: bigint DEFAULT nextval('invoice_id_seq'::regclass) NOT NULL\n\
        column invoice.net: numeric\nconstraint invoice.invoice_pkey: PRIMARY KEY (id)\nindex invoice.a: USING btree (net)\n\
        sequence invoice_id_seq: AS bigint OWNED BY invoice.id";

    #[test]
    fn a_structure_equals_itself_and_each_change_is_a_difference() {
        for names in [Names::Exact, Names::Ignored] {
            assert_eq!(differences(INVOICE, INVOICE, names), [""; 0]);
            for (from, to, expected) in [
                ("net: numeric", "net: text", "net numeric => net text"),
                (
                    "btree (net)",
                    "btree (net) [invalid]",
                    "a USING btree (net) => a USING btree (net) invalid",
                ),
                ("\ncolumn invoice.net: numeric", "", "net numeric => -"),
                ("table invoice: ", "table invoice: [unlogged]", "invoice => invoice  unlogged"),
            ] {
                let changed = INVOICE.replace(from, to);
                assert_eq!(differences(INVOICE, &changed, names), [expected], "{to}");
                assert_eq!(differences(&changed, INVOICE, names).len(), 1, "{to}");
            }
        }
    }

    #[test]
    fn names_count_only_if_they_are_exact() {
        let renamed = INVOICE
            .replace("invoice_id_seq", "bill_id_seq")
            .replace("invoice_pkey", "bill_pkey")
            .replace("invoice.a:", "invoice.b:");
        assert_eq!(differences(INVOICE, &renamed, Names::Ignored), [""; 0]);
        assert_eq!(differences(INVOICE, &renamed, Names::Exact).len(), 7);
        let twice = format!("{INVOICE}\nindex invoice.b: USING btree (net)");
        assert_eq!(differences(INVOICE, &twice, Names::Ignored), ["- => b USING btree (net)"]);
        let of_another = INVOICE.replace("OWNED BY invoice.id", "");
        assert_ne!(differences(INVOICE, &of_another, Names::Ignored), [""; 0]);
    }

    #[test]
    fn a_missing_table_is_one_difference_without_its_parts() {
        let other = "sequence ticket: AS bigint";
        let with_other = format!("{INVOICE}\n{other}");
        assert_eq!(differences(&with_other, other, Names::Exact), ["invoice => -"]);
        assert_eq!(differences(other, &with_other, Names::Exact), ["- => invoice"]);
    }

    #[test]
    fn an_additional_object_matters_only_if_statements_on_expected_tables_reach_it() {
        for (added, matters) in [
            ("table backup: ", false),
            ("index invoice.x: USING btree (id)", false),
            ("function f(): CREATE FUNCTION f()", false),
            ("index invoice.x: UNIQUE USING btree (net)", true),
            ("column invoice.x: text", true),
            ("trigger invoice.x: CREATE TRIGGER x", true),
            ("constraint invoice.x: CHECK (net > 0)", true),
        ] {
            let actual = structure(&format!("{INVOICE}\n{added}"));
            let found = compare(&structure(INVOICE), &actual, Names::Exact);
            assert_eq!(found.iter().map(Difference::matters).collect::<Vec<_>>(), [matters], "{added}");
            let missing = compare(&actual, &structure(INVOICE), Names::Exact);
            assert!(missing.iter().all(Difference::matters), "{added}");
        }
    }
}
