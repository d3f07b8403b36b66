//! Prisma Migrate: one row for each attempt, with the SHA-256 of `migration.sql`.
//!
//! Source: prisma-engines, `sql_migration_persistence.rs` and `migrations_directory.rs`. A row without `finished_at` is a
//! failed attempt (P3009) until `prisma migrate resolve` sets `rolled_back_at`. Both line ends have a valid checksum.

use sha2::{Digest, Sha256};

use super::files::{FileLedger, SourceFile, by_id};
use super::signature::Signature;
use crate::{
    tenants::{
        ledger::{Checksum, LedgerLayout},
        manifest::Migration,
    },
    words::hex,
};

pub(super) static PRISMA: FileLedger = FileLedger {
    name: "prisma",
    title: "Prisma",
    signatures: &[Signature {
        title: "Prisma",
        table: "_prisma_migrations",
        columns: &[
            "id",
            "checksum",
            "finished_at",
            "migration_name",
            "logs",
            "rolled_back_at",
            "started_at",
            "applied_steps_count",
        ],
        beside: None,
        folders: &["prisma/migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"prisma\", \"migrate\", \"deploy\"] }\n",
    }],
    layout: LedgerLayout {
        checksum: Some(Checksum::Text("checksum")),
        succeeded: Some("finished_at IS NOT NULL"),
        rows: Some("rolled_back_at IS NULL"),
        ..LedgerLayout::of("_prisma_migrations", "migration_name")
    },
    files: &["{id}/migration.sql"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read,
    is_atomic: true,
    read_line: |_| None,
};

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let mut migrations = by_id(files)?;
    for migration in &mut migrations {
        let Some(file) = files.iter().find(|file| file.id == migration.id) else { continue };
        let text = String::from_utf8_lossy(&file.bytes);
        let other =
            if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text.replace('\n', "\r\n") };
        migration.checksum = Some(hex(&Sha256::digest(&file.bytes)));
        migration.other_line_ends = Some(hex(&Sha256::digest(other)));
    }
    Ok(migrations)
}
