//! Drizzle: one row for each entry of `meta/_journal.json`, by the entry's time, with the SHA-256 of its SQL file.
//!
//! Source: drizzle-orm 0.45, `migrator.ts` (the hash) and `pg-core/dialect.ts`. Drizzle applies only entries that are
//! newer than the newest row. An older entry without a row stays pending.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::files::{FileLedger, SourceFile};
use super::signature::Signature;
use crate::{
    tenants::{
        ledger::{Checksum, LedgerLayout},
        manifest::Migration,
    },
    words::hex,
};

pub(super) static DRIZZLE: FileLedger = FileLedger {
    name: "drizzle",
    title: "Drizzle",
    signatures: &[Signature {
        title: "Drizzle",
        table: "__drizzle_migrations",
        columns: &["id", "hash", "created_at"],
        beside: None,
        folders: &["drizzle", "migrations"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"drizzle-kit\", \"migrate\"] }\n",
    }],
    layout: LedgerLayout {
        checksum: Some(Checksum::Text("hash")),
        ..LedgerLayout::of("__drizzle_migrations", "created_at")
    },
    files: &["{id}.sql", JOURNAL],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    // All entries run in one transaction.
    ids: |_| Ok(Vec::new()),
    read,
    is_atomic: true,
    read_line: |_| None,
};

const JOURNAL: &str = "meta/_journal.json";

#[derive(Deserialize)]
struct Journal {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    /// In milliseconds.
    when: u64,
    tag: String,
}

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let journal = files.iter().find(|file| file.path == JOURNAL);
    let journal = journal.ok_or_else(|| format!("the folder has no `{JOURNAL}`"))?;
    let journal: Journal =
        serde_json::from_slice(&journal.bytes).map_err(|error| format!("`{JOURNAL}`: {error}"))?;
    let migration = |Entry { when, tag }: Entry| {
        let path = format!("{tag}.sql");
        let file = files.iter().find(|file| file.path == path);
        let file = file.ok_or_else(|| format!("`{JOURNAL}` names `{path}`, which does not exist"))?;
        let checksum = Some(hex(&Sha256::digest(&file.bytes)));
        Ok(Migration { id: when.to_string(), name: tag, checksum, ..Migration::default() })
    };
    journal.entries.into_iter().map(migration).collect()
}
