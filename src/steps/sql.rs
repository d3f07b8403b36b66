//! `sql`: statements against the shared database.

use std::time::Duration;

use super::context::Context;
use crate::{database::DatabaseError, failure::Failure, outcome::FailureDetails};

pub(super) async fn run(
    sql: &str,
    timeout: Duration,
    once: bool,
    context: &Context<'_>,
) -> Result<String, FailureDetails> {
    match context.state.context.database()?.run_sql(sql, timeout, once).await {
        Ok(()) => Ok("done".into()),
        Err(DatabaseError::Failed(why)) => Err(Failure::SqlFailed { why }.into()),
        Err(DatabaseError::TimedOut) => {
            Err(Failure::TimedOut { what: "the SQL".into(), after: timeout }.into())
        }
        Err(error) => Err(error.into_failure("running the SQL").into()),
    }
}
