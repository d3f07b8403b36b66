//! Compares the verdicts on generated ledgers with Django's own, and tests the rules of squashes.
#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// One line of `tests/fixtures/django/ledgers-*.json`: the migrations on disk, the ledger, and Django's plan.
#[derive(Deserialize)]
struct Case {
    disk: Vec<Entry>,
    recorded: Vec<String>,
    pending: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    app: String,
    replaces: Vec<String>,
}

fn migration(id: &str, replaces: &[&str]) -> Migration {
    Migration {
        id: id.into(),
        name: id.into(),
        app: id.split('.').next().unwrap().into(),
        replaces: replaces.iter().map(|id| (*id).to_owned()).collect(),
        ..Migration::default()
    }
}

fn expected(migrations: Vec<Migration>) -> Expected {
    Expected { migrations, ..Expected::default() }
}

fn rows(ids: &[&str]) -> Vec<LedgerRow> {
    let row = |id: &&str| LedgerRow { id: (*id).into(), name: (*id).into(), checksum: None, succeeded: true };
    ids.iter().map(row).collect()
}

fn squashed() -> Expected {
    expected(vec![
        migration("finance.0001_initial", &[]),
        migration("finance.0002_line", &[]),
        migration("finance.0001_squashed", &["finance.0001_initial", "finance.0002_line"]),
        migration("finance.0003_payment", &[]),
    ])
}

fn pending(expected: &Expected, recorded: &[&str], squashes: Squashes) -> Vec<String> {
    compare(expected, &rows(recorded), squashes).pending
}

#[test]
fn both_ledgers_of_a_squash_are_valid() {
    let all = ["finance.0001_initial", "finance.0002_line", "finance.0003_payment", "finance.0001_squashed"];
    for squashes in [Squashes::Flat, Squashes::Nested] {
        assert_eq!(pending(&squashed(), &all, squashes), Vec::<String>::new());
        assert_eq!(pending(&squashed(), &all[..3], squashes), Vec::<String>::new());
    }
}

#[test]
fn an_empty_ledger_needs_the_squash_and_a_partial_one_needs_the_originals() {
    let nothing = pending(&squashed(), &[], Squashes::Flat);
    assert_eq!(nothing, ["finance.0001_squashed", "finance.0003_payment"]);
    let part = pending(&squashed(), &["finance.0001_initial"], Squashes::Flat);
    assert_eq!(part, ["finance.0002_line", "finance.0003_payment"]);
}

#[test]
fn a_squash_recorded_without_its_replaced_migrations_is_pending() {
    let recorded = ["finance.0001_squashed", "finance.0003_payment"];
    assert_eq!(pending(&squashed(), &recorded, Squashes::Flat), ["finance.0001_squashed"]);
}

#[test]
fn since_django_6_a_squash_of_a_squash_is_resolved_to_the_originals() {
    let expected = expected(vec![
        migration("a.1", &[]),
        migration("a.2", &[]),
        migration("a.3", &[]),
        migration("a.1_2", &["a.1", "a.2"]),
        migration("a.1_3", &["a.1_2", "a.3"]),
    ]);
    assert_eq!(pending(&expected, &["a.1", "a.2", "a.3"], Squashes::Nested), Vec::<String>::new());
    assert_eq!(pending(&expected, &["a.1"], Squashes::Nested), ["a.2", "a.3"]);
    assert_eq!(pending(&expected, &[], Squashes::Nested), ["a.1_3"]);
}

#[test]
fn a_partly_applied_squash_without_its_other_files_is_pending() {
    let expected = expected(vec![migration("a.1_2", &["a.1", "a.2"])]);
    let pending = pending(&expected, &["a.1"], Squashes::Flat);
    assert_eq!(pending, ["a.1_2 (partly applied; the rest no longer exists on disk)"]);
}

#[test]
fn a_row_of_a_removed_app_is_retired_and_any_other_unknown_row_is_unknown() {
    let recorded = ["a.1", "a.9", "gone.1", "a.1"];
    let comparison = compare(&expected(vec![migration("a.1", &[])]), &rows(&recorded), Squashes::Flat);
    assert_eq!(comparison.unknown, ["a.9"]);
    assert_eq!(comparison.retired, ["gone.1"]);
    assert_eq!(comparison.duplicates, ["a.1"]);
    assert!(comparison.pending.is_empty());
}

fn agrees_with(fixture: &str, squashes: Squashes) {
    for line in fixture.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let replaces =
            |entry: &Entry| entry.replaces.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let migrations = case.disk.iter().map(|entry| {
            let replaces = replaces(entry);
            let migration = migration(&entry.id, &replaces.split_whitespace().collect::<Vec<_>>());
            assert_eq!(migration.app, entry.app);
            migration
        });
        let expected = expected(migrations.collect());
        let recorded: Vec<&str> = case.recorded.iter().map(String::as_str).collect();
        let mut pending = Graph::of(&expected, recorded.into_iter().collect(), squashes).pending();
        pending.sort();
        assert_eq!(pending, case.pending, "{line}");
    }
}

#[test]
fn four_hundred_ledgers_have_the_same_verdict_as_in_django_5_2() {
    agrees_with(include_str!("../../../../tests/fixtures/django/ledgers-5.2.json"), Squashes::Flat);
}

#[test]
fn four_hundred_ledgers_have_the_same_verdict_as_in_django_6() {
    agrees_with(include_str!("../../../../tests/fixtures/django/ledgers-6.0.json"), Squashes::Nested);
}

proptest! {
    /// After the pending migrations are applied and recorded as Django does, nothing is pending.
    #[test]
    fn nothing_is_pending_after_the_pending_migrations_are_recorded(
        chosen in prop::collection::btree_set(0usize..4, 0..4),
        nested in any::<bool>(),
    ) {
        let expected = squashed();
        let ids: Vec<&str> = expected.migrations.iter().map(|migration| migration.id.as_str()).collect();
        let mut recorded: BTreeSet<String> = chosen.into_iter().map(|index| ids[index].to_owned()).collect();
        let squashes = if nested { Squashes::Nested } else { Squashes::Flat };
        let ledger = |recorded: &BTreeSet<String>| rows(&recorded.iter().map(String::as_str).collect::<Vec<_>>());
        for id in compare(&expected, &ledger(&recorded), squashes).pending {
            let migration = expected.migrations.iter().find(|migration| migration.id == id).unwrap();
            recorded.extend(migration.replaces.iter().cloned());
            recorded.insert(id);
        }
        prop_assert_eq!(compare(&expected, &ledger(&recorded), squashes).pending, Vec::<String>::new());
    }
}
