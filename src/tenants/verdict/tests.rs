//! Tests which actions each kind of verdict allows.

use std::sync::Arc;

use super::*;
use crate::frameworks::sql::LEDGER;
use crate::tenants::{
    day::Day,
    gate::{Rules, judge},
    inspection::{Inspection, OtherKind, SchemaSnapshot},
    manifest::{Kind, Migration},
    structure::{
        Object, ObjectKind,
        difference::{Difference, Reference},
    },
};

fn list(names: &[&str]) -> Arc<[String]> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn tables() -> Vec<String> {
    vec!["finance_invoice".to_owned()]
}

/// The names of what holds for the findings.
fn holds(findings: &[Finding]) -> Vec<&'static str> {
    let verdict = Verdict { findings: findings.to_vec() };
    [
        ("pending", verdict.is_pending()),
        ("fresh", verdict.is_fresh()),
        ("absent", verdict.is_absent()),
        ("half created", verdict.is_half_created()),
        ("has everything", verdict.has_everything()),
        ("lacks objects", verdict.lacks_objects()),
        ("only doubtful records", verdict.has_only_doubtful_records()),
        ("may be migrated", verdict.may_be_migrated()),
        ("may be restored", verdict.may_be_restored()),
    ]
    .into_iter()
    .filter_map(|(name, holds)| holds.then_some(name))
    .collect()
}

#[test]
fn each_kind_of_verdict_allows_exactly_what_it_must() {
    let pending = Finding::Pending { migrations: list(&["1 a"]) };
    let half_created = Finding::HalfCreated { run: "r".into() };
    let dirty = Finding::Dirty { migrations: list(&["1 a"]) };
    let shadowed = Finding::Shadowed { tables: tables() };
    let missing = Finding::MissingTables { tables: tables(), dropped_by_newer: false };
    let ahead = |blocks| Finding::Ahead { unknown: list(&["9 z"]), blocks };
    let no_ledger = |tables: Vec<String>| Finding::NoLedger { tables };
    let altered = Finding::Altered { migrations: list(&["1 a"]), line_ends_alone: false };
    let column =
        Finding::MissingColumns { table: "t".into(), columns: vec!["c".into()], dropped_by_newer: false };
    let index = |unique| Finding::InvalidIndex { index: "i".into(), table: "t".into(), unique };
    let object = || {
        Some(Arc::new(Object {
            kind: ObjectKind::Index,
            table: "t".into(),
            name: "i".into(),
            definition: "(c)".into(),
            state: String::new(),
        }))
    };
    let structure = |expected, actual, blocks| Finding::Structure {
        differences: [Difference { expected, actual }].into(),
        reference: Reference::Manifest,
        blocks,
    };
    let accepted =
        Finding::Accepted { finding: Box::new(missing.clone()), until: Day::LAST, reason: "known".into() };
    let changes: &[&str] = &["may be migrated", "may be restored"];
    let lacks: &[&str] = &["lacks objects", "may be migrated", "may be restored"];
    let restorable: &[&str] = &["only doubtful records", "may be restored"];
    let complete: &[&str] = &["has everything", "may be migrated", "may be restored"];
    for (findings, expected) in [
        (vec![], complete),
        (vec![Finding::NoSchema], &["pending", "fresh"]),
        (vec![Finding::NoDatabase], &["pending", "fresh"]),
        (vec![no_ledger(vec![])], &["pending", "fresh"]),
        (vec![no_ledger(tables())], restorable),
        (vec![Finding::NoSchema, half_created.clone()], &["half created"]),
        (vec![Finding::NotRegistered], &["absent"]),
        (vec![Finding::NotRegistered, pending.clone()], &["pending"]),
        (vec![Finding::NotListed { registry: Kind::View }], &[]),
        (vec![half_created.clone()], &["half created", "has everything"]),
        (vec![half_created.clone(), ahead(false)], &["half created", "has everything"]),
        (vec![half_created, pending.clone()], &["pending", "half created"]),
        (vec![pending.clone()], &["pending", "may be migrated", "may be restored"]),
        (vec![pending.clone(), shadowed.clone()], &["pending"]),
        (vec![missing.clone(), shadowed], lacks),
        (vec![pending.clone(), Finding::Diverged { unknown: list(&["9 z"]) }], &["pending"]),
        (vec![dirty.clone()], restorable),
        (vec![dirty.clone(), ahead(false)], restorable),
        (vec![dirty.clone(), ahead(true)], &["may be restored"]),
        (vec![dirty.clone(), missing.clone()], &["lacks objects", "may be restored"]),
        (vec![dirty, pending], &["pending", "may be restored"]),
        (vec![altered], restorable),
        (vec![missing], lacks),
        (vec![column], lacks),
        (vec![index(true)], lacks),
        (vec![index(false)], complete),
        (vec![structure(object(), None, true)], lacks),
        (vec![structure(object(), None, false)], complete),
        (vec![structure(None, object(), true)], changes),
        (vec![ahead(true)], changes),
        (vec![ahead(false)], complete),
        (vec![Finding::Vanished], changes),
        (vec![Finding::Unreadable { why: "denied".into() }], &[]),
        (vec![accepted], complete),
    ] {
        assert_eq!(holds(&findings), expected, "{findings:?}");
    }
}

#[test]
fn pending_and_unrecorded_migrations_are_listed() {
    let pending = Finding::Pending { migrations: list(&["1 a", "2 b"]) };
    let unrecorded = Finding::Unrecorded { migrations: list(&["1 a"]) };
    let verdict = Verdict { findings: vec![Finding::Vanished, pending, unrecorded] };
    assert_eq!(verdict.pending(), ["1 a", "2 b"]);
    assert_eq!(verdict.unrecorded(), ["1 a"]);
    assert_eq!(Verdict::default().pending(), [""; 0]);
    assert_eq!(Verdict::default().unrecorded(), [""; 0]);
}

#[test]
fn a_pending_migration_whose_objects_exist_is_unrecorded() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let table = |columns: &[&str]| Tables::from([("item".to_owned(), set(columns))]);
    let migration = |id: &str| Migration { id: id.into(), name: id.into(), ..Migration::default() };
    let expected = Expected {
        migrations: vec![migration("1"), migration("2")],
        tables: table(&["id", "net"]),
        creates: BTreeMap::from([("1".to_owned(), table(&["id"])), ("2".to_owned(), table(&["net"]))]),
        ..Expected::default()
    };
    let manifest = Manifest::new(&LEDGER, Expected::default(), expected);
    let unrecorded = |change: fn(&mut SchemaSnapshot)| {
        let mut snapshot = SchemaSnapshot::default();
        change(&mut snapshot);
        let tenants = BTreeMap::from([("acme".to_owned(), SchemaState::Read(snapshot))]);
        let found = Inspection { tenants, registered: 1, ..Inspection::default() };
        let rules = Rules { ahead_blocks: false, at_least: 0 };
        judge(&manifest, &found, rules).tenants["acme"].unrecorded().to_vec()
    };
    assert_eq!(unrecorded(|_| ()), ["1", "2"]);
    let lacks_net = |snapshot: &mut SchemaSnapshot| {
        snapshot.missing_columns.insert("item".into(), BTreeSet::from(["net".to_owned()]));
    };
    assert_eq!(unrecorded(lacks_net), ["1"]);
    assert_eq!(unrecorded(|snapshot| snapshot.missing_tables.extend(["item".to_owned()])), [""; 0]);
    let is_view = |snapshot: &mut SchemaSnapshot| {
        let view = OtherKind { table: "item".into(), expected: Kind::Table, found: Kind::View };
        snapshot.other_kinds.push(view);
    };
    assert_eq!(unrecorded(is_view), [""; 0]);
}
