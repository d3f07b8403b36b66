//! Queries each of a schema's tables in READ ONLY transactions.

use std::time::Duration;

use super::{DatabaseError, Postgres, QUERY_CANCELED, connect, quote::qualified, read_only::Reading};
use crate::{database::Schema, tenants::inspection::Rows};

/// A server process never frees its cache of each table.
const TENANTS_PER_CONNECTION: usize = 200;
const TABLES_PER_STATEMENT: usize = 50;

/// For the count of one table; a larger table is only checked to be readable.
const COUNT: Duration = Duration::from_secs(5);

/// The error of a materialized view `WITH NO DATA`.
const NOT_POPULATED: &str = "55000";

impl Postgres {
    pub(crate) async fn count(
        &self,
        schema: &Schema,
        tables: &[String],
    ) -> Result<Vec<(String, Rows)>, DatabaseError> {
        let schema = self.schema_name(schema);
        let mut reading = Reading::open(self.reader(), COUNT).await?;
        let mut counts = Vec::new();
        for table in tables {
            let name = qualified(schema, table);
            let counted = reading.rows(&format!("SELECT pg_catalog.count(*)::text FROM {name}")).await;
            let rows = match counted.and_then(|rows| connect::number(&rows, 0)) {
                Ok(rows) => Rows::Counted(rows),
                Err(error) if error.code() == Some(QUERY_CANCELED) => {
                    let one = reading.rows(&format!("SELECT 1::text FROM {name} LIMIT 1")).await;
                    one.map_or_else(|error| Rows::Failed(error.cause().text), |_| Rows::Uncounted)
                }
                Err(error) if error.is_lost() => return Err(error.into()),
                Err(error) if error.code() == Some(NOT_POPULATED) => Rows::Counted(0),
                Err(error) => Rows::Failed(error.cause().text),
            };
            counts.push((table.clone(), rows));
        }
        reading.close().await;
        Ok(counts)
    }

    /// Reads one row of each table, with one statement per 50 tables of a tenant.
    pub(crate) async fn unreadable_tables(
        &self,
        tenants: &[(String, Vec<String>)],
    ) -> Result<Vec<String>, DatabaseError> {
        let mut unreadable = Vec::new();
        for chunk in tenants.chunks(TENANTS_PER_CONNECTION) {
            let mut reading = Reading::open(self.reader(), COUNT).await?.under_policies();
            for (tenant, tables) in chunk {
                let row = |table: &String| format!("(SELECT 1 FROM {} LIMIT 1)", qualified(tenant, table));
                for tables in tables.chunks(TABLES_PER_STATEMENT) {
                    let rows: Vec<String> = tables.iter().map(row).collect();
                    match reading.rows(&format!("SELECT {}", rows.join(", "))).await {
                        Ok(_) => {}
                        Err(error) if error.is_lost() => return Err(error.into()),
                        Err(error) => unreadable.push(format!("{tenant}: {}", error.cause())),
                    }
                }
            }
            reading.close().await;
        }
        Ok(unreadable)
    }
}
