//! Kysely: one row for each migration file, by the file's name without its ending.
//!
//! Source: Kysely 0.29, `migration/file-migration-provider.ts`; kysely-ctl 0.21, `TSFileMigrationProvider`.

use super::files::{FileLedger, by_id};
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static KYSELY: FileLedger = FileLedger {
    name: "kysely",
    title: "Kysely",
    signatures: &[Signature {
        title: "Kysely",
        table: "kysely_migration",
        columns: &["name", "timestamp"],
        beside: None,
        folders: &["migrations", "src/migrations", "db/migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"kysely\", \"migrate:latest\"] }\n",
    }],
    layout: LedgerLayout::of("kysely_migration", "name"),
    files: &[
        "{id}.js",
        "{id}.ts",
        "{id}.mjs",
        "{id}.mts",
        "{id}.cjs",
        "{id}.cts",
        "!{id}.d.ts",
        "!{id}.d.mts",
        "!{id}.d.cts",
    ],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line: |_| None,
};
