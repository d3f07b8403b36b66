//! A framework as the model knows it: its files, its ledger, and the row of a migration.

use super::{
    custom::{FLYWAY, GOLANG_MIGRATE},
    model::State,
    node::{DRIZZLE, KNEX, KYSELY, MIKRO_ORM, NODE_PG_MIGRATE, PRISMA, SEQUELIZE, TYPEORM},
    others::{DBMATE, LARAVEL, RAILS},
    python::{ALEMBIC, DJANGO_5, DJANGO_6},
    rust::{DIESEL, REFINERY, SEA_ORM, SQL},
};

/// The number of migrations; each creates a table with the columns `a` and `b`.
pub const MIGRATIONS: usize = 4;

#[expect(clippy::struct_excessive_bools, reason = "each is a separate property of a ledger")]
pub struct Framework {
    /// The value of `framework` in the configuration.
    pub name: &'static str,
    pub title: &'static str,
    /// Lines of `[migrations]`: the folders and the ledger.
    pub settings: &'static str,
    /// The command that writes the manifest; None if the manifest is one of the files.
    pub manifest: Option<&'static str>,
    /// The paths and the texts of the files.
    pub files: fn() -> Vec<(String, String)>,
    /// The ledger's table with its columns.
    pub ledger: &'static str,
    /// The columns and the values of a row: the number, the identifier, the checksum, the state.
    pub row: fn(usize, &str, &str, State) -> String,
    /// The identifier of a migration that the code does not have.
    pub unknown: &'static str,
    /// The identifier of one that the code no longer has, and that does not count.
    pub ignored: Option<&'static str>,
    pub has_checksum: bool,
    pub has_failures: bool,
    /// Attempts that do not count have rows.
    pub has_attempts: bool,
    /// Only the newest migration has a row.
    pub has_heads: bool,
    /// The manifest has the tables of each migration.
    pub has_creations: bool,
    /// The manifest has the app of each table.
    pub has_apps: bool,
}

/// A row for each applied migration, and nothing else.
pub const PLAIN: Framework = Framework {
    name: "",
    title: "",
    settings: "tenant = \"migrations\"",
    manifest: Some("files"),
    files: Vec::new,
    ledger: "",
    row: |_, id, _, _| format!("VALUES ('{id}')"),
    unknown: "unknown",
    ignored: None,
    has_checksum: false,
    has_failures: false,
    has_attempts: false,
    has_heads: false,
    has_creations: false,
    has_apps: false,
};

pub const FRAMEWORKS: &[&Framework] = &[
    &SQL,
    &DJANGO_5,
    &DJANGO_6,
    &ALEMBIC,
    &PRISMA,
    &DRIZZLE,
    &TYPEORM,
    &KNEX,
    &SEQUELIZE,
    &NODE_PG_MIGRATE,
    &KYSELY,
    &MIKRO_ORM,
    &DBMATE,
    &RAILS,
    &LARAVEL,
    &REFINERY,
    &DIESEL,
    &SEA_ORM,
    &FLYWAY,
    &GOLANG_MIGRATE,
];

/// A file for each migration.
pub fn each(file: fn(usize) -> (String, String)) -> Vec<(String, String)> {
    (0..MIGRATIONS).map(file).collect()
}

/// The statement that migration `k` runs.
pub fn table(k: usize) -> String {
    format!("CREATE TABLE m{k} (a int, b int);\n")
}
