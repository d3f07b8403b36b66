//! Whether an app's migrations may be run again for a tenant whose ledger says that they were. Pure.

use std::collections::BTreeSet;

use super::{
    inspection::{SchemaSnapshot, SchemaState},
    manifest::{Depends, Manifest, Tables},
};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The manifest does not say which tables belong to which app.
    NoApps,
    /// No table of such an app is expected of a tenant.
    NoSuchApp,
    /// The schema or its ledger is not there, or could not be read.
    NoLedger,
    /// None of them was ever applied, and plain migrating applies them.
    Pending(Vec<String>),
    /// They stand on migrations of these apps, which have lost tables too.
    After(Vec<String>),
    /// The same, and those stand on these: neither can come first.
    Circle(Vec<String>),
    /// None of its tables is missing.
    NothingMissing,
    /// Some of its tables are there, and running everything again would fail on them.
    TablesExist(Vec<String>),
    /// Migrations that run code of their own, which may not bear to be run again.
    Code(Vec<String>),
    /// Migrations that cannot be part of one transaction.
    NotAtomic(Vec<String>),
}

/// The app's tables that the shared schema has copies of, if its migrations may be run again.
pub(crate) fn may_replay(
    manifest: &Manifest,
    tables: &Tables,
    app: &str,
    state: &SchemaState,
    shadows: &BTreeSet<String>,
    allow_code: bool,
) -> Result<Vec<String>, Refusal> {
    if !manifest.has_apps() {
        return Err(Refusal::NoApps);
    }
    let of_app: BTreeSet<&String> =
        tables.keys().filter(|table| manifest.app_of_table(table) == Some(app)).collect();
    if of_app.is_empty() {
        return Err(Refusal::NoSuchApp);
    }
    let SchemaState::Read(SchemaSnapshot { ledger, missing_tables, .. }) = state else {
        return Err(Refusal::NoLedger);
    };
    let recorded = |app: &str| ledger.iter().any(|row| is_of(app, &row.id));
    if !recorded(app) {
        let pending = manifest.framework.compare(&manifest.tenant, ledger).pending;
        return Err(Refusal::Pending(pending.into_iter().filter(|id| is_of(app, id)).collect()));
    }
    let standing: Vec<String> = of_app
        .iter()
        .filter(|table| !missing_tables.contains(**table))
        .map(|table| (*table).clone())
        .collect();
    if standing.len() == of_app.len() {
        return Err(Refusal::NothingMissing);
    }
    if !standing.is_empty() {
        return Err(Refusal::TablesExist(standing));
    }
    let lost: BTreeSet<&str> = tables
        .keys()
        .filter(|table| missing_tables.contains(*table))
        .filter_map(|table| manifest.app_of_table(table))
        .filter(|app| recorded(app))
        .collect();
    let after = stands_on(&manifest.depends, app, &lost);
    let circle: Vec<String> =
        after.iter().filter(|other| reaches(&manifest.depends, other, app, &lost)).cloned().collect();
    if !circle.is_empty() {
        return Err(Refusal::Circle(circle));
    }
    if !after.is_empty() {
        return Err(Refusal::After(after));
    }
    let of =
        |ids: &BTreeSet<String>| -> Vec<String> { ids.iter().filter(|id| is_of(app, id)).cloned().collect() };
    match (of(&manifest.not_atomic), of(&manifest.code)) {
        (not_atomic, _) if !not_atomic.is_empty() => Err(Refusal::NotAtomic(not_atomic)),
        (_, code) if !code.is_empty() && !allow_code => Err(Refusal::Code(code)),
        _ => Ok(of_app.into_iter().filter(|table| shadows.contains(*table)).cloned().collect()),
    }
}

/// Which of these apps an app's migrations stand on at once.
fn stands_on(depends: &Depends, app: &str, among: &BTreeSet<&str>) -> Vec<String> {
    let of_app = depends.get(app).into_iter().flatten();
    of_app.filter(|other| among.contains(other.as_str())).cloned().collect()
}

/// Whether an app's migrations stand on those of another in the end.
fn reaches(depends: &Depends, from: &str, to: &str, among: &BTreeSet<&str>) -> bool {
    let mut snapshot = BTreeSet::new();
    let mut left = vec![from.to_owned()];
    while let Some(app) = left.pop() {
        if app == to {
            return true;
        }
        if snapshot.insert(app.clone()) {
            left.extend(stands_on(depends, &app, among));
        }
    }
    false
}

/// Whether a migration such as `finance.0001_initial` is one of the app's.
pub(crate) fn is_of(app: &str, migration: &str) -> bool {
    migration.split_once('.').is_some_and(|(of, _)| of == app)
}

#[cfg(test)]
mod tests;
