//! Asks a tenant's tables a question each, in its own schema, in READ ONLY transactions.

use std::time::Duration;

use super::{DatabaseError, Postgres, QUERY_CANCELED, connect, quote::qualified, read_only::Reading};
use crate::tenants::inspection::Rows;

/// A server process never gives back what it caches of each table.
const TENANTS_A_CONNECTION: usize = 200;
const TABLES_A_STATEMENT: usize = 50;

/// For counting one table; a larger one answers without being counted.
const COUNT: Duration = Duration::from_secs(5);

impl Postgres {
    pub(crate) async fn count(
        &self,
        tenant: &str,
        tables: &[String],
    ) -> Result<Vec<(String, Rows)>, DatabaseError> {
        let mut reading = Reading::open(self.reader(), COUNT).await?;
        let mut answers = Vec::new();
        for table in tables {
            let name = qualified(tenant, table);
            let counted = reading.rows(&format!("SELECT pg_catalog.count(*)::text FROM {name}")).await;
            let rows = match counted.and_then(|rows| connect::number(&rows, 0)) {
                Ok(rows) => Rows::Counted(rows),
                Err(error) if connect::code(&error) == Some(QUERY_CANCELED) => {
                    let one = reading.rows(&format!("SELECT 1::text FROM {name} LIMIT 1")).await;
                    one.map_or_else(|error| Rows::Failed(connect::cause(&error).text), |_| Rows::Uncounted)
                }
                Err(error) if connect::is_lost(&error) => return Err(connect::failed(&error)),
                Err(error) => Rows::Failed(connect::cause(&error).text),
            };
            answers.push((table.clone(), rows));
        }
        reading.close().await;
        Ok(answers)
    }

    /// One statement a tenant, whose tables are read one row each.
    pub(crate) async fn silent(
        &self,
        tenants: &[(String, Vec<String>)],
    ) -> Result<Vec<String>, DatabaseError> {
        let mut silent = Vec::new();
        for some in tenants.chunks(TENANTS_A_CONNECTION) {
            let mut reading = Reading::open(self.reader(), COUNT).await?.under_policies();
            for (tenant, tables) in some {
                let row = |table: &String| format!("(SELECT 1 FROM {} LIMIT 1)", qualified(tenant, table));
                for tables in tables.chunks(TABLES_A_STATEMENT) {
                    let rows: Vec<String> = tables.iter().map(row).collect();
                    match reading.rows(&format!("SELECT {}", rows.join(", "))).await {
                        Ok(_) => {}
                        Err(error) if connect::is_lost(&error) => return Err(connect::failed(&error)),
                        Err(error) => silent.push(format!("{tenant}: {}", connect::cause(&error))),
                    }
                }
            }
            reading.close().await;
        }
        Ok(silent)
    }
}
