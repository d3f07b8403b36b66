//! Knex: one row for each migration file, by the file's name with its ending.
//!
//! Source: Knex 3, `lib/migrations/common/MigrationsLoader.js` (the endings) and `migrate/migration-list-resolver.js`.

use super::files::{FileLedger, by_id};
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static KNEX: FileLedger = FileLedger {
    name: "knex",
    title: "Knex",
    signatures: &[Signature {
        title: "Knex",
        table: "knex_migrations",
        columns: &["id", "name", "batch", "migration_time"],
        beside: None,
        folders: &["migrations", "db/migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"knex\", \"migrate:latest\"] }\n",
    }],
    layout: LedgerLayout::of("knex_migrations", "name"),
    files: &[
        "{id}.co",
        "{id}.coffee",
        "{id}.eg",
        "{id}.iced",
        "{id}.js",
        "{id}.cjs",
        "{id}.litcoffee",
        "{id}.ls",
        "{id}.ts",
    ],
    recorded_as: Some("{file}"),
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line: |_| None,
};
