//! Laravel: one row for each migration file, by the file's name without its ending.
//!
//! Source: illuminate/database 8, `Migrator::getMigrationFiles` (the pattern) and `DatabaseMigrationRepository`.

use super::files::{FileLedger, by_id};
use super::framework::Progress;
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static LARAVEL: FileLedger = FileLedger {
    name: "laravel",
    title: "Laravel",
    signatures: &[Signature {
        title: "Laravel",
        table: "migrations",
        columns: &["id", "migration", "batch"],
        beside: None,
        folders: &["database/migrations", "database/migrations/tenant"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"php\", \"artisan\", \"migrate\", \"--force\"] }\n",
    }],
    layout: LedgerLayout::of("migrations", "migration"),
    files: &["{name}_{id}.php"],
    recorded_as: Some("{name}_{id}"),
    is_ordered: false,
    may_be_pruned: true,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line,
};

/// Parses `Migrating: 2024_01_01_000001_create_accounts`.
fn read_line(line: &str) -> Option<Progress<'_>> {
    Some(Progress::Applying(line.strip_prefix("Migrating: ")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_migration_is_read_from_the_output() {
        let name = "2024_01_01_000001_create_accounts";
        assert_eq!(read_line(&format!("Migrating: {name}")), Some(Progress::Applying(name)));
        assert_eq!(read_line(&format!("Migrated:  {name} (3.37ms)")), None);
    }
}
