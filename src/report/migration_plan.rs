//! `portcullis migrate --plan` as text.

use super::terminal_filter;
use crate::{
    outcome::migration_plan::{
        LockedTable, MigrationPlan, PlannedGroup, PlannedMigration, PlannedSql, PlannedStatement, RowAccess,
        TableLock, TableLockMode,
    },
    words::{count, duration, list},
};

/// The number of named tenants in a group, and of named schemas that cannot be migrated.
const NAMES: usize = 5;

pub(crate) fn text(plan: &MigrationPlan) -> String {
    let mut lines = vec![format!("release {}, {}", plan.release, plan.server)];
    if plan.groups.is_empty() {
        lines.push("nothing pending".into());
    }
    for group in &plan.groups {
        lines.push(String::new());
        lines.push(headline(group));
        lines.extend(estimate(plan, group));
        lines.extend(group.migrations.iter().flat_map(migration));
    }
    if !plan.unmigratable.is_empty() {
        let names: Vec<&String> = plan.unmigratable.keys().collect();
        lines.push(String::new());
        lines.push(format!("cannot be migrated in their current state: {}", list(&names, NAMES)));
    }
    if !plan.unfinished.is_empty() {
        lines.push(String::new());
        let names = list(&plan.unfinished, NAMES);
        lines.push(format!(
            "not in the plan, because a run creates or deletes them, or was killed meanwhile (the next run with the \
             lock then removes them): {names}"
        ));
    }
    lines.push(String::new());
    lines.push(format!("hash: {}", plan.hash()));
    lines.iter().map(|line| terminal_filter::line(line)).collect()
}

fn headline(group: &PlannedGroup) -> String {
    let migrations = count(group.migrations.len(), "migration");
    if group.is_shared() {
        return format!("the shared schema: {migrations}");
    }
    let kind = group.kind.as_ref().map(|kind| format!(" of type {kind}")).unwrap_or_default();
    let tenants = count(group.tenants.len(), "tenant");
    format!("{tenants}{kind} ({}): {migrations}", list(&group.tenants, NAMES))
}

/// The time of earlier tenants for all tenants of the group, shared among the workers.
fn estimate(plan: &MigrationPlan, group: &PlannedGroup) -> Option<String> {
    if group.is_shared() {
        return None;
    }
    let Some((tenants, average)) = group.measured else {
        return Some("  no estimate: no run has recorded the time of exactly these migrations".into());
    };
    let jobs = plan.settings["jobs"].as_u64().and_then(|jobs| usize::try_from(jobs).ok()).unwrap_or(1).max(1);
    let rounds = u32::try_from(group.tenants.len().div_ceil(jobs)).unwrap_or(u32::MAX);
    let total = duration(average.saturating_mul(rounds));
    Some(format!(
        "  estimate: {total}, because {} needed {} on average, and {jobs} run at a time",
        count(usize::try_from(tenants).unwrap_or(usize::MAX), "tenant"),
        duration(average)
    ))
}

fn migration(migration: &PlannedMigration) -> Vec<String> {
    let outside = if migration.in_transaction { "" } else { ", outside of a transaction" };
    let mut lines = vec![format!("  {}{outside}", migration.name)];
    match &migration.sql {
        PlannedSql::Unknown(command) => lines.push(format!("    SQL not known; it is applied by: {command}")),
        PlannedSql::Statements(statements) => lines.extend(statements.iter().flat_map(statement)),
    }
    lines
}

fn statement(statement: &PlannedStatement) -> Vec<String> {
    let Some(sql) = &statement.sql else {
        return vec!["    code of the project".into(), "      locks: not known".into()];
    };
    let locks = match &statement.locks {
        None => "not known".to_owned(),
        Some(locks) if locks.is_empty() => "none on an existing table".to_owned(),
        Some(locks) => locks.iter().map(lock).collect::<Vec<_>>().join("; "),
    };
    let sql = sql.lines().map(|line| format!("    {line}"));
    sql.chain([format!("      locks: {locks}")]).collect()
}

fn lock(lock: &TableLock) -> String {
    let mode = lock.mode.map_or("a mode that is not known", TableLockMode::name);
    let table = match &lock.table {
        LockedTable::Named(name) => format!("`{name}`"),
        LockedTable::Described(words) => (*words).to_owned(),
    };
    let rows = match lock.rows {
        RowAccess::None => "",
        RowAccess::MayScan => ", may scan it",
        RowAccess::Scan => ", scans it",
        RowAccess::MayRewrite => ", may rewrite it",
        RowAccess::Rewrite => ", rewrites it",
    };
    format!("{mode} on {table}{rows}")
}
