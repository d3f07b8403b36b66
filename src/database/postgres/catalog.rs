//! Reads PostgreSQL's catalog: which schemas, ledgers, tables, columns and indexes stand there, and
//! which of them this role may read.
//!
//! Only `pg_catalog`: `information_schema` leaves out what a role may not see, so that a table without a
//! privilege looks absent, and is several times slower.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;

use super::{
    connect::{flag, text},
    quote::{array, literal},
    reading::Reading,
};
use crate::tenants::{
    found::{InvalidIndex, Look, Seen},
    manifest::Expected,
};

/// What holds rows and has columns.
const RELATIONS: &str = "('r', 'p', 'v', 'm', 'f')";

/// One schema that exists.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) usable: bool,
    pub(super) ledger: bool,
    pub(super) readable: bool,
    /// All but the ledger's rows.
    pub(super) seen: Seen,
}

impl Facts {
    /// What is already certain without the ledger's rows; otherwise the rows are still to be read.
    pub(super) fn settled(&self, expected: &Expected, ledger: &str) -> Option<Look> {
        if !self.usable {
            Some(Look::Failed("no privilege: the role has no USAGE on the schema".into()))
        } else if !self.ledger {
            let missing = &self.seen.missing_tables;
            Some(Look::NoLedger {
                tables: expected.tables.keys().filter(|table| !missing.contains(*table)).cloned().collect(),
            })
        } else if !self.readable {
            Some(Look::Failed(format!("no privilege: the role may not SELECT from `{ledger}`")))
        } else {
            None
        }
    }
}

/// The facts of each of the schemas that exists.
pub(super) async fn facts(
    reading: &mut Reading,
    schemas: &[String],
    expected: &Expected,
    ledger: &str,
) -> Result<BTreeMap<String, Facts>, sqlx::Error> {
    let pairs: usize = expected.tables.values().map(|columns| 1 + columns.len()).sum();
    let mut all = BTreeMap::new();
    let mut short = Vec::new();
    for row in reading.rows(&counts(schemas, expected, ledger)).await? {
        let Some(schema) = text(&row, 0)? else { continue };
        let present: usize = text(&row, 4)?.and_then(|count| count.parse().ok()).unwrap_or(0);
        if present != pairs {
            short.push(schema.clone());
        }
        let (usable, ledger, readable) = (flag(&row, 1)?, flag(&row, 2)?, flag(&row, 3)?);
        all.insert(schema, Facts { usable, ledger, readable, seen: Seen::default() });
    }
    if !short.is_empty() {
        for row in reading.rows(&missing(&short, expected)).await? {
            note_missing(&mut all, &row)?;
        }
    }
    for row in reading.rows(&invalid_indexes(schemas)).await? {
        let (Some(schema), Some(name), Some(table)) = (text(&row, 0)?, text(&row, 1)?, text(&row, 2)?) else {
            continue;
        };
        if let Some(facts) = all.get_mut(&schema) {
            facts.seen.invalid_indexes.push(InvalidIndex { name, table, unique: flag(&row, 3)? });
        }
    }
    Ok(all)
}

/// The tables of one schema with their columns, its ledger left out.
pub(super) fn tables(schema: &str, ledger: &str) -> String {
    format!(
        "SELECT c.relname::text, a.attname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE n.nspname::text = {} AND c.relkind IN {RELATIONS} AND c.relname::text <> {}",
        literal(schema),
        literal(ledger),
    )
}

fn note_missing(all: &mut BTreeMap<String, Facts>, row: &PgRow) -> Result<(), sqlx::Error> {
    let (Some(schema), Some(table)) = (text(row, 0)?, text(row, 1)?) else { return Ok(()) };
    if let Some(facts) = all.get_mut(&schema) {
        match text(row, 2)? {
            Some(column) => {
                facts.seen.missing_columns.entry(table).or_default().insert(column);
            }
            None => {
                facts.seen.missing_tables.insert(table);
            }
        }
    }
    Ok(())
}

/// Schemas that exist, and the expectation: one row a table (no column), and one for each column.
fn common(schemas: &[String], expected: &Expected) -> String {
    let pairs = || {
        expected.tables.iter().flat_map(|(table, columns)| {
            [(table, None)]
                .into_iter()
                .chain(columns.iter().map(move |column| (table, Some(column.as_str()))))
        })
    };
    format!(
        "WITH schemas AS (SELECT n.oid, n.nspname FROM pg_namespace n \
         JOIN unnest({}) AS wanted(name) ON wanted.name = n.nspname::text), \
         expected AS (SELECT t, c FROM unnest({}, {}) AS e(t, c)) ",
        array(schemas.iter().map(|name| Some(name.as_str()))),
        array(pairs().map(|(table, _)| Some(table.as_str()))),
        array(pairs().map(|(_, column)| column)),
    )
}

fn counts(schemas: &[String], expected: &Expected, ledger: &str) -> String {
    format!(
        "{}SELECT s.nspname::text, has_schema_privilege(s.oid, 'USAGE')::text, (l.oid IS NOT NULL)::text, \
         coalesce(has_table_privilege(l.oid, 'SELECT'), false)::text, coalesce(p.present, 0)::text \
         FROM schemas s \
         LEFT JOIN pg_class l ON l.relnamespace = s.oid AND l.relname = {}::name AND l.relkind IN {RELATIONS} \
         LEFT JOIN (SELECT c.relnamespace, count(*) AS present FROM expected e \
           JOIN pg_class c ON c.relname = e.t::name AND c.relkind IN {RELATIONS} \
           JOIN schemas s ON s.oid = c.relnamespace \
           LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = e.c::name \
             AND a.attnum > 0 AND NOT a.attisdropped \
           WHERE e.c IS NULL OR a.attnum IS NOT NULL GROUP BY 1) p ON p.relnamespace = s.oid",
        common(schemas, expected),
        literal(ledger),
    )
}

fn missing(schemas: &[String], expected: &Expected) -> String {
    format!(
        "{}SELECT s.nspname::text, e.t, e.c FROM schemas s CROSS JOIN expected e \
         LEFT JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = e.t::name AND c.relkind IN {RELATIONS} \
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = e.c::name \
           AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE (e.c IS NULL AND c.oid IS NULL) OR (e.c IS NOT NULL AND c.oid IS NOT NULL AND a.attnum IS NULL)",
        common(schemas, expected),
    )
}

fn invalid_indexes(schemas: &[String]) -> String {
    format!(
        "SELECT n.nspname::text, i.relname::text, t.relname::text, x.indisunique::text FROM pg_index x \
         JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         JOIN pg_namespace n ON n.oid = i.relnamespace \
         JOIN unnest({}) AS wanted(name) ON wanted.name = n.nspname::text \
         WHERE NOT x.indisvalid ORDER BY 1, 2",
        array(schemas.iter().map(|name| Some(name.as_str()))),
    )
}
