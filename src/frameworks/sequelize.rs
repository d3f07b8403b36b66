//! Sequelize's command line: one row for each migration file, by the file's name with its ending.
//!
//! Source: sequelize-cli 6, `lib/core/migrator.js` (the pattern).

use super::files::{FileLedger, by_id};
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static SEQUELIZE: FileLedger = FileLedger {
    name: "sequelize",
    title: "Sequelize",
    signatures: &[Signature {
        title: "Sequelize",
        table: "SequelizeMeta",
        columns: &["name"],
        beside: None,
        folders: &["migrations", "db/migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"sequelize-cli\", \"db:migrate\"] }\n",
    }],
    layout: LedgerLayout::of("SequelizeMeta", "name"),
    files: &["{id}.js", "{id}.cjs", "{id}.ts", "{id}.cts", "!{id}.d.ts"],
    recorded_as: Some("{file}"),
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: false,
    read_line: |_| None,
};
