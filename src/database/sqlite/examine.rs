//! The doctor's facts about SQLite: duplicates in the registry and files left by killed runs.

use std::path::Path;

use sqlx::{Connection, Row};

use super::{Sqlite, disk, files, registry};
use crate::{
    cause::Cause,
    config,
    database::{DatabaseError, examined::Examined},
};

impl Sqlite {
    pub(crate) async fn examine(&self, _: &[String]) -> Examined {
        let text = |error: DatabaseError| error.to_string();
        Examined {
            duplicates: match &self.registry {
                Some(registry) => self.duplicates(registry).await.map_err(text).transpose(),
                None => None,
            },
            leftovers: Some(self.leftovers().await.map_err(|why| why.text)),
            ..Examined::default()
        }
    }

    /// None if the file does not exist yet.
    async fn duplicates(&self, registry: &config::Registry) -> Result<Option<Vec<String>>, DatabaseError> {
        let opened = files::read(&self.shared()).await.map_err(DatabaseError::Failed)?;
        let Some(mut connection) = opened else { return Ok(None) };
        let column = files::identifier(&registry.schema_column);
        let sql = format!(
            "SELECT CAST({column} AS TEXT) FROM {} GROUP BY {column} HAVING count(*) > 1 ORDER BY 1",
            files::identifier(registry::table(registry))
        );
        let rows = files::rows(&mut connection, &sql).await;
        let _ = connection.close().await;
        let names = rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        names.map(Some).map_err(DatabaseError::from)
    }

    /// Staging files.
    async fn leftovers(&self) -> Result<Vec<String>, Cause> {
        let folder = self.tenants_folder();
        let names = disk::names(&folder).await?.into_iter();
        let built = names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "new"));
        let mut leftovers: Vec<String> =
            built.map(|name| format!("the file {}", folder.join(name).display())).collect();
        leftovers.sort_unstable();
        Ok(leftovers)
    }
}
