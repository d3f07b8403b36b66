//! SQL files that Portcullis applies itself, in sqlx's naming and recorded as sqlx does: `_sqlx_migrations`, one row a
//! version, with SHA-384 of the file's text.
//!
//! Source: sqlx 0.9, `sqlx-core/src/migrate`. A row counts as applied if `success` is true.

use std::collections::BTreeMap;

use super::framework::Framework;
use crate::tenants::{
    found::Recorded,
    ledger::{Comparison, Ledger, Shape},
    manifest::{Expected, Manifest, Migration},
};

pub(crate) const SHAPE: Shape = Shape {
    table: "_sqlx_migrations",
    app: None,
    id: "version",
    numbered: true,
    name: "description",
    checksum: Some("checksum"),
    succeeded: Some("success"),
};

pub(crate) const LEDGER: Rules = Rules;

#[derive(Debug)]
pub(crate) struct Rules;

impl Ledger for Rules {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn shape(&self) -> Shape {
        SHAPE
    }

    fn compare(&self, expected: &Expected, recorded: &[Recorded]) -> Comparison {
        compare(expected, recorded)
    }
}

#[derive(Debug)]
pub(crate) struct Sql;

impl Framework for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn ledgers(&self) -> &'static [&'static dyn Ledger] {
        &[&LEDGER]
    }

    fn make(&self) -> &'static str {
        "portcullis manifest sql"
    }
}

/// Why the manifest does not match the files on disk, if it does not.
pub(crate) fn staleness(manifest: &Manifest, shared: &[Migration], tenant: &[Migration]) -> Option<String> {
    let folders = [("shared", &manifest.shared, shared), ("tenant", &manifest.tenant, tenant)];
    folders.into_iter().find_map(|(which, expected, on_disk)| {
        if let Some(file) = on_disk.iter().find(|file| !expected.migrations.contains(file)) {
            return Some(format!("it does not know the {which} migration `{}` as it is on disk", file.name));
        }
        let gone = expected.migrations.iter().find(|migration| !on_disk.contains(migration))?;
        Some(format!("its {which} migration `{}` is not on disk", gone.name))
    })
}

fn compare(expected: &Expected, recorded: &[Recorded]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut rows: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
    for row in recorded {
        rows.entry(&row.id).or_default().push(row);
    }
    for migration in &expected.migrations {
        let Some(rows) = rows.remove(migration.id.as_str()) else {
            comparison.pending.push(migration.name.clone());
            continue;
        };
        if rows.iter().any(|row| !row.succeeded) {
            comparison.dirty.push(migration.name.clone());
        } else if rows.iter().any(|row| row.checksum != migration.checksum) {
            comparison.altered.push(migration.name.clone());
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
