//! Diesel: one row for each folder with an `up.sql`, by the text before its first `_`, without `-`.
//!
//! Source: Diesel 2.3, `migrations_internals` (`version_from_string`, `TomlMetadata`).

use super::files::{FileLedger, SourceFile, by_id};
use super::signature::Signature;
use crate::tenants::{ledger::LedgerLayout, manifest::Migration};

pub(super) static DIESEL: FileLedger = FileLedger {
    name: "diesel",
    title: "Diesel",
    signatures: &[Signature {
        title: "Diesel",
        table: "__diesel_schema_migrations",
        columns: &["version", "run_on"],
        beside: None,
        folders: &["migrations"],
        lines: "apply = { run = [\"sh\", \"-c\", 'PGOPTIONS=\"$PGOPTIONS -csearch_path=\\\"$0\\\"\" exec diesel migration run', \"{schema}\"] }\n",
    }],
    layout: LedgerLayout::of("__diesel_schema_migrations", "version"),
    // `run_in_transaction = false` is in the metadata.
    files: &["{id}/up.sql", "{id}/metadata.toml"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![version(file)]),
    read,
    is_atomic: true,
    read_line: |_| None,
};

fn read(files: &[SourceFile]) -> Result<Vec<Migration>, String> {
    let files = files.iter().filter(|file| file.path.ends_with("/up.sql"));
    let named = |file: &SourceFile| {
        let name = file.id.split_once('_').map_or("", |(_, name)| name).to_owned();
        SourceFile { id: version(file), name, ..file.clone() }
    };
    by_id(&files.map(named).collect::<Vec<_>>())
}

fn version(file: &SourceFile) -> String {
    file.id.split('_').next().unwrap_or_default().replace('-', "")
}
