//! Reads PostgreSQL's catalog: the schemas, ledgers, tables, columns and indexes, and this role's privileges on them.
//!
//! It uses only `pg_catalog`. `information_schema` is several times slower and hides tables without a privilege, so
//! that they look absent. Each schema has its own subquery that can only use indexes: without statistics, a join over
//! many new schemas gets a bad plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    connect::{flag, text},
    connection::Row,
    error::QueryError,
    quote::{array, literal},
    read_only::Reading,
};
use crate::{
    cause::{Cause, Kind},
    ordered::Ordered,
    tenants::{
        inspection::{InvalidIndex, LedgerRow, OtherKind, SchemaSnapshot, SchemaState},
        manifest::{Kind as TableKind, Kinds, Tables},
    },
};

/// The relation kinds that have rows and columns.
pub(super) const RELATIONS: &str = "('r', 'p', 'v', 'm', 'f')";

/// Up to this number of schemas, their indexes are found without reading every index of the database.
const FEW: usize = 20;

/// `pg_class.relkind` of each kind.
fn relkinds(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "{r,p}",
        TableKind::View => "{v}",
        TableKind::MaterializedView => "{m}",
        TableKind::ForeignTable => "{f}",
    }
}

pub(super) fn kind(relkind: &str) -> Option<TableKind> {
    let kinds = [TableKind::Table, TableKind::View, TableKind::MaterializedView, TableKind::ForeignTable];
    kinds.into_iter().find(|kind| relkinds(*kind).contains(relkind))
}

/// Schemas that must contain the same tables.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) schemas: Vec<String>,
    pub(super) tables: &'a Tables,
    pub(super) kinds: &'a Kinds,
}

impl Group<'_> {
    fn kind(&self, table: &str) -> TableKind {
        self.kinds.get(table).copied().unwrap_or_default()
    }
}

/// One schema that exists.
#[derive(Debug)]
pub(super) struct Facts {
    ledger: Ledger,
    /// An expected table or column was missing at the first read.
    incomplete: bool,
    /// Without the ledger's rows.
    snapshot: SchemaSnapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ledger {
    Readable,
    /// The role has no USAGE on the schema.
    Closed,
    /// The role may not SELECT.
    Unreadable,
    Absent,
}

impl Facts {
    pub(super) fn has_ledger_to_read(&self) -> bool {
        self.ledger == Ledger::Readable
    }

    /// The state that follows without the ledger's rows; `name` is the ledger's table.
    pub(super) fn without_ledger(&self, tables: &Tables, name: &str) -> SchemaState {
        match self.ledger {
            Ledger::Closed => SchemaState::Failed(Cause::new(
                Kind::Permission,
                "no privilege: the role has no USAGE on the schema",
            )),
            Ledger::Unreadable => {
                let why = format!("no privilege: the role may not SELECT from `{name}`");
                SchemaState::Failed(Cause::new(Kind::Permission, why))
            }
            Ledger::Absent => {
                let exists = |table: &&String| !self.snapshot.missing_tables.contains(*table);
                SchemaState::NoLedger { tables: tables.keys().filter(exists).cloned().into_set() }
            }
            Ledger::Readable => SchemaState::Failed(format!("`{name}` was not read").into()),
        }
    }

    pub(super) fn with_ledger(self, ledger: Arc<[LedgerRow]>) -> SchemaState {
        SchemaState::Read(SchemaSnapshot { ledger, ..self.snapshot })
    }
}

/// Further catalog queries in the same message.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) statements: Vec<String>,
    /// The first column of each statement's rows.
    pub(super) answers: Vec<BTreeSet<String>>,
}

/// The facts of each schema that exists.
pub(super) async fn facts(
    reading: &mut Reading,
    groups: &[Group<'_>],
    ledger: &str,
    more: &mut More,
) -> Result<BTreeMap<String, Facts>, QueryError> {
    let mut all: BTreeMap<String, Facts> = BTreeMap::new();
    let mut statements: Vec<String> = groups.iter().map(|group| counts(group, ledger)).collect();
    statements.push(invalid_indexes(groups));
    statements.extend(more.statements.iter().cloned());
    more.answers = more.statements.iter().map(|_| BTreeSet::new()).collect();
    let (_, outcome) = reading
        .each(&statements, &mut |index, row| {
            if let Some(group) = groups.get(index) {
                let complete = text(&row, 4)? == Some(group.tables.len().to_string());
                let ledger = match (flag(&row, 1)?, flag(&row, 2)?, flag(&row, 3)?) {
                    (false, _, _) => Ledger::Closed,
                    (true, false, _) => Ledger::Absent,
                    (true, true, false) => Ledger::Unreadable,
                    (true, true, true) => Ledger::Readable,
                };
                let facts = Facts { ledger, incomplete: !complete, snapshot: SchemaSnapshot::default() };
                all.extend(text(&row, 0)?.map(|schema| (schema, facts)));
            } else if index == groups.len() {
                note_index(&mut all, &row)?;
            } else if let Some(answer) = more.answers.get_mut(index - groups.len() - 1) {
                answer.extend(text(&row, 0)?);
            }
            Ok(())
        })
        .await;
    outcome.map(|()| all)
}

/// Lists the missing tables and columns of the incomplete schemas. It must run after the ledgers were read, so that a
/// table of a migration that runs at the same time is both recorded and present.
pub(super) async fn missing(
    reading: &mut Reading,
    groups: &[Group<'_>],
    all: &mut BTreeMap<String, Facts>,
) -> Result<(), QueryError> {
    for group in groups {
        let is_incomplete = |schema: &&String| all.get(*schema).is_some_and(|facts| facts.incomplete);
        let incomplete: Vec<&str> = group.schemas.iter().filter(is_incomplete).map(String::as_str).collect();
        let mut parts = if incomplete.is_empty() { Vec::new() } else { vec![incomplete.as_slice()] };
        while let Some(part) = parts.pop() {
            match reading.rows(&details(part, group)).await {
                Ok(rows) => rows.iter().try_for_each(|row| note_missing(all, group, row))?,
                // The answer is too long.
                Err(QueryError::TooLong(_)) if part.len() > 1 => {
                    parts.extend(part.chunks(part.len().div_ceil(2)));
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The tables of one schema with their columns, without the ledger.
pub(super) fn tables(schema: &str, ledger: &str) -> String {
    format!(
        "SELECT c.relname::text, a.attname::text, c.relkind::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE n.nspname::text = {} AND c.relkind IN {RELATIONS} AND c.relname::text <> {}",
        literal(schema),
        literal(ledger),
    )
}

fn note_index(all: &mut BTreeMap<String, Facts>, row: &Row) -> Result<(), QueryError> {
    let (Some(schema), Some(name), Some(table)) = (text(row, 0)?, text(row, 1)?, text(row, 2)?) else {
        return Ok(());
    };
    if let Some(facts) = all.get_mut(&schema) {
        facts.snapshot.invalid_indexes.push(InvalidIndex { name, table, unique: flag(row, 3)? });
    }
    Ok(())
}

fn note_missing(all: &mut BTreeMap<String, Facts>, group: &Group<'_>, row: &Row) -> Result<(), QueryError> {
    let (Some(schema), Some(table)) = (text(row, 0)?, text(row, 1)?) else { return Ok(()) };
    let Some(Facts { snapshot, .. }) = all.get_mut(&schema) else { return Ok(()) };
    match (text(row, 2)?, text(row, 3)?.and_then(|other| kind(&other))) {
        (_, Some(found)) => {
            let expected = group.kind(&table);
            snapshot.other_kinds.push(OtherKind { table, expected, found });
        }
        (Some(column), None) => {
            snapshot.missing_columns.entry(table).or_default().insert(column);
        }
        (None, None) => {
            snapshot.missing_tables.insert(table);
        }
    }
    Ok(())
}

/// The expectation as a CTE with one row per table.
fn expected(group: &Group<'_>) -> String {
    let rows: Vec<String> = group
        .tables
        .iter()
        .map(|(table, columns)| {
            let columns = array(columns.iter().map(|column| Some(column.as_str())));
            let kinds = relkinds(group.kind(table));
            format!("({}::name, '{kinds}'::\"char\"[], {columns}::name[])", literal(table))
        })
        .collect();
    let rows = if rows.is_empty() {
        "SELECT NULL::name, NULL::\"char\"[], NULL::name[] WHERE false".to_owned()
    } else {
        format!("VALUES {}", rows.join(", "))
    };
    format!("WITH expected(tab, kinds, cols) AS MATERIALIZED ({rows}) ")
}

/// Selects the named schemas. A name that a cast to `name` would truncate matches no schema.
fn wanted<'a>(schemas: impl IntoIterator<Item = &'a str>) -> String {
    format!(
        "pg_namespace n JOIN unnest({}) AS wanted(name) ON n.nspname = wanted.name::name AND n.nspname::text = wanted.name",
        array(schemas.into_iter().map(Some)),
    )
}

/// Counts the complete tables. A privilege function returns null for a dropped object; the query of the ledger finds that.
fn counts(group: &Group<'_>, ledger: &str) -> String {
    format!(
        "{}SELECT n.nspname::text, coalesce(has_schema_privilege(n.oid, 'USAGE'), true)::text, \
         (l.oid IS NOT NULL)::text, coalesce(has_table_privilege(l.oid, 'SELECT'), true)::text, \
         (SELECT count(*) FROM expected e JOIN pg_class c ON c.relname = e.tab AND c.relnamespace = n.oid \
           AND c.relkind = ANY (e.kinds) WHERE (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid \
           AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (e.cols)) = cardinality(e.cols))::text \
         FROM {} \
         LEFT JOIN pg_class l ON l.relnamespace = n.oid AND l.relname = {}::name AND l.relkind IN ('r', 'p')",
        expected(group),
        wanted(group.schemas.iter().map(String::as_str)),
        literal(ledger),
    )
}

fn details(schemas: &[&str], group: &Group<'_>) -> String {
    format!(
        "{}SELECT n.nspname::text, e.tab::text, m.col::text, \
         CASE WHEN c.relkind <> ALL (e.kinds) THEN c.relkind END::text FROM {} CROSS JOIN expected e \
         LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = e.tab AND c.relkind IN {RELATIONS} \
         LEFT JOIN LATERAL (SELECT col FROM unnest(e.cols) AS col WHERE NOT EXISTS (SELECT FROM pg_attribute a \
           WHERE a.attrelid = c.oid AND a.attname = col AND a.attnum > 0 AND NOT a.attisdropped)) m \
           ON c.relkind = ANY (e.kinds) \
         WHERE c.oid IS NULL OR c.relkind <> ALL (e.kinds) OR m.col IS NOT NULL ORDER BY 2",
        expected(group),
        wanted(schemas.iter().copied()),
    )
}

/// Selects the invalid indexes. For many schemas it reads every index of the database, for a few schemas it follows their
/// dependencies.
fn invalid_indexes(groups: &[Group<'_>]) -> String {
    let schemas: Vec<&str> = groups.iter().flat_map(|group| &group.schemas).map(String::as_str).collect();
    let here = if schemas.len() > FEW {
        String::new()
    } else {
        format!(
            " AND x.indrelid = ANY (ARRAY(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass \
             AND d.refobjid = ANY (ARRAY(SELECT n.oid FROM {})) AND d.classid = 'pg_class'::regclass))",
            wanted(schemas),
        )
    };
    format!(
        "SELECT n.nspname::text, i.relname::text, t.relname::text, x.indisunique::text \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         JOIN pg_namespace n ON n.oid = i.relnamespace WHERE NOT x.indisvalid{here} ORDER BY 1, 2"
    )
}
