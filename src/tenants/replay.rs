//! Decides whether an app's recorded migrations may be run again for a tenant. Pure.

use std::collections::BTreeSet;

use super::{
    inspection::{SchemaSnapshot, SchemaState},
    manifest::{Depends, Manifest, Tables},
};

use crate::ordered::Ordered;

/// The reason why a replay is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The manifest does not assign tables to apps.
    NoApps,
    /// A tenant has no expected table of such an app.
    NoSuchApp,
    /// The schema or its ledger does not exist or could not be read.
    NoLedger,
    /// None of the migrations was ever applied; an ordinary migration applies them.
    Pending(Vec<String>),
    /// They depend on migrations of these apps, which have lost tables, too.
    After(Vec<String>),
    /// The same, and those apps depend on this one: neither can be replayed first.
    Circle(Vec<String>),
    /// None of its tables is missing.
    NothingMissing,
    /// Some of its tables exist, on which the migrations would fail.
    TablesExist(Vec<String>),
    /// Migrations with custom code, which may not be safe to run again.
    Code(Vec<String>),
    /// Migrations that cannot run in one transaction.
    NotAtomic(Vec<String>),
}

/// The app's tables that also exist in the shared schema, if its migrations may be run again.
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
        tables.keys().filter(|table| manifest.app_of_table(table) == Some(app)).into_set();
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
    let existing: Vec<String> = of_app
        .iter()
        .filter(|table| !missing_tables.contains(**table))
        .map(|table| (*table).clone())
        .collect();
    if existing.len() == of_app.len() {
        return Err(Refusal::NothingMissing);
    }
    if !existing.is_empty() {
        return Err(Refusal::TablesExist(existing));
    }
    let lost: BTreeSet<&str> = tables
        .keys()
        .filter(|table| missing_tables.contains(*table))
        .filter_map(|table| manifest.app_of_table(table))
        .filter(|app| recorded(app))
        .into_set();
    let after = dependencies_in(&manifest.depends, app, &lost);
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

/// The app's direct dependencies that are in `apps`.
fn dependencies_in(depends: &Depends, app: &str, apps: &BTreeSet<&str>) -> Vec<String> {
    let of_app = depends.get(app).into_iter().flatten();
    of_app.filter(|other| apps.contains(other.as_str())).cloned().collect()
}

/// Whether an app's migrations depend on those of another app, directly or indirectly.
fn reaches(depends: &Depends, from: &str, to: &str, apps: &BTreeSet<&str>) -> bool {
    let mut visited = BTreeSet::new();
    let mut stack = vec![from.to_owned()];
    while let Some(app) = stack.pop() {
        if app == to {
            return true;
        }
        if visited.insert(app.clone()) {
            stack.extend(dependencies_in(depends, &app, apps));
        }
    }
    false
}

/// Whether a migration such as `finance.0001_initial` belongs to the app.
pub(crate) fn is_of(app: &str, migration: &str) -> bool {
    migration.split_once('.').is_some_and(|(of, _)| of == app)
}

#[cfg(test)]
mod tests;
