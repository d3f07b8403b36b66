//! Queries each of a schema's tables in its file, opened read-only.

use sqlx::{Connection, Row};

use super::{Sqlite, files};
use crate::{
    database::{DatabaseError, Schema},
    tenants::inspection::Rows,
};

impl Sqlite {
    pub(crate) async fn count(
        &self,
        schema: &Schema,
        tables: &[String],
    ) -> Result<Vec<(String, Rows)>, DatabaseError> {
        let path = self
            .path(schema)
            .ok_or_else(|| DatabaseError::Failed("the name is not valid as a file name".into()))?;
        let mut connection = files::read_existing(&path).await?;
        let mut counts = Vec::new();
        for table in tables {
            let sql = format!("SELECT count(*) FROM {}", files::identifier(table));
            let counted = files::rows(&mut connection, &sql).await.and_then(|rows| {
                rows.first().ok_or(sqlx::Error::RowNotFound).and_then(|row| row.try_get::<i64, _>(0))
            });
            let rows = match counted {
                Ok(rows) => Rows::Counted(rows.cast_unsigned()),
                Err(error) => Rows::Failed(files::cause(&error).text),
            };
            counts.push((table.clone(), rows));
        }
        let _ = connection.close().await;
        Ok(counts)
    }

    pub(crate) async fn unreadable_tables(
        &self,
        tenants: &[(String, Vec<String>)],
    ) -> Result<Vec<String>, DatabaseError> {
        let mut unreadable = Vec::new();
        for (tenant, tables) in tenants {
            for (table, rows) in self.count(&Schema::Tenant(tenant.clone()), tables).await? {
                if let Rows::Failed(why) = rows {
                    unreadable.push(format!("{tenant}: `{table}`: {why}"));
                }
            }
        }
        Ok(unreadable)
    }
}
