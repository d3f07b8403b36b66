//! The `ping` query and the unchanged statements of `sql` steps.

use std::time::Duration;

use super::{
    DatabaseError, Postgres, QUERY_CANCELED, connect,
    lock::RUN_PREFIX,
    run_migration::{self, Lifetime},
};
use crate::{database::NoticeSender, deadline::Deadline};

impl Postgres {
    pub(crate) async fn ping(&self) -> Result<(), DatabaseError> {
        let mut connection = connect::connect_once(&self.config, None).await?;
        let answer = connection.rows("SELECT 1").await;
        connection.close().await;
        answer.map(drop).map_err(|error| DatabaseError::NotYet(error.cause()))
    }

    pub(crate) async fn run_sql(
        &self,
        sql: &str,
        timeout: Duration,
        locked: bool,
        notices: NoticeSender,
    ) -> Result<(), DatabaseError> {
        // The next holder of the lock ends the sessions with the run's name. Only a session under the lock has that name.
        let name = if locked { format!("{}{}", RUN_PREFIX, self.run) } else { "portcullis".into() };
        let mut connection = run_migration::primary(self.direct(), &name).await?;
        let settings = run_migration::session(&connection, Lifetime::Session);
        connection.rows(&settings).await?;
        let limit = format!("SET statement_timeout = {}", timeout.as_millis());
        connection.rows(&limit).await?;
        connection.set_notices(Some(notices.of_statements()));
        if let Err((done, error)) = connection.statements(sql, Deadline::after(timeout)).await {
            if error.code() == Some(QUERY_CANCELED) {
                return Err(DatabaseError::TimedOut);
            }
            let line = run_migration::line(sql, done, &error);
            let failed = DatabaseError::from(error);
            return Err(match line {
                Some(line) => failed.with_text(|why| format!("line {line}: {why}")),
                None => failed,
            });
        }
        connection.close().await;
        Ok(())
    }
}
