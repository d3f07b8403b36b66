//! Finds the tables that may be ledgers in every file, and the table that lists the tenants' files. It only reads.

use std::{collections::BTreeSet, path::Path};

use sqlx::{Connection, Row, sqlite::SqliteConnection};

use super::{Sqlite, disk, files, inspect};
use crate::{
    database::{DatabaseError, Schema},
    ordered::Ordered,
    tenants::{
        inspection::LedgerRow,
        ledger::LedgerLayout,
        survey::{self, LedgerTable, RegistryTable, Survey},
    },
};

/// The shared file in messages.
const SHARED: &str = "shared";

impl Sqlite {
    pub(crate) async fn survey(&self, known: &[&str]) -> Result<Survey, DatabaseError> {
        let folder = self.tenants_folder();
        let mut names = disk::names(&folder).await.map_err(DatabaseError::Failed)?;
        names.sort();
        let mut survey = Survey::default();
        for name in names.iter().filter_map(|name| name.strip_suffix(".sqlite")) {
            let path = folder.join(format!("{name}.sqlite"));
            survey.ledgers.extend(tables(&path, name, false, known).await?);
        }
        let tenants: BTreeSet<String> = survey.ledgers.iter().map(|ledger| ledger.schema.clone()).into_set();
        survey.ledgers.extend(tables(&self.shared(), SHARED, true, known).await?);
        if !tenants.is_empty()
            && let Some(mut shared) = files::read(&self.shared()).await.map_err(DatabaseError::Failed)?
        {
            let found = registry(&mut shared, &tenants).await;
            let _ = shared.close().await;
            survey.registry = found?;
        }
        Ok(survey)
    }

    /// The rows of the ledger in one file.
    pub(crate) async fn recorded(
        &self,
        schema: &Schema,
        shape: LedgerLayout<'_>,
    ) -> Result<Vec<LedgerRow>, DatabaseError> {
        let Some(path) = self.path(schema) else { return Ok(Vec::new()) };
        let mut connection = files::read_existing(&path).await?;
        let rows = inspect::ledger(&mut connection, shape).await;
        let _ = connection.close().await;
        Ok(rows?)
    }
}

/// The tables of one file that may be ledgers.
async fn tables(
    path: &Path,
    schema: &str,
    shared: bool,
    known: &[&str],
) -> Result<Vec<LedgerTable>, DatabaseError> {
    let Some(mut connection) = files::read(path).await.map_err(DatabaseError::Failed)? else {
        return Ok(Vec::new());
    };
    let rows = files::rows(&mut connection, &format!("{} ORDER BY m.name, c.cid", inspect::COLUMNS)).await;
    let _ = connection.close().await;
    let refused = |error: sqlx::Error| {
        DatabaseError::from(error).with_text(|why| format!("cannot read `{}`: {why}", path.display()))
    };
    let mut found: Vec<LedgerTable> = Vec::new();
    for row in rows.map_err(refused)? {
        let table: String = row.try_get(0)?;
        if !known.contains(&&*table) && !survey::is_like_a_ledger(&table) {
            continue;
        }
        let columns = row.try_get::<Option<String>, _>(1)?;
        match found.last_mut().filter(|last| last.table == table) {
            Some(last) => last.columns.extend(columns),
            None => found.push(LedgerTable {
                schema: schema.to_owned(),
                shared,
                table,
                columns: columns.into_iter().collect(),
                denied: false,
            }),
        }
    }
    Ok(found)
}

/// The table of the shared file that lists most of these tenants, and at least half of them.
async fn registry(
    connection: &mut SqliteConnection,
    tenants: &BTreeSet<String>,
) -> Result<Option<RegistryTable>, DatabaseError> {
    let mut best: Option<RegistryTable> = None;
    let columns = format!(
        "{} AND m.type = 'table' ORDER BY c.name NOT LIKE '%schema%', m.name, c.cid",
        inspect::COLUMNS
    );
    for row in files::rows(connection, &columns).await? {
        let (table, Some(column)) = (row.try_get::<String, _>(0)?, row.try_get::<Option<String>, _>(1)?)
        else {
            continue;
        };
        let name = files::identifier(&column);
        let sql = format!(
            "SELECT DISTINCT {name} FROM {} WHERE typeof({name}) = 'text'",
            files::identifier(&table)
        );
        let mut listed = 0;
        for row in files::rows(connection, &sql).await? {
            listed += usize::from(tenants.contains(&row.try_get::<String, _>(0)?));
        }
        let unlisted = tenants.len() - listed;
        if unlisted <= tenants.len() / 2 && best.as_ref().is_none_or(|best| unlisted < best.unlisted) {
            best = Some(RegistryTable { table, column, unlisted });
        }
    }
    Ok(best)
}
