//! Removes the files of unfinished creations, of this run and of killed runs, and deletes tenants.
//!
//! A file is built as `<tenant>.<nonce>.new` and linked to its final path. While both names exist and the registry has
//! no row, they prove that the file at the final path was built by that run.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use sqlx::Connection;

use super::{
    LEDGER, Sqlite,
    disk::{self, FILE_SUFFIXES},
    files, registry,
};
use crate::{
    database::{Creation, DatabaseError, Limits, ProvisionState, Recovered, RecoveryResult},
    tenants::{inspection::Deleted, manifest::Domains},
};

/// The number of digits of a nonce.
const NONCE: usize = 32;

/// The path at which an attempt builds the file for this final path.
pub(super) fn staging_path(final_path: &Path, nonce: &str) -> PathBuf {
    final_path.with_extension(format!("{nonce}.new"))
}

impl Sqlite {
    /// Removes the files of an attempt, unless its last transaction was committed.
    pub(crate) async fn roll_back(
        &self,
        new: &Creation,
        _: &Limits,
    ) -> Result<ProvisionState, DatabaseError> {
        let Some(final_path) = self.tenant(&new.schema) else { return Ok(ProvisionState::Absent) };
        // SQLite's thread may still run a statement of the dropped attempt, even its COMMIT: the outcome is certain
        // only under the write lock.
        let failing = DatabaseError::Failed;
        let mut shared = None;
        if disk::exists(&self.shared()).await.map_err(failing)? {
            shared = Some(files::write(&self.shared(), false, files::BUSY_TIMEOUT).await?);
        }
        if let Some(shared) = &mut shared {
            files::rows(shared, "BEGIN IMMEDIATE").await.map_err(|error| failed(&error))?;
        }
        let registered = self.registered().await?.contains(&new.schema);
        let staging_path = staging_path(&final_path, &new.nonce);
        if !registered && disk::is_same(&staging_path, &final_path).await.map_err(failing)? {
            disk::remove(&final_path).await.map_err(failing)?;
        }
        disk::remove(&staging_path).await.map_err(failing)?;
        if let Some(shared) = shared {
            let _ = shared.close().await;
        }
        Ok(match (registered, disk::exists(&final_path).await.map_err(failing)?) {
            (true, true) if new.commit_marker.transaction().is_some() => ProvisionState::Complete,
            // If both exist, another process created them first.
            (false, false) | (true, true) => ProvisionState::Absent,
            (true, false) => ProvisionState::Unproven(format!(
                "another process registered `{}` at the same time",
                new.schema
            )),
            (false, true) => ProvisionState::Unproven(format!(
                "another process created a file for `{}` at the same time",
                new.schema
            )),
        })
    }

    pub(crate) async fn registered(&self) -> Result<BTreeSet<String>, DatabaseError> {
        Ok(self.read_registry().await?.unwrap_or_default().names())
    }

    /// Removes the unfinished files of killed runs.
    pub(crate) async fn recover(
        &self,
        _: Option<&Domains>,
        _: &Limits,
    ) -> Result<Vec<Recovered>, DatabaseError> {
        let folder = self.tenants_folder();
        let names = disk::names(&folder).await.unwrap_or_default().into_iter();
        let staged: Vec<(String, String)> =
            names.filter_map(|name| Some((staged_tenant(&name)?.to_owned(), name))).collect();
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        let registered = self.registered().await?;
        let mut recovered = Vec::new();
        for (tenant, name) in staged {
            let (staging_path, final_path) = (folder.join(&name), folder.join(format!("{tenant}.sqlite")));
            let complete = registered.contains(&tenant);
            let removed = async {
                let linked = disk::is_same(&staging_path, &final_path).await?;
                if linked && !complete {
                    disk::remove(&final_path).await?;
                }
                disk::remove(&staging_path).await.map(|()| linked)
            };
            let result = match removed.await {
                Ok(linked) if linked && complete => continue,
                Ok(_) => RecoveryResult::Removed,
                Err(why) => RecoveryResult::Failed(why.text),
            };
            recovered.push(Recovered { tenant, started_by: format!("the run that built `{name}`"), result });
        }
        Ok(recovered)
    }

    /// Deletes the row first: a file without a row is not a tenant.
    pub(crate) async fn delete(
        &self,
        tenant: &str,
        _: Option<&Domains>,
        _: &str,
        _: &Limits,
    ) -> Result<Deleted, DatabaseError> {
        let refuse = |why: &str| Err(DatabaseError::Failed(why.into()));
        let Some(config) = &self.registry else { return refuse("no registry is configured") };
        let Some(path) = self.tenant(tenant) else { return refuse("the name is not valid as a file name") };
        let mut shared = files::write(&self.shared(), false, files::BUSY_TIMEOUT).await?;
        let sql = format!(
            "DELETE FROM {} WHERE {} = {} RETURNING 1",
            files::identifier(registry::table(config)),
            files::identifier(&config.schema_column),
            files::literal(tenant),
        );
        let rows = files::rows(&mut shared, &sql).await;
        let _ = shared.close().await;
        let rows = rows.map_err(|error| failed(&error))?.len();
        let file_exists = disk::exists(&path).await.map_err(DatabaseError::Failed)?;
        if rows == 0 && !file_exists {
            return refuse("no registry row and no file of that name exists");
        }
        let mut tables = None;
        if file_exists {
            let mut connection = files::read_existing(&path).await?;
            if rows == 0 && !Sqlite::has_table(&mut connection, LEDGER.table).await.unwrap_or(false) {
                return refuse(
                    "the registry does not contain it, and the file of that name is not a tenant's",
                );
            }
            let sql =
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
            tables = files::rows(&mut connection, sql).await.ok().map(|rows| rows.len());
            let _ = connection.close().await;
            disk::remove(&path).await.map_err(|why| {
                let text = format!("its registry row was deleted, but its file cannot be removed: {why}");
                DatabaseError::Failed(why.with_text(text))
            })?;
        }
        Ok(Deleted { rows, domains: 0, tables, transactions: 1 })
    }
}

/// The tenant of a staging file, or of a file that SQLite adds to it, from the file name.
fn staged_tenant(name: &str) -> Option<&str> {
    let name = FILE_SUFFIXES.iter().skip(1).find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
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
    fn only_a_file_name_with_a_nonce_is_a_staging_file() {
        let nonce = "0123456789abcdef0123456789abcdef";
        assert_eq!(staged_tenant(&format!("a.b.{nonce}.new")), Some("a.b"));
        assert_eq!(staged_tenant(&format!("acme.{nonce}.new-wal")), Some("acme"));
        for name in ["acme.sqlite", "acme.new", "acme.0123.new", &format!(".{nonce}.new"), "acme.sqlite-wal"]
        {
            assert_eq!(staged_tenant(name), None, "{name}");
        }
    }
}
