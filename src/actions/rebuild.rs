//! Creates a lost app's tables by the recording of its migrations.

use super::{context::RunContext, lock::Locked};
use crate::{
    database::{ApplyEnd, Limits},
    deadline::Deadline,
    failure::Failure,
    tenants::recording::{Recorded, Recording},
};

/// Runs the recording for the tenant, or returns the failure and its reason. None if the framework has run the migrations
/// itself.
pub(crate) async fn rebuild(
    context: &RunContext,
    locked: &Locked<'_>,
    (app, tenant): (&str, &str),
    recorded: Option<Recorded>,
) -> Result<(), (Failure, Vec<String>)> {
    let failed = |limit| Failure::ReplayFailed { app: app.into(), tenant: tenant.into(), limit };
    let recording: Recording = match recorded {
        None => return Ok(()),
        Some(Recorded::Recording(recording)) => recording,
        Some(Recorded::Refused(why)) => return Err((failed(None), vec![why])),
    };
    let rebuilding = async {
        locked.check().await?;
        let timeout = context.migrations()?.apply.timeout;
        let limits = Limits { deadline: Deadline::after(timeout), ..context.limits()? };
        Ok((
            timeout,
            limits.deadline.limit(context.database()?.rebuild(locked, tenant, &recording, &limits)).await,
        ))
    };
    match rebuilding.await.map_err(|failure| (failure, Vec::new()))? {
        (_, Ok(Ok(()))) => Ok(()),
        (timeout, Err(_)) => Err((failed(Some(timeout)), Vec::new())),
        (_, Ok(Err(error))) if error.end == ApplyEnd::Lost => {
            Err((Failure::Database { what: "replaying".into(), why: error.why }, Vec::new()))
        }
        (_, Ok(Err(error))) => Err((failed(None), vec![error.why.to_string()])),
    }
}
