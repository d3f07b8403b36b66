//! Asks a tenant's tables a question each, in its own schema, in READ ONLY transactions.

use std::time::Duration;

use super::{DatabaseError, Postgres, QUERY_CANCELED, connect, quote::qualified, reading::Reading};
use crate::tenants::found::Rows;

/// For counting one table; a larger one answers without being counted.
const COUNT: Duration = Duration::from_secs(5);

impl Postgres {
    pub(in super::super) async fn count(
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
                    one.map_or_else(|error| Rows::Failed(connect::words(&error)), |_| Rows::Uncounted)
                }
                Err(error) if connect::is_lost(&error) => return Err(connect::failed(&error)),
                Err(error) => Rows::Failed(connect::words(&error)),
            };
            answers.push((table.clone(), rows));
        }
        reading.close().await;
        Ok(answers)
    }
}
