//! The SQL that makes a tenant as the model describes it: its ledger, its tables and its views.

use super::{
    framework::{self, Framework},
    model::{IGNORED, Presence, State, Table, Tenant, UNKNOWN},
    runner::Migration,
};

/// The statements for one tenant, whose schema is the current one.
pub fn make(framework: &Framework, tenant: &Tenant, migrations: &[Migration]) -> String {
    let mut sql = String::new();
    if tenant.presence == Presence::Whole {
        sql += &format!("CREATE TABLE {};", framework.ledger);
        for (number, state, altered) in &tenant.rows {
            let Migration { id, checksum, .. } = &migrations[*number];
            let checksum = if *altered { checksum.chars().rev().collect() } else { checksum.clone() };
            sql += &insert(framework, *number, id, &checksum, *state);
        }
        let others = [(UNKNOWN, tenant.unknown.then_some(framework.unknown)), (IGNORED, tenant.ignored)];
        for (number, id) in others {
            sql += &id.map_or_else(String::new, |id| insert(framework, number, id, "ab", State::Applied));
        }
    }
    for (k, table) in tenant.tables.iter().enumerate() {
        sql += &match table {
            Table::Whole => framework::table(k),
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
