//! Runs `sql` steps: statements in the shared database.

use std::{ops::Deref, time::Duration};

use super::context::Context;
use crate::{
    actions::{lock::Locked, notices::NoticeLog},
    database::DatabaseError,
    failure::Failure,
    outcome::FailureDetails,
};

pub(super) async fn run(
    sql: &str,
    timeout: Duration,
    locked: Option<&Locked<'_>>,
    context: &Context<'_>,
) -> Result<String, FailureDetails> {
    let database = context.state.context.database()?;
    let on_event = |event| context.report(event);
    let messages = NoticeLog::new(&on_event);
    let ran = messages.passing_on(None, async |notices| {
        database.run_sql(sql, timeout, locked.map(Deref::deref), notices).await
    });
    match ran.await {
        Ok(()) => Ok("done".into()),
        Err(DatabaseError::Failed(why)) => Err(Failure::SqlFailed { why }.into()),
        Err(DatabaseError::TimedOut) => {
            Err(Failure::TimedOut { what: "the SQL".into(), after: timeout }.into())
        }
        Err(error) => Err(error.into_failure("running the SQL").into()),
    }
}
