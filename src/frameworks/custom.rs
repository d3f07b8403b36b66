//! Any other ledger, described in the configuration: its table, its columns, and the names of the migration files.

use super::files::{FileLedger, by_id};
use crate::tenants::ledger::LedgerLayout;

pub(super) static CUSTOM: FileLedger = FileLedger {
    name: "custom",
    title: "a custom ledger",
    // The configuration requires the table and the column.
    layout: LedgerLayout::of("", ""),
    files: &[],
    recorded_as: None,
    is_ordered: true,
    ids: |file| Ok(vec![file.id.clone()]),
    read: by_id,
    read_line: |_| None,
};
