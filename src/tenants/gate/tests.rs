//! Tests the truth table of `docs/gate.md` row by row, and the properties of every judgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::{
    frameworks::sql::LEDGER as SQL,
    tenants::{
        inspection::{InvalidIndex, LedgerRow, OtherKind},
        manifest::{Kind, Migration},
    },
};

mod judgement;

const RULES: Rules = Rules { ahead_blocks: false, at_least: 0 };

fn migration(id: u32) -> Migration {
    Migration {
        id: id.to_string(),
        name: format!("{id} migration"),
        checksum: Some(format!("{id:02x}")),
        ..Migration::default()
    }
}

fn expected() -> Expected {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Expected {
        migrations: vec![migration(1), migration(2), migration(3)],
        tables: BTreeMap::from([("finance_invoice".to_owned(), columns(&["id", "total"]))]),
        ..Expected::default()
    }
}

fn row(id: u32) -> LedgerRow {
    LedgerRow {
        id: id.to_string(),
        name: "migration".into(),
        checksum: Some(format!("{id:02x}")),
        succeeded: true,
    }
}

fn snapshot(rows: &[u32]) -> SchemaSnapshot {
    SchemaSnapshot { ledger: rows.iter().map(|id| row(*id)).collect(), ..SchemaSnapshot::default() }
}

fn rows(snapshot: &mut SchemaSnapshot) -> &mut [LedgerRow] {
    Arc::make_mut(&mut snapshot.ledger)
}

fn judged(state: &SchemaState) -> Verdict {
    judge_schema(&manifest(), &expected(), state, RULES)
}

fn assert_judged(sentence: &str, state: &SchemaState, outcome: Outcome, kind: fn(&Finding) -> bool) {
    let verdict = judged(state);
    assert_eq!(verdict.outcome(), outcome, "{sentence}: {verdict:?}");
    assert!(verdict.findings.iter().any(kind), "{sentence}: {verdict:?}");
}

#[test]
fn a_complete_schema_has_no_findings() {
    assert_eq!(judged(&SchemaState::Read(snapshot(&[1, 2, 3]))), Verdict::default());
}

#[test]
fn tenants_with_equal_ledgers_share_the_list_of_their_pending_migrations() {
    let state = SchemaState::Read(snapshot(&[1]));
    let tenants = ["a", "b"].map(|name| (name.to_owned(), state.clone())).into();
    let judgement =
        judge(&manifest(), &Inspection { tenants, registered: 2, ..Inspection::default() }, RULES);
    let lists: Vec<_> = judgement
        .tenants
        .values()
        .flat_map(|verdict| &verdict.findings)
        .filter_map(|finding| match finding {
            Finding::Pending { migrations } => Some(migrations),
            _ => None,
        })
        .collect();
    let [a, b] = lists.as_slice() else { unreachable!("two tenants: {lists:?}") };
    assert_eq!(***a, ["2 migration", "3 migration"]);
    assert!(Arc::ptr_eq(a, b));
}

#[test]
fn each_row_of_the_truth_table_holds() {
    let table = |name: &str| BTreeSet::from([name.to_owned()]);
    let with = |rows: &[u32], change: fn(&mut SchemaSnapshot)| {
        let mut snapshot = snapshot(rows);
        change(&mut snapshot);
        SchemaState::Read(snapshot)
    };
    let index = |unique| InvalidIndex { name: "i".into(), table: "finance_invoice".into(), unique };

    assert_judged("no schema", &SchemaState::NoSchema, Outcome::Incomplete, |f| {
        matches!(f, Finding::NoSchema)
    });
    assert_judged(
        "no ledger",
        &SchemaState::NoLedger { tables: BTreeSet::new() },
        Outcome::Incomplete,
        |f| matches!(f, Finding::NoLedger { .. }),
    );
    assert_judged(
        "the last one is pending",
        &SchemaState::Read(snapshot(&[1, 2])),
        Outcome::Incomplete,
        |f| *f == Finding::Pending { migrations: vec!["3 migration".into()].into() },
    );
    assert_judged(
        "a gap below later ones is pending",
        &SchemaState::Read(snapshot(&[1, 3])),
        Outcome::Incomplete,
        |f| *f == Finding::Pending { migrations: vec!["2 migration".into()].into() },
    );
    assert_judged(
        "recorded as failed",
        &with(&[1, 2, 3], |s| rows(s)[1].succeeded = false),
        Outcome::Incomplete,
        |f| *f == Finding::Dirty { migrations: vec!["2 migration".into()].into() },
    );
    assert_judged(
        "recorded as failed and unknown",
        &with(&[1, 2, 3, 9], |s| rows(s)[3].succeeded = false),
        Outcome::Incomplete,
        |f| matches!(f, Finding::Dirty { .. }),
    );
    assert_judged(
        "another checksum",
        &with(&[1, 2, 3], |s| rows(s)[0].checksum = Some("ff".into())),
        Outcome::Incomplete,
        |f| *f == Finding::Altered { migrations: vec!["1 migration".into()].into(), line_ends_alone: false },
    );
    assert_judged(
        "no checksum",
        &with(&[1, 2, 3], |s| rows(s)[0].checksum = None),
        Outcome::Incomplete,
        |f| matches!(f, Finding::Altered { .. }),
    );
    assert_judged(
        "unknown and pending",
        &SchemaState::Read(snapshot(&[1, 2, 9])),
        Outcome::Incomplete,
        |f| *f == Finding::Diverged { unknown: vec!["9 migration".into()].into() },
    );
    assert_judged(
        "unknown and nothing pending",
        &SchemaState::Read(snapshot(&[1, 2, 3, 9])),
        Outcome::Complete,
        |f| *f == Finding::Ahead { unknown: vec!["9 migration".into()].into(), blocks: false },
    );
    assert_judged("recorded twice", &SchemaState::Read(snapshot(&[1, 2, 3, 3])), Outcome::Complete, |f| {
        matches!(f, Finding::Duplicate { .. })
    });
    assert_judged("no privilege", &SchemaState::Failed("denied".into()), Outcome::Unproven, |f| {
        matches!(f, Finding::Unreadable { .. })
    });
    assert_judged("vanished", &SchemaState::Vanished, Outcome::Unproven, |f| matches!(f, Finding::Vanished));

    let view = OtherKind { table: "finance_invoice".into(), expected: Kind::Table, found: Kind::View };
    let with_view = SchemaSnapshot { other_kinds: vec![view], ..snapshot(&[1, 2, 3]) };
    assert_judged("a view where the table was", &SchemaState::Read(with_view), Outcome::Incomplete, |f| {
        matches!(f, Finding::OtherKind { found: Kind::View, .. })
    });
    let mut lying = snapshot(&[1, 2, 3]);
    lying.missing_tables = table("finance_invoice");
    assert_judged("a lying ledger", &SchemaState::Read(lying.clone()), Outcome::Incomplete, |f| {
        matches!(f, Finding::MissingTables { dropped_by_newer: false, .. })
    });
    lying.ledger = lying.ledger.iter().cloned().chain([row(9)]).collect();
    assert_judged("ahead and a table missing", &SchemaState::Read(lying), Outcome::Incomplete, |f| {
        matches!(f, Finding::MissingTables { dropped_by_newer: true, .. })
    });
    let mut column = snapshot(&[1, 2, 3]);
    column.missing_columns = BTreeMap::from([("finance_invoice".to_owned(), table("total"))]);
    assert_judged("a column missing", &SchemaState::Read(column), Outcome::Incomplete, |f| {
        matches!(f, Finding::MissingColumns { .. })
    });
    for (unique, outcome) in [(true, Outcome::Incomplete), (false, Outcome::Complete)] {
        let state = SchemaSnapshot { invalid_indexes: vec![index(unique)], ..snapshot(&[1, 2, 3]) };
        assert_judged("an invalid index", &SchemaState::Read(state), outcome, |f| {
            matches!(f, Finding::InvalidIndex { .. })
        });
    }
}

#[test]
fn a_schema_without_a_ledger_is_complete_only_if_nothing_is_expected() {
    let without_ledger = SchemaState::NoLedger { tables: BTreeSet::new() };
    let migrations = Expected { tables: BTreeMap::new(), ..expected() };
    let tables = Expected { migrations: Vec::new(), ..expected() };
    for (expected, outcome) in [
        (Expected::default(), Outcome::Complete),
        (migrations, Outcome::Incomplete),
        (tables, Outcome::Incomplete),
    ] {
        let verdict = judge_schema(&manifest(), &expected, &without_ledger, RULES);
        assert_eq!(verdict.outcome(), outcome, "{expected:?}");
    }
}

#[test]
fn a_database_ahead_of_the_code_closes_the_gate_if_configured() {
    let rules = Rules { ahead_blocks: true, ..RULES };
    let verdict = judge_schema(&manifest(), &expected(), &SchemaState::Read(snapshot(&[1, 2, 3, 9])), rules);
    assert_eq!(verdict.outcome(), Outcome::Incomplete);
}

fn manifest() -> Manifest {
    Manifest::new(&SQL, Expected::default(), expected())
}

fn found(tenants: &[(&str, SchemaState)]) -> Inspection {
    Inspection {
        tenants: tenants.iter().map(|(name, state)| ((*name).to_owned(), state.clone())).collect(),
        registered: tenants.len(),
        ..Inspection::default()
    }
}

#[test]
fn a_tenant_that_is_not_registered_is_incomplete() {
    let mut found = found(&[("acme", SchemaState::Read(snapshot(&[1, 2, 3])))]);
    found.unregistered.insert("demo".into());
    let judgement = judge(&manifest(), &found, RULES);
    assert_eq!(judgement.outcome(), Outcome::Incomplete);
    assert_eq!(judgement.tenants["demo"].findings, [Finding::NotRegistered]);
}

#[test]
fn a_registry_with_too_few_rows_is_unproven() {
    let found = found(&[("acme", SchemaState::Read(snapshot(&[1, 2, 3])))]);
    let judgement = judge(&manifest(), &found, Rules { at_least: 2, ..RULES });
    assert_eq!(judgement.too_few, Some((1, 2)));
    assert_eq!(judgement.outcome(), Outcome::Unproven);
    let judgement = judge(&manifest(), &found, Rules { at_least: 1, ..RULES });
    assert_eq!(judgement, Judgement { too_few: None, ..judge(&manifest(), &found, RULES) });
}

#[test]
fn incomplete_is_worse_than_unproven_and_both_are_listed() {
    let found = found(&[("acme", SchemaState::Failed("denied".into())), ("demo", SchemaState::NoSchema)]);
    let judgement = judge(&manifest(), &found, RULES);
    assert_eq!(judgement.outcome(), Outcome::Incomplete);
    assert_eq!(judgement.count(Outcome::Unproven), 1);
    assert_eq!(judgement.count(Outcome::Incomplete), 1);
}

fn any_state() -> impl Strategy<Value = SchemaState> {
    let ledger = prop::collection::vec((1u32..6, any::<bool>(), any::<bool>()), 0..6);
    let snapshot = (ledger, any::<bool>(), any::<bool>()).prop_map(|(rows, table, unique)| {
        SchemaState::Read(SchemaSnapshot {
            ledger: rows
                .into_iter()
                .map(|(id, succeeded, same)| LedgerRow {
                    checksum: Some(if same { format!("{id:02x}") } else { "ff".into() }),
                    succeeded,
                    ..row(id)
                })
                .collect(),
            missing_tables: if table {
                BTreeSet::from(["finance_invoice".to_owned()])
            } else {
                BTreeSet::new()
            },
            missing_columns: BTreeMap::new(),
            other_kinds: Vec::new(),
            invalid_indexes: vec![InvalidIndex { name: "i".into(), table: "t".into(), unique }],
            structure: None,
        })
    });
    prop_oneof![
        4 => snapshot,
        1 => Just(SchemaState::NoSchema),
        1 => Just(SchemaState::NoLedger { tables: BTreeSet::new() }),
        1 => Just(SchemaState::Failed("denied".into())),
        1 => Just(SchemaState::Vanished),
    ]
}

proptest! {
    /// An independent second definition of complete.
    #[test]
    fn a_schema_is_complete_only_if_everything_is_recorded_as_successful_and_exists(state in any_state()) {
        let complete = match &state {
            SchemaState::Read(snapshot) => {
                expected().migrations.iter().all(|migration| {
                    let mut rows = snapshot.ledger.iter().filter(|row| row.id == migration.id).peekable();
                    rows.peek().is_some() && rows.all(|row| row.succeeded && row.checksum == migration.checksum)
                }) && snapshot.ledger.iter().all(|row| row.succeeded)
                    && snapshot.missing_tables.is_empty()
                    && !snapshot.invalid_indexes.iter().any(|index| index.unique)
            }
            _ => false,
        };
        prop_assert_eq!(judged(&state).outcome() == Outcome::Complete, complete);
    }

    #[test]
    fn one_tenant_that_is_not_complete_closes_the_gate(
        states in prop::collection::vec(any_state(), 1..6),
    ) {
        let names: Vec<String> = (0..states.len()).map(|n| format!("t{n}")).collect();
        let tenants: Vec<_> = names.iter().map(String::as_str).zip(states.iter().cloned()).collect();
        let judgement = judge(&manifest(), &found(&tenants), RULES);
        let worst = states.iter().map(|state| judged(state).outcome()).max().unwrap_or(Outcome::Complete);
        prop_assert_eq!(judgement.outcome(), worst);
        prop_assert_eq!(judgement.tenants.len(), states.len());
    }

    #[test]
    fn a_tenant_that_may_be_migrated_has_its_schema_and_ledger(state in any_state()) {
        let verdict = judged(&state);
        if verdict.is_pending() && verdict.may_be_migrated() {
            prop_assert!(matches!(state, SchemaState::Read(_)));
        }
    }
}
