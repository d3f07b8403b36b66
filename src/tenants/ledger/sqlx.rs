//! sqlx: `_sqlx_migrations`, one row a version, with SHA-384 of the file's text.
//!
//! Source: sqlx 0.9, `sqlx-core/src/migrate`. A row counts as applied if `success` is true.

use std::collections::BTreeMap;

use super::{Comparison, Shape};
use crate::tenants::{found::Recorded, manifest::Expected};

pub(super) const SHAPE: Shape = Shape {
    table: "_sqlx_migrations",
    app: None,
    id: "version",
    numbered: true,
    name: "description",
    checksum: Some("checksum"),
    succeeded: Some("success"),
};

pub(super) fn compare(expected: &Expected, recorded: &[Recorded]) -> Comparison {
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
