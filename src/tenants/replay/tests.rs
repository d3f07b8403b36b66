//! The verdicts on tenants that lost an app's tables, and the decisions on a replay.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;
use crate::{
    frameworks::sql::LEDGER,
    tenants::{
        gate::{Finding, Rules, Verdict, judge},
        inspection::{Inspection, LedgerRow},
        manifest::{Expected, Migration, Owner},
    },
};

/// `invoice` depends on `contacts`, whose second migration runs code.
fn manifest() -> Manifest {
    let migration = |id: &str| Migration {
        id: id.into(),
        name: id.into(),
        app: id.split_once('.').unwrap().0.into(),
        ..Migration::default()
    };
    let owner = |app: &str, model: &str| Owner { app: app.into(), model: model.into() };
    let owners = [
        ("c", owner("contacts", "contacts.Contact")),
        ("i", owner("invoice", "invoice.Invoice")),
        ("i_more", owner("invoice", "invoice.More")),
    ]
    .map(|(table, owner)| (table.to_owned(), owner));
    let tenant = Expected {
        migrations: ALL.map(migration).into(),
        tables: owners.iter().map(|(table, _)| (table.clone(), BTreeSet::new())).collect(),
        ..Expected::default()
    };
    Manifest {
        owners: owners.into(),
        depends: [("invoice".to_owned(), ["contacts".to_owned()].into())].into(),
        code: ["contacts.2".to_owned()].into(),
        ..Manifest::new(&LEDGER, Expected::default(), tenant)
    }
}

fn state(recorded: &[&str], missing: &[&str]) -> SchemaState {
    let row = |id: &&str| LedgerRow { id: (*id).into(), name: (*id).into(), checksum: None, succeeded: true };
    SchemaState::Read(SchemaSnapshot {
        ledger: recorded.iter().map(row).collect(),
        missing_tables: missing.iter().map(|table| (*table).to_owned()).collect(),
        ..SchemaSnapshot::default()
    })
}

const ALL: [&str; 4] = ["contacts.1", "contacts.2", "invoice.1", "invoice.2"];

fn shadows(tables: &[&str]) -> BTreeSet<String> {
    tables.iter().map(|table| (*table).to_owned()).collect()
}

fn judged(state: SchemaState, copies: &[&str]) -> Verdict {
    let tenants = BTreeMap::from([("acme".to_owned(), state)]);
    let found = Inspection { tenants, registered: 1, shadows: shadows(copies), ..Inspection::default() };
    let mut judgement = judge(&manifest(), &found, Rules { ahead_blocks: false, at_least: 0 });
    judgement.tenants.remove("acme").unwrap()
}

fn replayed(
    app: &str,
    state: &SchemaState,
    copies: &[&str],
    allow_code: bool,
) -> Result<Vec<String>, Refusal> {
    let manifest = manifest();
    may_replay(&manifest, &manifest.tenant.tables, app, state, &shadows(copies), allow_code)
}

#[test]
fn a_lost_table_is_reported_in_addition_to_another_apps_pending_migrations() {
    let verdict = judged(state(&["contacts.1", "contacts.2", "invoice.1"], &["c", "i_more"]), &[]);
    let missing = Finding::MissingTables { tables: vec!["c".into()], dropped_by_newer: false };
    assert!(verdict.findings.contains(&missing), "{verdict:?}");
    let models = verdict.findings.iter().filter(|finding| matches!(finding, Finding::Models { .. }));
    assert_eq!(models.count(), 1, "a table of a pending migration is not missing: {verdict:?}");
    assert!(verdict.may_be_migrated());
}

#[test]
fn a_pending_migration_is_not_applied_if_it_would_change_the_shared_schemas_table() {
    let moved = judged(state(&["contacts.1", "invoice.1", "invoice.2"], &["c"]), &["c"]);
    assert!(moved.is_pending() && !moved.may_be_migrated(), "{moved:?}");
    assert!(moved.findings.iter().any(|finding| matches!(finding, Finding::Models { all_tables: true, .. })));
    let fresh = judged(state(&["invoice.1", "invoice.2"], &["c"]), &["c"]);
    assert!(fresh.may_be_migrated(), "the app's first migration creates the table: {fresh:?}");
}

#[test]
fn of_two_lost_apps_the_dependency_is_replayed_first() {
    let lost = state(&ALL, &["c", "i", "i_more"]);
    assert_eq!(replayed("invoice", &lost, &[], false), Err(Refusal::After(vec!["contacts".into()])));
    assert_eq!(replayed("contacts", &lost, &["c"], true), Ok(vec!["c".into()]));
    let verdict = judged(lost, &[]);
    let after: Vec<_> = verdict
        .findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Models { app, after, .. } => Some((app.as_str(), after.len())),
            _ => None,
        })
        .collect();
    assert_eq!(after, [("contacts", 0), ("invoice", 1)]);
}

#[test]
fn two_lost_apps_that_depend_on_each_other_are_both_refused() {
    let mut manifest = manifest();
    manifest.depends.insert("contacts".into(), BTreeSet::from(["invoice".to_owned()]));
    let lost = state(&ALL, &["c", "i", "i_more"]);
    for (app, other) in [("contacts", "invoice"), ("invoice", "contacts")] {
        let result = may_replay(&manifest, &manifest.tenant.tables, app, &lost, &BTreeSet::new(), true);
        assert_eq!(result, Err(Refusal::Circle(vec![other.into()])));
    }
    let one = state(&ALL, &["c"]);
    let result = may_replay(&manifest, &manifest.tenant.tables, "contacts", &one, &BTreeSet::new(), true);
    assert_eq!(result, Ok(vec![]));
}

#[test]
fn an_app_that_was_applied_once_is_replayed_despite_pending_migrations() {
    let behind = state(&["contacts.1", "contacts.2", "invoice.1"], &["i", "i_more"]);
    assert_eq!(replayed("invoice", &behind, &[], false), Ok(vec![]));
    let other = state(&["contacts.1", "invoice.1", "invoice.2"], &["i", "i_more"]);
    assert_eq!(replayed("invoice", &other, &[], false), Ok(vec![]));
    let never = state(&["contacts.1", "contacts.2"], &["i", "i_more"]);
    let pending = Refusal::Pending(vec!["invoice.1".into(), "invoice.2".into()]);
    assert_eq!(replayed("invoice", &never, &[], false), Err(pending));
}

#[test]
fn existing_tables_custom_code_and_unknown_apps_are_refused() {
    assert_eq!(replayed("invoice", &state(&ALL, &[]), &[], false), Err(Refusal::NothingMissing));
    let existing = Err(Refusal::TablesExist(vec!["i_more".into()]));
    assert_eq!(replayed("invoice", &state(&ALL, &["i"]), &[], false), existing);
    let code = Err(Refusal::Code(vec!["contacts.2".into()]));
    assert_eq!(replayed("contacts", &state(&ALL, &["c"]), &[], false), code);
    assert_eq!(replayed("nonsense", &state(&ALL, &["c"]), &[], false), Err(Refusal::NoSuchApp));
    assert_eq!(replayed("invoice", &SchemaState::NoSchema, &[], false), Err(Refusal::NoLedger));
}
