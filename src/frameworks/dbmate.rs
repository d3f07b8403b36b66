//! dbmate: one row for each migration file, by the digits with which its name begins.
//!
//! Source: dbmate 2, `pkg/dbmate/migration.go` (the pattern) and `pkg/driver/postgres/postgres.go` (the ledger's schema).

use super::files::{FileLedger, by_id};
use super::framework::Progress;
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static DBMATE: FileLedger = FileLedger {
    name: "dbmate",
    title: "dbmate",
    signatures: &[Signature {
        title: "dbmate",
        table: "schema_migrations",
        columns: &["version"],
        beside: None,
        folders: &["db/migrations", "migrations"],
        lines: "apply = { run = [\"sh\", \"-c\", 'PGOPTIONS=\"$PGOPTIONS -csearch_path=\\\"$0\\\"\" exec dbmate --no-dump-schema migrate', \"{schema}\"] }\n",
    }],
    layout: LedgerLayout::of("schema_migrations", "version"),
    files: &["{digits}_{name}.sql", "{digits}{name}.sql"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: false,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line,
};

/// Parses `Applying: 20240101000001_first.sql`.
fn read_line(line: &str) -> Option<Progress<'_>> {
    let file = line.strip_prefix("Applying: ")?;
    Some(Progress::Applying(file.split_once(|c: char| !c.is_ascii_digit())?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_migration_is_read_from_the_output() {
        let applying = Some(Progress::Applying("20240101000001"));
        assert_eq!(read_line("Applying: 20240101000001_first.sql"), applying);
        assert_eq!(read_line("Applied: 20240101000001_first.sql in 26ms"), None);
    }
}
