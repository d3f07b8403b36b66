//! Manifests without a structure, and with types of tenants.

use super::*;
use crate::{
    frameworks::ALL,
    tenants::{ledger::Ledger, manifest::Migration},
};

/// The rules of a framework whose manifests have only tables and columns.
fn rules() -> &'static dyn Ledger {
    let mut rules = ALL.iter().flat_map(|framework| framework.ledgers());
    rules.find(|rules| !rules.derives_structure()).unwrap_or_else(|| unreachable!())
}

fn tables(text: &str) -> Tables {
    let table = |text: &str| {
        let (name, columns) = text.split_once(": ").unwrap_or((text, ""));
        (name.to_owned(), columns.split_whitespace().map(str::to_owned).collect())
    };
    text.split("; ").map(table).collect()
}

fn manifest(migrations: &[&str], text: &str) -> Manifest {
    let migration = |id: &&str| Migration { id: (*id).into(), name: (*id).into(), ..Migration::default() };
    let migrations = migrations.iter().map(migration).collect();
    let tenant = Expected { migrations, tables: tables(text), ..Expected::default() };
    Manifest::new(rules(), Expected::default(), tenant)
}

fn changes(code: &Manifest, schema: &Manifest) -> Vec<(Part, String, Change)> {
    judge(code, schema).into_iter().map(|finding| (finding.part, finding.name, finding.change)).collect()
}

#[test]
fn without_a_structure_only_equal_migrations_are_compatible() {
    let old = manifest(&["1"], "item: id n; note: id");
    assert!(judge(&old, &old).is_empty());
    for (text, expected) in [
        ("item: id n; note: id", vec![]),
        ("item: id n extra; note: id", vec![("item.extra", Change::Additional)]),
        ("item: id; note: id", vec![("item.n", Change::Missing)]),
        ("item: id n", vec![("note", Change::Missing)]),
    ] {
        let new = manifest(&["1", "2"], text);
        let mut expected: Vec<_> =
            expected.into_iter().map(|(name, change)| (Part::Tenant, name.to_owned(), change)).collect();
        expected.push((Part::Tenant, "2".into(), Change::Unknown));
        assert_eq!(changes(&old, &new), expected, "{text}");
    }
}

#[test]
fn a_lost_and_a_new_one_are_a_probable_rename() {
    let old = manifest(&[], "item: id n; note: id text");
    let renamed = |text| judge(&old, &manifest(&[], text)).swap_remove(0).renamed_to;
    assert_eq!(renamed("item: id number; note: id text"), Some("number".into()));
    assert_eq!(renamed("item: id a b; note: id text"), None);
    assert_eq!(renamed("item: id n; memo: id text"), Some("memo".into()));
    assert_eq!(renamed("item: id n; memo: id words"), None);
}

#[test]
fn each_type_of_tenant_is_judged() {
    let of_types = |common: &str, types: &[(&str, &str)]| Manifest {
        types: types.iter().map(|(kind, text)| ((*kind).to_owned(), tables(text))).collect(),
        ..manifest(&[], common)
    };
    let old =
        of_types("item: id n", &[("a", "item: id n; shop: id"), ("b", "item: id n"), ("c", "item: id n")]);
    let new = of_types("item: id", &[("a", "item: id; cart: sum"), ("b", "item: id")]);
    assert_eq!(
        changes(&old, &new),
        [
            (Part::Tenant, "item.n".into(), Change::Missing),
            (Part::Type("a".into()), "shop".into(), Change::Missing),
            (Part::Type("c".into()), "c".into(), Change::Missing),
        ]
    );
}

#[test]
fn parts_of_definitions_are_read_as_postgresql_writes_them() {
    use super::definitions::{Column, Value, identifier, list, mentions};
    for (definition, type_name, value, not_null) in [
        ("text", "text", Value::Null, false),
        ("numeric(10,2) DEFAULT 0 NOT NULL", "numeric(10,2)", Value::Default("0"), true),
        ("\"a DEFAULT b\" NOT NULL NOT VALID", "\"a DEFAULT b\"", Value::Null, true),
        (
            "bigint GENERATED ALWAYS AS IDENTITY (AS bigint START WITH 1) NOT NULL",
            "bigint",
            Value::Identity { always: true, options: "(AS bigint START WITH 1)" },
            true,
        ),
        ("text DEFAULT ' GENERATED '::text", "text", Value::Default("' GENERATED '::text"), false),
        (
            "integer GENERATED ALWAYS AS ((n + 1)) STORED",
            "integer",
            Value::Generated(" GENERATED ALWAYS AS ((n + 1)) STORED"),
            false,
        ),
    ] {
        assert_eq!(Column::parse(definition), Column { type_name, value, not_null }, "{definition}");
    }
    assert_eq!(
        list("UNIQUE (a, \"b, (c\", f('),', x)) WHERE y"),
        Some((vec!["a", "\"b, (c\"", "f('),', x)"], " WHERE y"))
    );
    assert_eq!(identifier("\"a\"\"b\" DESC"), Some(("a\"b".into(), " DESC")));
    assert!(mentions("(n > 0)", "n") && !mentions("(number > 0)", "n") && mentions("\"a\"\"b\" = 1", "a\"b"));
}
