//! The gate's look at SQLite: each file opened read-only, in one read transaction.

use std::{collections::BTreeSet, path::Path};

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{LEDGER, Sqlite, disk, files, registry::Rows};
use crate::{
    config::Selection,
    database::{DatabaseError, Made, Question},
    tenants::{
        found::{Found, Look, OtherKind, Recorded, Seen},
        ledger::Shape,
        manifest::{Expected, Kind, Kinds},
    },
};

impl Sqlite {
    pub(crate) async fn look(&self, question: &Question<'_>) -> Result<Found, DatabaseError> {
        let manifest = question.manifest;
        let shape = manifest.framework.shape();
        let mut found = Found::default();
        if question.shared {
            found.shared = Some(file(&self.shared(), &manifest.shared, shape).await);
        }
        let Some(selection) = question.tenants else {
            return Ok(found);
        };
        let rows = match self.read_registry().await? {
            Some(rows) => rows,
            None => self.registry.as_ref().map_or(Ok(Rows::default()), |registry| {
                question.without_registry(super::registry::table(registry), &found).map(|()| Rows::default())
            })?,
        };
        found.registered = rows.tenants.len();
        let asked: Vec<&String> = match selection {
            Selection::All => rows.tenants.iter().collect(),
            Selection::Named(names) => {
                let (known, unknown): (Vec<&String>, _) =
                    names.iter().partition(|name| rows.tenants.contains(name));
                found.unregistered.extend(Vec::<&String>::into_iter(unknown).cloned());
                known
            }
        };
        let total = asked.len();
        for (done, name) in asked.into_iter().enumerate() {
            (question.looked)(done, total);
            let look = match self.tenant(name) {
                Some(path) => file(&path, &manifest.tenant, shape).await,
                None => Look::Failed("the name cannot be a file's".into()),
            };
            found.tenants.insert(name.clone(), look);
        }
        (question.looked)(total, total);
        if *selection == Selection::All && self.registry.is_some() {
            found.orphans = self.orphans(&rows).await?;
        }
        Ok(found)
    }

    /// Files that no row of the registry names.
    async fn orphans(&self, rows: &Rows) -> Result<BTreeSet<String>, DatabaseError> {
        let names = disk::names(&self.tenants_folder()).await.map_err(DatabaseError::Failed)?;
        let tenants = names.iter().filter_map(|name| name.strip_suffix(".sqlite"));
        let mut orphans: BTreeSet<String> = tenants.map(str::to_owned).collect();
        for tenant in rows.tenants.iter().chain(&rows.others) {
            orphans.remove(tenant);
        }
        Ok(orphans)
    }
}

/// One look at one file, whatever becomes of it.
async fn file(path: &Path, expected: &Expected, shape: Shape) -> Look {
    let mut connection = match files::read(path).await {
        Ok(Some(connection)) => connection,
        Ok(None) => return Look::NoSchema,
        Err(_) if disk::exists(path).await == Ok(false) => return Look::Vanished,
        Err(why) => return Look::Failed(why),
    };
    let look = async {
        files::rows(&mut connection, "BEGIN").await?;
        inside(&mut connection, expected, shape).await
    }
    .await;
    let _ = connection.close().await;
    look.unwrap_or_else(|error: sqlx::Error| Look::Failed(files::cause(&error)))
}

/// The look inside the transaction that is open.
pub(super) async fn inside(
    connection: &mut SqliteConnection,
    expected: &Expected,
    shape: Shape,
) -> Result<Look, sqlx::Error> {
    let present = present(connection).await?;
    let mut seen = compare(expected, &present);
    if !present.tables.contains_key(shape.table) {
        let missing = &seen.missing_tables;
        let tables = expected.tables.keys().filter(|table| !missing.contains(*table)).cloned().collect();
        return Ok(Look::NoLedger { tables });
    }
    seen.ledger = ledger(connection, shape).await?.into();
    Ok(Look::Seen(seen))
}

/// Every table and view with its columns. SQLite compares names without regard to case, so they are here
/// in lower case.
async fn present(connection: &mut SqliteConnection) -> Result<Made, sqlx::Error> {
    let mut present = Made::default();
    for row in files::rows(connection, COLUMNS).await? {
        let column = row.try_get::<Option<String>, _>(1)?.map(|name| name.to_ascii_lowercase());
        let table = row.try_get::<String, _>(0)?.to_ascii_lowercase();
        present.note(table, kind(row.try_get(2)?), column);
    }
    Ok(present)
}

/// Of `sqlite_master.type`.
pub(super) fn kind(kind: &str) -> Kind {
    if kind == "view" { Kind::View } else { Kind::Table }
}

/// Hidden columns of virtual tables (1) are none; generated ones (2, 3) are.
pub(super) const COLUMNS: &str = "SELECT m.name, c.name, m.type FROM sqlite_master m \
    LEFT JOIN pragma_table_xinfo(m.name) c ON c.hidden <> 1 \
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

fn compare(expected: &Expected, present: &Made) -> Seen {
    let mut seen = Seen::default();
    for (table, columns) in &expected.tables {
        let name = table.to_ascii_lowercase();
        let Some(there) = present.tables.get(&name) else {
            seen.missing_tables.insert(table.clone());
            continue;
        };
        let kind = |kinds: &Kinds, name: &str| kinds.get(name).copied().unwrap_or_default();
        let (expected, found) = (kind(&expected.kinds, table), kind(&present.kinds, &name));
        if expected != found {
            seen.other_kinds.push(OtherKind { table: table.clone(), expected, found });
            continue;
        }
        let missing: BTreeSet<String> =
            columns.iter().filter(|column| !there.contains(&column.to_ascii_lowercase())).cloned().collect();
        if !missing.is_empty() {
            seen.missing_columns.insert(table.clone(), missing);
        }
    }
    seen
}

/// The rows of the ledger that this program writes.
pub(super) async fn our_ledger(connection: &mut SqliteConnection) -> Result<Vec<Recorded>, sqlx::Error> {
    ledger(connection, LEDGER).await
}

async fn ledger(connection: &mut SqliteConnection, shape: Shape) -> Result<Vec<Recorded>, sqlx::Error> {
    let sql = format!(
        "SELECT CAST({} AS TEXT), CAST(coalesce({}, '') AS TEXT), {}, CAST({} AS INTEGER) FROM {}",
        files::identifier(shape.id),
        files::identifier(shape.name),
        shape.checksum.map_or_else(
            || "CAST(NULL AS TEXT)".to_owned(),
            |name| format!("lower(hex({}))", files::identifier(name))
        ),
        shape.succeeded.map_or_else(|| "1".to_owned(), files::identifier),
        files::identifier(shape.table),
    );
    let rows = files::rows(connection, &sql).await?;
    rows.iter()
        .map(|row| {
            Ok(Recorded {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                checksum: row.try_get(2)?,
                succeeded: row.try_get::<Option<i64>, _>(3)? == Some(1),
            })
        })
        .collect()
}
