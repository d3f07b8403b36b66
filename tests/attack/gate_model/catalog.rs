//! The SQL that makes a tenant as the model describes it: its ledger, its tables and its views.

use super::{
    framework::Framework,
    model::{State, Table, Tenant},
    runner::Migration,
};

/// The statements for one tenant, whose schema is current.
pub fn make(framework: &Framework, tenant: &Tenant, migrations: &[Migration]) -> String {
    let mut sql = String::new();
    if tenant.ledger {
        sql += &format!("CREATE TABLE {};", framework.ledger);
        for (number, state, altered) in &tenant.rows {
            let Migration { id, checksum, .. } = &migrations[*number];
            let checksum = if *altered { checksum.chars().rev().collect() } else { checksum.clone() };
            sql += &insert(framework, *number, id, &checksum, *state);
        }
        if tenant.unknown {
            sql += &insert(framework, 9, framework.unknown, "ab", State::Applied);
        }
    }
    for (k, table) in tenant.tables.iter().enumerate() {
        sql += &match table {
            Table::Whole => super::framework::table(k),
            Table::Absent => String::new(),
            Table::WithoutColumn => format!("CREATE TABLE m{k} (a int);"),
            Table::View => format!("CREATE VIEW m{k} AS SELECT 1 AS a, 2 AS b;"),
        };
    }
    sql
}

/// The statement that records a migration.
pub fn insert(framework: &Framework, number: usize, id: &str, checksum: &str, state: State) -> String {
    let (table, _) = framework.ledger.split_once(' ').unwrap();
    format!("INSERT INTO {table} {};", (framework.row)(number, id, checksum, state))
}
