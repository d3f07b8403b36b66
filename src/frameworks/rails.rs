//! Rails: one row for each migration file, by the number with which its name begins, without leading zeros.
//!
//! Source: Active Record 6.1, `migration.rb` (`MigrationContext#migrations`) and `schema_migration.rb`.

use super::files::{FileLedger, by_id};
use super::framework::Progress;
use super::signature::Signature;
use crate::tenants::ledger::LedgerLayout;

pub(super) static RAILS: FileLedger = FileLedger {
    name: "rails",
    title: "Rails",
    signatures: &[Signature {
        title: "Rails",
        table: "schema_migrations",
        columns: &["version"],
        beside: Some("ar_internal_metadata"),
        folders: &["db/migrate"],
        lines: "apply = { run = [\"env\", \"TENANT={schema}\", \"bin/rails\", \"db:migrate\"] }\n",
    }],
    layout: LedgerLayout::of("schema_migrations", "version"),
    files: &["**/{number}_{name}.rb"],
    recorded_as: None,
    is_ordered: false,
    may_be_pruned: true,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    is_atomic: true,
    read_line,
};

/// Parses `== 20240101000001 CreateAccounts: migrating ====`.
fn read_line(line: &str) -> Option<Progress<'_>> {
    let (version, rest) = line.strip_prefix("== ")?.split_once(' ')?;
    rest.contains(": migrating ").then_some(Progress::Applying(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_migration_is_read_from_the_output() {
        let applying = Some(Progress::Applying("20240101000001"));
        assert_eq!(read_line("== 20240101000001 CreateAccounts: migrating ========"), applying);
        assert_eq!(read_line("== 20240101000001 CreateAccounts: migrated (0.0156s) ==="), None);
    }
}
