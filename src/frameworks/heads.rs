//! Compares ledgers that record only the last migrations: one row for each head of the graph, as Alembic has, or a
//! single row with the newest version.

use std::collections::{BTreeMap, BTreeSet};

use crate::ordered::Ordered;
use crate::tenants::{
    inspection::LedgerRow,
    ledger::Comparison,
    manifest::{Expected, Migration},
};

/// A migration is applied if a recorded one is it or depends on it.
///
/// An unknown head hides which migrations precede it. It counts as a newer one if the manifest has the tables that prove
/// the expected migrations by themselves, or if numbers tell the order (`is_ordered`) and its number is the highest.
pub(super) fn compare(expected: &Expected, recorded: &[LedgerRow], is_ordered: bool) -> Comparison {
    let known: BTreeMap<&str, &Migration> =
        expected.migrations.iter().map(|migration| (migration.id.as_str(), migration)).into_map();
    let mut comparison = Comparison::default();
    let (mut applied, mut covered) = (BTreeSet::new(), BTreeSet::new());
    for row in recorded {
        match known.get(row.id.as_str()) {
            None => comparison.unknown.push(format!("{} {}", row.id, row.name).trim_end().to_owned()),
            Some(migration) => {
                let depends = migration.depends.iter().map(String::as_str).collect();
                let before = ancestors(&known, depends);
                if row.succeeded {
                    applied.insert(migration.id.as_str());
                } else {
                    comparison.dirty.push(migration.name.clone());
                }
                covered.extend(before.iter().copied());
                applied.extend(before);
            }
        }
    }
    let is_overlapping = |row: &&LedgerRow| covered.contains(row.id.as_str());
    comparison.duplicates = recorded.iter().filter(is_overlapping).map(|row| row.id.clone()).collect();
    let is_newer = |row: &LedgerRow| {
        (is_ordered && is_higher(&row.id, &expected.migrations)) || !expected.tables.is_empty()
    };
    if applied.is_empty()
        && comparison.dirty.is_empty()
        && !recorded.is_empty()
        && recorded.iter().all(is_newer)
    {
        return comparison;
    }
    let is_pending = |migration: &&Migration| {
        !applied.contains(migration.id.as_str()) && !comparison.dirty.contains(&migration.name)
    };
    comparison.pending =
        expected.migrations.iter().filter(is_pending).map(|migration| migration.name.clone()).collect();
    comparison
}

/// These migrations and everything that they depend on. A cycle, which no tool can apply, is visited once.
fn ancestors<'a>(known: &BTreeMap<&'a str, &'a Migration>, mut stack: Vec<&'a str>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    while let Some(id) = stack.pop() {
        if let (true, Some(migration)) = (found.insert(id), known.get(id)) {
            stack.extend(migration.depends.iter().map(String::as_str));
        }
    }
    found
}

fn is_higher(id: &str, migrations: &[Migration]) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    let highest =
        |id: u64| migrations.iter().all(|migration| number(&migration.id).is_some_and(|known| known < id));
    number(id).is_some_and(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(migrations: &[(&str, &[&str])]) -> Expected {
        let migration = |(id, depends): &(&str, &[&str])| Migration {
            id: (*id).into(),
            name: (*id).into(),
            depends: strings(depends),
            ..Migration::default()
        };
        Expected { migrations: migrations.iter().map(migration).collect(), ..Expected::default() }
    }

    fn strings(strings: &[&str]) -> Vec<String> {
        strings.iter().map(|word| (*word).to_owned()).collect()
    }

    fn rows(ids: &[&str]) -> Vec<LedgerRow> {
        let row =
            |id: &&str| LedgerRow { id: (*id).into(), name: String::new(), checksum: None, succeeded: true };
        ids.iter().map(row).collect()
    }

    #[test]
    fn heads_are_resolved_through_the_dependencies() {
        let expected = expected(&[("1a", &[]), ("2a", &["1a"]), ("2b", &["1a"]), ("3a", &["2a", "2b"])]);
        for (recorded, pending, unknown, duplicates) in [
            (&["3a"][..], &[][..], &[][..], &[][..]),
            (&["2a"], &["2b", "3a"], &[], &[]),
            (&["2a", "2b"], &["3a"], &[], &[]),
            (&["2a", "1a"], &["2b", "3a"], &[], &["1a"]),
            (&["4a"], &["1a", "2a", "2b", "3a"], &["4a"], &[]),
            (&[], &["1a", "2a", "2b", "3a"], &[], &[]),
        ] {
            let found = compare(&expected, &rows(recorded), true);
            assert_eq!(found.pending, strings(pending), "{recorded:?}");
            assert_eq!(
                (found.unknown, found.duplicates),
                (strings(unknown), strings(duplicates)),
                "{recorded:?}"
            );
        }
    }

    #[test]
    fn an_unknown_head_is_newer_only_if_its_number_or_the_tables_prove_it() {
        let mut numbered = expected(&[("1", &[]), ("2", &["1"])]);
        let found = compare(&numbered, &rows(&["3"]), true);
        assert_eq!((found.pending.len(), found.unknown), (0, strings(&["3"])));
        assert_eq!(compare(&numbered, &rows(&["3"]), false).pending, strings(&["1", "2"]));
        assert_eq!(compare(&numbered, &rows(&["0"]), true).pending, strings(&["1", "2"]));
        numbered.tables.insert("users".into(), BTreeSet::new());
        assert_eq!(compare(&numbered, &rows(&["abc"]), true).pending.len(), 0);
    }

    #[test]
    fn a_dirty_head_has_its_predecessors_applied() {
        let expected = expected(&[("1", &[]), ("2", &["1"]), ("3", &["2"])]);
        let found = compare(&expected, &[LedgerRow { succeeded: false, ..rows(&["2"]).remove(0) }], true);
        assert_eq!((found.dirty, found.pending), (strings(&["2"]), strings(&["3"])));
    }
}
