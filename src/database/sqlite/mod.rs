//! SQLite: one folder with one file for what tenants share, and one file for each tenant.

mod answer;
mod apply;
pub(crate) mod derive;
mod examine;
mod files;
pub(crate) mod lock;
mod look;
mod provision;
mod record;
mod registry;
mod remains;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use sqlx::{Connection, sqlite::SqliteConnection};

use super::{DatabaseError, places};
use crate::{config, frameworks::sql, tenants::ledger::Shape};

const LEDGER: Shape = sql::SHAPE;

/// Where the folder is, and how the registry is named.
#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    folder: PathBuf,
    registry: Option<config::Registry>,
}

impl Sqlite {
    pub(super) fn new(config: &config::Sqlite, registry: Option<&config::Registry>) -> Self {
        Self { folder: config.folder.clone(), registry: registry.cloned() }
    }

    fn shared(&self) -> PathBuf {
        self.folder.join("shared.sqlite")
    }

    fn tenants_folder(&self) -> PathBuf {
        self.folder.join("tenants")
    }

    /// None for a name that cannot be a file's.
    fn tenant(&self, name: &str) -> Option<PathBuf> {
        let fits = !name.is_empty()
            && name.len() <= 200
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c.is_control());
        fits.then(|| self.tenants_folder().join(format!("{name}.sqlite")))
    }

    pub(super) async fn ping(&self) -> Result<(), DatabaseError> {
        let shared = self.shared();
        if shared.exists() {
            let mut connection = files::read(&shared).await.map_err(DatabaseError::Never)?;
            // A file that is no database says so at the first read, not when it is opened.
            let answer = files::rows(&mut connection, "SELECT count(*) FROM sqlite_master").await;
            let _ = connection.close().await;
            return answer.map(drop).map_err(|error| {
                let why = format!("`{}`: {}", shared.display(), files::words(&error));
                if files::is_busy(&error) { DatabaseError::NotYet(why) } else { DatabaseError::Never(why) }
            });
        }
        // The first writer makes the folder, so what counts is the nearest one that is there.
        let mut folder: &Path = &self.folder;
        while !folder.as_os_str().is_empty() && !folder.exists() {
            folder = folder.parent().unwrap_or(Path::new(""));
        }
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !folder.is_dir() {
            return Err(DatabaseError::Never(format!("`{}` is not a folder", folder.display())));
        }
        access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
            let why = error.desc().to_lowercase();
            DatabaseError::Never(format!("cannot write to `{}`: {why}", folder.display()))
        })
    }

    pub(super) async fn run_sql(&self, sql: &str) -> Result<(), DatabaseError> {
        let mut connection = files::write(&self.shared(), true, files::BUSY).await?;
        let outcome = files::statements(&mut connection, sql).await;
        let _ = connection.close().await;
        outcome.map_err(|(done, error)| {
            let why = files::words(&error);
            DatabaseError::Failed(match places::line_of_statement(sql, done) {
                Some(line) => format!("line {line}: {why}"),
                None => why,
            })
        })
    }

    /// Whether a table or view of that name stands in an open file.
    async fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, sqlx::Error> {
        let sql = format!(
            "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = {} COLLATE NOCASE",
            files::literal(name)
        );
        Ok(!files::rows(connection, &sql).await?.is_empty())
    }
}
