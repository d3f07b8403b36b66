//! Asks a tenant's tables a question each, in its own file, opened read-only.

use sqlx::{Connection, Row};

use super::{Sqlite, files};
use crate::{database::DatabaseError, tenants::inspection::Rows};

impl Sqlite {
    pub(crate) async fn count(
        &self,
        tenant: &str,
        tables: &[String],
    ) -> Result<Vec<(String, Rows)>, DatabaseError> {
        let path =
            self.tenant(tenant).ok_or_else(|| DatabaseError::Failed("the name cannot be a file's".into()))?;
        let mut connection = files::read_existing(&path).await?;
        let mut answers = Vec::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM {}", files::identifier(table));
            let counted = files::rows(&mut connection, &sql).await.and_then(|rows| {
                rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get::<i64, _>(0))
            });
            let rows = match counted {
                Ok(rows) => Rows::Counted(rows.cast_unsigned()),
                Err(error) => Rows::Failed(files::cause(&error).text),
            };
            answers.push((table.clone(), rows));
        }
        let _ = connection.close().await;
        Ok(answers)
    }

    pub(crate) async fn silent(
        &self,
        tenants: &[(String, Vec<String>)],
    ) -> Result<Vec<String>, DatabaseError> {
        let mut silent = Vec::new();
        for (tenant, tables) in tenants {
            for (table, rows) in self.count(tenant, tables).await? {
                if let Rows::Failed(why) = rows {
                    silent.push(format!("{tenant}: `{table}`: {why}"));
                }
            }
        }
        Ok(silent)
    }
}
