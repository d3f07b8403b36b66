//! Files that attempts to make a tenant have left, this run's and killed runs', and the deletion of a tenant.
//!
//! A file is built as `<tenant>.<nonce>.new`, and linked to its place. As long as both names are there and the registry
//! has no row, the file in its place is proved to be the one that was built.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sqlx::Connection;

use super::{
    LEDGER, Sqlite,
    disk::{self, STAGING_SUFFIX},
    files, registry,
};
use crate::{
    database::{Creation, DatabaseError, Limits, ProvisionState, Recovered, RecoveryResult},
    tenants::{inspection::Deleted, manifest::Domains},
};

/// Digits of a nonce.
const NONCE: usize = 32;

/// The name under which an attempt builds the file that is to stand in this place.
pub(super) fn staging_path(place: &Path, nonce: &str) -> PathBuf {
    place.with_extension(format!("{nonce}.new"))
}

impl Sqlite {
    /// Removes what an attempt has left: nothing stays, unless its last transaction went through all the same.
    pub(crate) async fn undo(&self, new: &Creation, _: &Limits) -> Result<ProvisionState, DatabaseError> {
        let Some(place) = self.tenant(&new.schema) else { return Ok(ProvisionState::Absent) };
        // SQLite's own thread may be in the middle of a statement of the attempt that was dropped, also of its COMMIT: only
        // who has the write lock knows what became of it.
        let failing = DatabaseError::Failed;
        let mut shared = None;
        if disk::exists(&self.shared()).await.map_err(failing)? {
            shared = Some(files::write(&self.shared(), false, files::BUSY).await?);
        }
        if let Some(shared) = &mut shared {
            files::rows(shared, "BEGIN IMMEDIATE").await.map_err(|error| failed(&error))?;
        }
        let registered = self.registered().await?.contains(&new.schema);
        let staging_path = staging_path(&place, &new.nonce);
        if !registered && disk::is_same(&staging_path, &place).await.map_err(failing)? {
            disk::remove(&place).await.map_err(failing)?;
        }
        disk::remove(&staging_path).await.map_err(failing)?;
        if let Some(shared) = shared {
            let _ = shared.close().await;
        }
        Ok(match (registered, disk::exists(&place).await.map_err(failing)?) {
            (true, true) if new.commit_marker.transaction().is_some() => ProvisionState::Complete,
            // What both are is somebody else's, who was quicker.
            (false, false) | (true, true) => ProvisionState::Absent,
            (true, false) => {
                ProvisionState::Unproven(format!("a row for `{}` appeared meanwhile", new.schema))
            }
            (false, true) => {
                ProvisionState::Unproven(format!("a file for `{}` appeared meanwhile", new.schema))
            }
        })
    }

    pub(crate) async fn registered(&self) -> Result<BTreeSet<String>, DatabaseError> {
        let rows = self.read_registry().await?.unwrap_or_default();
        Ok(rows.tenants.into_iter().chain(rows.others).collect())
    }

    /// Removes what killed runs were building.
    pub(crate) async fn recover(
        &self,
        _: Option<&Domains>,
        _: &Limits,
    ) -> Result<Vec<Recovered>, DatabaseError> {
        let folder = self.tenants_folder();
        let names = disk::names(&folder).await.unwrap_or_default().into_iter();
        let left: Vec<(String, String)> =
            names.filter_map(|name| Some((built(&name)?.to_owned(), name))).collect();
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let registered = self.registered().await?;
        let mut leftovers = Vec::new();
        for (tenant, name) in left {
            let (staging_path, place) = (folder.join(&name), folder.join(format!("{tenant}.sqlite")));
            let whole = registered.contains(&tenant);
            let removed = async {
                let placed = disk::is_same(&staging_path, &place).await?;
                if placed && !whole {
                    disk::remove(&place).await?;
                }
                disk::remove(&staging_path).await.map(|()| placed)
            };
            let result = match removed.await {
                Ok(placed) if placed && whole => continue,
                Ok(_) => RecoveryResult::Removed,
                Err(why) => RecoveryResult::Failed(why.text),
            };
            leftovers.push(Recovered { tenant, started_by: format!("a run that built `{name}`"), result });
        }
        Ok(leftovers)
    }

    /// The row goes first: a file that no row names is nobody's tenant.
    pub(crate) async fn delete(
        &self,
        tenant: &str,
        _: Option<&Domains>,
        _: &str,
        _: &Limits,
    ) -> Result<Deleted, DatabaseError> {
        let refuse = |why: &str| Err(DatabaseError::Failed(why.into()));
        let Some(config) = &self.registry else { return refuse("there is no registry") };
        let Some(path) = self.tenant(tenant) else { return refuse("the name cannot be a file's") };
        let mut shared = files::write(&self.shared(), false, files::BUSY).await?;
        let sql = format!(
            "DELETE FROM {} WHERE {} = {} RETURNING 1",
            files::identifier(registry::table(config)),
            files::identifier(&config.schema_column),
            files::literal(tenant),
        );
        let rows = files::rows(&mut shared, &sql).await;
        let _ = shared.close().await;
        let rows = rows.map_err(|error| failed(&error))?.len();
        let stands = disk::exists(&path).await.map_err(DatabaseError::Failed)?;
        if rows == 0 && !stands {
            return refuse("no row and no file of that name is there");
        }
        let mut tables = None;
        if stands {
            let mut connection = files::read_existing(&path).await?;
            if rows == 0 && !Sqlite::has_table(&mut connection, LEDGER.table).await.unwrap_or(false) {
                return refuse("the registry does not name it, and the file of that name is not a tenant's");
            }
            let sql =
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
            tables = files::rows(&mut connection, sql).await.ok().map(|rows| rows.len());
            let _ = connection.close().await;
            disk::remove(&path).await.map_err(|why| {
                let text = format!("its row is gone, and its file cannot be removed: {why}");
                DatabaseError::Failed(why.with_text(text))
            })?;
        }
        Ok(Deleted { rows, domains: 0, tables, transactions: 1 })
    }
}

/// The tenant of a file that is being built, by its name; also of what SQLite keeps beside it.
fn built(name: &str) -> Option<&str> {
    let name = STAGING_SUFFIX.iter().skip(1).find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    let (tenant, nonce) = name.strip_suffix(".new")?.rsplit_once('.')?;
    let is_nonce = nonce.len() == NONCE && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_nonce && !tenant.is_empty()).then_some(tenant)
}

fn failed(error: &sqlx::Error) -> DatabaseError {
    let why = files::cause(error);
    if files::is_busy(error) { DatabaseError::NotYet(why) } else { DatabaseError::Failed(why) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_with_a_nonce_is_one_that_was_being_built() {
        let nonce = "0123456789abcdef0123456789abcdef";
        assert_eq!(built(&format!("a.b.{nonce}.new")), Some("a.b"));
        assert_eq!(built(&format!("acme.{nonce}.new-wal")), Some("acme"));
        for name in ["acme.sqlite", "acme.new", "acme.0123.new", &format!(".{nonce}.new"), "acme.sqlite-wal"]
        {
            assert_eq!(built(name), None, "{name}");
        }
    }
}
