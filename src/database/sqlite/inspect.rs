//! The gate's inspection of SQLite: opens each file read-only and reads it in one transaction.

use std::{collections::BTreeSet, path::Path};

use sqlx::{
    Connection, Row,
    sqlite::{SqliteConnection, SqliteRow},
};

use super::{
    LEDGER, Sqlite, disk, files,
    structure::{server, structure},
};
use crate::{
    cause::Code,
    config::Selection,
    database::{DatabaseError, InspectRequest, TableSet, registry_rows::RegistryRows},
    ordered::Ordered,
    tenants::{
        inspection::{Inspection, LedgerRow, OtherKind, SchemaSnapshot, SchemaState},
        ledger::{Checksum, LedgerLayout},
        manifest::{Expected, Kinds},
    },
};

impl Sqlite {
    pub(crate) async fn inspect(&self, request: &InspectRequest<'_>) -> Result<Inspection, DatabaseError> {
        let manifest = request.manifest;
        let shape = manifest.layout();
        let mut found = Inspection { server: Some(server()), ..Inspection::default() };
        if request.shared {
            found.shared =
                Some(inspect_file(&self.shared(), &manifest.shared, shape, request.structure).await);
        }
        let Some(selection) = request.tenants else {
            return Ok(found);
        };
        let rows = match self.read_registry().await? {
            Some(rows) => rows,
            None => self.registry.as_ref().map_or(Ok(RegistryRows::default()), |registry| {
                let table = super::registry::table(registry);
                request.without_registry(table, &found).map(|()| RegistryRows::default())
            })?,
        };
        let mut found = Inspection {
            shared: found.shared,
            server: found.server,
            ..rows.inspection(*selection == Selection::All)
        };
        let selected: Vec<&String> = match selection {
            Selection::All => rows.tenants.iter().collect(),
            Selection::Named(names) => {
                let (known, unknown): (Vec<&String>, _) =
                    names.iter().partition(|name| rows.tenants.contains(name));
                found.unregistered.extend(Vec::<&String>::into_iter(unknown).cloned());
                known
            }
        };
        let total = selected.len();
        for (done, name) in selected.into_iter().enumerate() {
            (request.on_progress)(done, total);
            let state = match self.tenant(name) {
                Some(path) => inspect_file(&path, &manifest.tenant, shape, request.structure).await,
                None => SchemaState::Failed("the name is not valid as a file name".into()),
            };
            found.tenants.insert(name.clone(), state);
        }
        (request.on_progress)(total, total);
        if *selection == Selection::All && self.registry.is_some() {
            found.orphans = self.orphans(&rows).await?;
        }
        Ok(found)
    }

    /// Files without a row in the registry.
    async fn orphans(&self, rows: &RegistryRows) -> Result<BTreeSet<String>, DatabaseError> {
        let names = disk::names(&self.tenants_folder()).await.map_err(DatabaseError::Failed)?;
        let tenants = names.iter().filter_map(|name| name.strip_suffix(".sqlite"));
        let mut orphans: BTreeSet<String> = tenants.map(str::to_owned).into_set();
        for tenant in rows.tenants.iter().chain(&rows.others) {
            orphans.remove(tenant);
        }
        Ok(orphans)
    }
}

/// Inspects one file; an error becomes its state.
async fn inspect_file(
    path: &Path,
    expected: &Expected,
    shape: LedgerLayout<'_>,
    with_structure: bool,
) -> SchemaState {
    let mut connection = match files::read(path).await {
        Ok(Some(connection)) => connection,
        Ok(None) => return SchemaState::NoSchema,
        Err(_) if disk::exists(path).await == Ok(false) => return SchemaState::Vanished,
        Err(why) => return SchemaState::Failed(why),
    };
    let state = async {
        files::rows(&mut connection, "BEGIN").await?;
        let mut state = inspect_open(&mut connection, expected, shape).await?;
        if let (SchemaState::Read(snapshot), true) = (&mut state, with_structure) {
            let structure = structure(&mut connection).await?.without_table(shape.table);
            snapshot.structure = Some(structure.into());
        }
        Ok(state)
    }
    .await;
    let _ = connection.close().await;
    state.unwrap_or_else(|error: sqlx::Error| SchemaState::Failed(files::cause(&error)))
}

/// Inspects within the open transaction.
pub(super) async fn inspect_open(
    connection: &mut SqliteConnection,
    expected: &Expected,
    shape: LedgerLayout<'_>,
) -> Result<SchemaState, sqlx::Error> {
    let present = present(connection).await?;
    let mut snapshot = compare(expected, &present);
    if !present.tables.contains_key(shape.table) {
        let missing = &snapshot.missing_tables;
        let tables = expected.tables.keys().filter(|table| !missing.contains(*table)).cloned().into_set();
        return Ok(SchemaState::NoLedger { tables });
    }
    snapshot.ledger = ledger(connection, shape).await?.into();
    Ok(SchemaState::Read(snapshot))
}

/// Every table and view with its columns, in lower case because SQLite compares names without regard to case.
async fn present(connection: &mut SqliteConnection) -> Result<TableSet, sqlx::Error> {
    let mut present = TableSet::default();
    let rows = match files::rows(connection, COLUMNS).await {
        Err(error) if is_sql_error(&error) => with_broken_views(connection).await?,
        rows => rows?,
    };
    for row in rows {
        let column = row.try_get::<Option<String>, _>(1)?.map(|name| name.to_ascii_lowercase());
        let table = row.try_get::<String, _>(0)?.to_ascii_lowercase();
        present.note(table, files::kind(row.try_get(2)?), column);
    }
    Ok(present)
}

/// The rows of [`COLUMNS`], without the columns of a view that uses a lost table.
async fn with_broken_views(connection: &mut SqliteConnection) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut rows = files::rows(connection, RELATIONS).await?;
    let names: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    for name in names {
        match files::rows(connection, &format!("{COLUMNS} AND m.name = {}", files::literal(&name))).await {
            Err(error) if is_sql_error(&error) => {}
            columns => rows.extend(columns?),
        }
    }
    Ok(rows)
}

/// The generic code of SQLite, as for a missing table.
fn is_sql_error(error: &sqlx::Error) -> bool {
    files::cause(error).code == Some(Code::Sqlite(1))
}

const RELATIONS: &str = "SELECT name, NULL, type FROM sqlite_master WHERE type IN ('table', 'view') \
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

/// Excludes hidden columns of virtual tables (1) and includes generated ones (2, 3).
pub(super) const COLUMNS: &str = "SELECT m.name, c.name, m.type FROM sqlite_master m \
    LEFT JOIN pragma_table_xinfo(m.name) c ON c.hidden <> 1 \
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

fn compare(expected: &Expected, present: &TableSet) -> SchemaSnapshot {
    let mut snapshot = SchemaSnapshot::default();
    for (table, columns) in &expected.tables {
        let name = table.to_ascii_lowercase();
        let Some(existing) = present.tables.get(&name) else {
            snapshot.missing_tables.insert(table.clone());
            continue;
        };
        let kind = |kinds: &Kinds, name: &str| kinds.get(name).copied().unwrap_or_default();
        let (expected, found) = (kind(&expected.kinds, table), kind(&present.kinds, &name));
        if expected != found {
            snapshot.other_kinds.push(OtherKind { table: table.clone(), expected, found });
            continue;
        }
        let missing: BTreeSet<String> = columns
            .iter()
            .filter(|column| !existing.contains(&column.to_ascii_lowercase()))
            .cloned()
            .into_set();
        if !missing.is_empty() {
            snapshot.missing_columns.insert(table.clone(), missing);
        }
    }
    snapshot
}

/// The rows of the ledger that Portcullis writes.
pub(super) async fn own_ledger(connection: &mut SqliteConnection) -> Result<Vec<LedgerRow>, sqlx::Error> {
    ledger(connection, LEDGER).await
}

pub(super) async fn ledger(
    connection: &mut SqliteConnection,
    shape: LedgerLayout<'_>,
) -> Result<Vec<LedgerRow>, sqlx::Error> {
    let sql = format!(
        "SELECT CAST({} AS TEXT), CAST(coalesce({}, '') AS TEXT), {}, CAST({} AS INTEGER) FROM {}",
        files::identifier(shape.id),
        shape.name.map_or_else(|| "''".to_owned(), files::identifier),
        match shape.checksum {
            None => "CAST(NULL AS TEXT)".to_owned(),
            Some(Checksum::Bytes(name)) => format!("lower(hex({}))", files::identifier(name)),
            Some(Checksum::Text(name)) => format!("CAST({} AS TEXT)", files::identifier(name)),
        },
        shape.succeeded.map_or_else(|| "1".to_owned(), |condition| format!("(({condition}) IS TRUE)")),
        files::identifier(shape.table),
    );
    let sql = shape.rows.map_or_else(|| sql.clone(), |condition| format!("{sql} WHERE {condition}"));
    let rows = files::rows(connection, &sql).await?;
    rows.iter()
        .map(|row| {
            Ok(LedgerRow {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                checksum: row.try_get(2)?,
                succeeded: row.try_get::<Option<i64>, _>(3)? == Some(1),
            })
        })
        .collect()
}
