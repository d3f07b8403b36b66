//! node-pg-migrate: one row for each migration file, by the file's name without its ending.
//!
//! Source: node-pg-migrate 9, `Migration` (the name is the path's `basename` without its `extname`).

use super::files::{FileLedger, by_id};
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static NODE_PG_MIGRATE: FileLedger = FileLedger {
    name: "node-pg-migrate",
    title: "node-pg-migrate",
    signatures: &[Signature {
        title: "node-pg-migrate",
        table: "pgmigrations",
        columns: &["id", "name", "run_on"],
        beside: None,
        folders: &["migrations"],
        lines: "apply = { run = [\"node-pg-migrate\", \"up\", \"--schema\", \"{schema}\", \"--migrations-schema\", \"{schema}\"] }\n",
    }],
    layout: LedgerLayout::of("pgmigrations", "name"),
    files: &[
        "{id}.sql",
        "{id}.js",
        "{id}.cjs",
        "{id}.mjs",
        "{id}.ts",
        "{id}.cts",
        "{id}.mts",
        "!{id}.up.sql",
        "!{id}.down.sql",
    ],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line: |_| None,
};
