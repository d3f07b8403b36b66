//! Runs `sql` steps: statements in the shared database.

use std::{ops::Deref, time::Duration};

use super::context::Context;
use crate::{actions::lock::Locked, database::DatabaseError, failure::Failure, outcome::FailureDetails};

pub(super) async fn run(
    sql: &str,
    timeout: Duration,
    locked: Option<&Locked<'_>>,
    context: &Context<'_>,
) -> Result<String, FailureDetails> {
    match context.state.context.database()?.run_sql(sql, timeout, locked.map(Deref::deref)).await {
        Ok(()) => Ok("done".into()),
        Err(DatabaseError::Failed(why)) => Err(Failure::SqlFailed { why }.into()),
        Err(DatabaseError::TimedOut) => {
            Err(Failure::TimedOut { what: "the SQL".into(), after: timeout }.into())
        }
        Err(error) => Err(error.into_failure("running the SQL").into()),
    }
}
