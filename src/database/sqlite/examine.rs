//! What the doctor asks of SQLite: duplicates in the registry, and files that killed runs have left behind.

use std::fs;

use sqlx::{Connection, Row};

use super::{Sqlite, files, registry};
use crate::{
    config,
    database::{DatabaseError, examined::Examined},
};

impl Sqlite {
    pub(in super::super) async fn examine(&self) -> Examined {
        let words = |error: DatabaseError| error.to_string();
        Examined {
            duplicates: match &self.registry {
                Some(registry) if self.shared().exists() => {
                    Some(self.duplicates(registry).await.map_err(words))
                }
                _ => None,
            },
            leftovers: Some(self.leftovers()),
            ..Examined::default()
        }
    }

    async fn duplicates(&self, registry: &config::Registry) -> Result<Vec<String>, DatabaseError> {
        let mut connection = files::read(&self.shared()).await.map_err(DatabaseError::Failed)?;
        let column = files::identifier(&registry.schema_column);
        let sql = format!(
            "SELECT CAST({column} AS TEXT) FROM {} GROUP BY {column} HAVING count(*) > 1 ORDER BY 1",
            files::identifier(registry::table(registry))
        );
        let rows = files::rows(&mut connection, &sql).await;
        let _ = connection.close().await;
        let names = rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        names.map_err(|error| DatabaseError::Failed(files::words(&error)))
    }

    /// Files that were being built beside their places.
    fn leftovers(&self) -> Result<Vec<String>, String> {
        let folder = self.tenants_folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(format!("cannot list the folder `{}`: {error}", folder.display())),
        };
        let mut left = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.extension().is_some_and(|extension| extension == "new") {
                left.push(format!("the file {}", path.display()));
            }
        }
        left.sort_unstable();
        Ok(left)
    }
}
