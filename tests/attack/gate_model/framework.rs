//! A framework as the model knows it: its files, its ledger, and the row of a migration.

use super::{
    model::State,
    node::{DRIZZLE, KNEX, NODE_PG_MIGRATE, PRISMA, SEQUELIZE, TYPEORM},
    python::ALEMBIC,
    rust::SQL,
};

/// The number of migrations; each creates a table with the columns `a` and `b`.
pub const MIGRATIONS: usize = 4;

#[expect(clippy::struct_excessive_bools, reason = "each is a separate property of a ledger")]
pub struct Framework {
    pub name: &'static str,
    /// The paths and the texts of the migrations.
    pub files: fn() -> Vec<(String, String)>,
    /// The ledger's table with its columns.
    pub ledger: &'static str,
    /// The columns and the values of a row: the number, the identifier, the checksum, the state.
    pub row: fn(usize, &str, &str, State) -> String,
    /// The identifier of a migration that no file has.
    pub unknown: &'static str,
    pub has_checksum: bool,
    pub has_failures: bool,
    /// Attempts that do not count have rows.
    pub has_attempts: bool,
    /// Only the newest migration has a row.
    pub has_heads: bool,
}

/// A row for each applied migration, and nothing else.
pub const PLAIN: Framework = Framework {
    name: "",
    files: Vec::new,
    ledger: "",
    row: |_, _, _, _| String::new(),
    unknown: "unknown",
    has_checksum: false,
    has_failures: false,
    has_attempts: false,
    has_heads: false,
};

pub const FRAMEWORKS: [&Framework; 8] =
    [&SQL, &ALEMBIC, &PRISMA, &DRIZZLE, &TYPEORM, &KNEX, &SEQUELIZE, &NODE_PG_MIGRATE];

/// A file for each migration.
pub fn each(file: fn(usize) -> (String, String)) -> Vec<(String, String)> {
    (0..MIGRATIONS).map(file).collect()
}

/// The statement that migration `k` runs.
pub fn table(k: usize) -> String {
    format!("CREATE TABLE m{k} (a int, b int);\n")
}
