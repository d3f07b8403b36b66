//! SQL files that Portcullis applies itself, with sqlx's file names and sqlx's ledger `_sqlx_migrations`: one row per
//! version, with the SHA-384 of the file's text.
//!
//! Source: sqlx 0.9, `sqlx-core/src/migrate`. A row counts as applied if `success` is true.

mod draft;

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use super::{draft::Draft, framework::Framework, signature::Signature};
use crate::tenants::{
    inspection::LedgerRow,
    ledger::{Checksum, Comparison, Ledger, LedgerLayout},
    manifest::{Expected, Manifest, Migration},
};

pub(crate) const SHAPE: LedgerLayout<'static> = LedgerLayout {
    table: "_sqlx_migrations",
    app: None,
    id: "version",
    numbered: true,
    name: Some("description"),
    checksum: Some(Checksum::Bytes("checksum")),
    succeeded: Some("success"),
    rows: None,
};

pub(crate) const LEDGER: Rules = Rules;

#[derive(Debug)]
pub(crate) struct Rules;

impl Ledger for Rules {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn shape(&self) -> LedgerLayout<'static> {
        SHAPE
    }

    fn compare(&self, expected: &Expected, recorded: &[LedgerRow]) -> Comparison {
        compare(expected, recorded)
    }

    fn derives_structure(&self) -> bool {
        true
    }
}

#[derive(Debug)]
pub(crate) struct Sql;

impl Framework for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn ledgers(&'static self) -> Vec<&'static dyn Ledger> {
        vec![&LEDGER]
    }

    fn make(&self) -> &'static str {
        "portcullis manifest sql"
    }

    fn signatures(&self) -> &'static [Signature] {
        &[Signature {
            title: "sqlx",
            table: "_sqlx_migrations",
            columns: &["version", "description", "installed_on", "success", "checksum", "execution_time"],
            beside: None,
            folders: &["migrations/tenant", "db/migrations/tenant"],
            lines: "shared = \"{parent}/shared\"\n",
        }]
    }

    fn draft(&self, folder: &Path) -> Option<Draft> {
        draft::draft(folder)
    }
}

/// The reason why the manifest does not match the files on disk; None if it matches.
pub(crate) fn staleness(manifest: &Manifest, shared: &[Migration], tenant: &[Migration]) -> Option<String> {
    let folders = [("shared", &manifest.shared, shared), ("tenant", &manifest.tenant, tenant)];
    folders.into_iter().find_map(|(which, expected, on_disk)| {
        if let Some(file) = on_disk.iter().find(|file| !expected.migrations.contains(file)) {
            return Some(format!(
                "it does not contain the current version of the {which} migration `{}`",
                file.name
            ));
        }
        let gone = expected.migrations.iter().find(|migration| !on_disk.contains(migration))?;
        Some(format!("its {which} migration `{}` no longer exists on disk", gone.name))
    })
}

/// How many of the migrations that a baseline replaces are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    Not,
    InPart,
    /// The last one is recorded. They are applied in order, so all are.
    Fully,
}

pub(crate) fn replaced(baseline: &Migration, recorded: &[LedgerRow]) -> Replaced {
    let succeeded = recorded.iter().filter(|row| row.succeeded && is_replaced(baseline, &row.id));
    let last = baseline.replaces.iter().filter_map(|text| Some(*range(text)?.end())).max();
    match succeeded.filter_map(|row| row.id.parse::<i64>().ok()).max() {
        None => Replaced::Not,
        newest if newest == last => Replaced::Fully,
        Some(_) => Replaced::InPart,
    }
}

fn is_replaced(baseline: &Migration, id: &str) -> bool {
    let Ok(version) = id.parse::<i64>() else { return false };
    id != baseline.id
        && baseline.replaces.iter().any(|text| range(text).is_some_and(|range| range.contains(&version)))
}

/// Parses `7` or `1-42`, also with leading zeros.
pub(crate) fn range(text: &str) -> Option<RangeInclusive<i64>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

/// Compares ledgers with one row for each migration.
pub(super) fn compare(expected: &Expected, recorded: &[LedgerRow]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut rows: BTreeMap<&str, Vec<&LedgerRow>> = BTreeMap::new();
    for row in recorded {
        rows.entry(&row.id).or_default().push(row);
    }
    for migration in &expected.migrations {
        let replaced = replaced(migration, recorded);
        // Replaced migrations that succeeded are not unknown, although their files no longer exist.
        rows.retain(|id, rows| !(is_replaced(migration, id) && rows.iter().all(|row| row.succeeded)));
        let Some(rows) = rows.remove(migration.id.as_str()) else {
            match replaced {
                Replaced::Fully => {}
                Replaced::Not => comparison.pending.push(migration.name.clone()),
                Replaced::InPart => comparison
                    .pending
                    .push(format!("{} (partly applied; the rest no longer exists on disk)", migration.name)),
            }
            continue;
        };
        if rows.iter().any(|row| !row.succeeded) {
            comparison.dirty.push(migration.name.clone());
        } else if migration.checksum.is_some() && rows.iter().any(|row| row.checksum != migration.checksum) {
            let is_line_ends = |row: &&LedgerRow| {
                row.checksum == migration.checksum || row.checksum == migration.other_line_ends
            };
            let list = if rows.iter().all(is_line_ends) {
                &mut comparison.altered_line_ends
            } else {
                &mut comparison.altered
            };
            list.push(migration.name.clone());
        }
        if rows.len() > 1 {
            comparison.duplicates.push(migration.name.clone());
        }
    }
    for row in rows.into_values().flatten() {
        let name = format!("{} {}", row.id, row.name).trim_end().to_owned();
        if row.succeeded {
            comparison.unknown.push(name);
        } else {
            comparison.dirty.push(name);
        }
    }
    comparison
}
