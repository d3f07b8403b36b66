//! Asks the gate until it has an answer that time alone will not change.

use tokio::time::{self, Duration, Instant};

use super::{
    context::RunContext,
    judge::{ask, judge, question},
    lock::RunLock,
};
use crate::{
    cause::{Cause, Kind},
    config::Selection,
    database::{DatabaseError, InspectRequest, NO_PROGRESS},
    failure::Failure,
    outcome::wording,
    tenants::{gate::Judgement, manifest::Manifest},
    words::duration,
};

/// What progress counts.
pub(crate) const LOOKED: &str = "schemas inspected";

/// The pause between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked of the gate.
pub(crate) struct VerifyRequest<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) shared: bool,
    pub(crate) tenants: &'a Selection,
    /// For one look.
    pub(crate) timeout: Duration,
    /// How long to look again while others may still have work to do.
    pub(crate) wait: Option<Duration>,
    /// Hears how many schemas of how many the first look has been at.
    pub(crate) on_progress: &'a dyn Fn(usize, usize),
}

/// Returns the judgement. `say` hears why it looks again, and since when.
pub(crate) async fn verify(
    context: &RunContext,
    lock: &RunLock,
    asked: &VerifyRequest<'_>,
    on_wait: &dyn Fn(String, Duration),
) -> Result<Judgement, Failure> {
    let started = Instant::now();
    let mut previous = None;
    let mut last = String::new();
    loop {
        let on_progress = inspect(context, asked, previous.is_none()).await;
        let elapsed = started.elapsed() + PAUSE;
        let again = match &on_progress {
            Ok(judgement) if judgement.is_only_pending() => {
                why_again(context, lock, asked, judgement, previous.as_ref(), elapsed).await
            }
            Err(DatabaseError::NotYet(why)) if asked.wait.is_some_and(|wait| elapsed < wait) => {
                Some(why.to_string())
            }
            _ => None,
        };
        let Some(why) = again else {
            return on_progress.map_err(|error| failure(error, asked.timeout));
        };
        if why != last {
            on_wait(why.clone(), started.elapsed());
            last = why;
        }
        previous = on_progress.ok();
        time::sleep(PAUSE).await;
    }
}

async fn inspect(
    context: &RunContext,
    asked: &VerifyRequest<'_>,
    first: bool,
) -> Result<Judgement, DatabaseError> {
    let question = InspectRequest {
        on_progress: if first { asked.on_progress } else { NO_PROGRESS },
        ..question(context, asked.manifest, asked.shared, Some(asked.tenants), asked.timeout)
    };
    Ok(judge(context, asked.manifest, &ask(context, &question).await?))
}

/// All that is wrong is work that others may still do. Whether they will: because it is waited for, because a run
/// holds the lock, or because it advanced since the look before, as a tenant does that is being created.
async fn why_again(
    context: &RunContext,
    lock: &RunLock,
    asked: &VerifyRequest<'_>,
    judgement: &Judgement,
    previous: Option<&Judgement>,
    elapsed: Duration,
) -> Option<String> {
    let summary = wording::summary(judgement);
    if asked.wait.is_some_and(|wait| elapsed < wait) {
        return Some(summary);
    }
    if elapsed < context.config.lock_timeout
        && let Some(holder) = lock.held_by_another(context).await
    {
        return Some(format!("{summary}; at work: {holder}"));
    }
    let advanced = previous.is_none_or(|previous| previous != judgement);
    (advanced && elapsed < context.config.gate.settle).then(|| format!("{summary}; checking again"))
}

fn failure(error: DatabaseError, timeout: Duration) -> Failure {
    let unproven = |why: Cause| Failure::Unproven { what: "everything is complete".into(), why };
    match error {
        DatabaseError::TimedOut => {
            let text = format!("the inspection ran longer than {}", duration(timeout));
            unproven(Cause::new(Kind::Silent, text))
        }
        DatabaseError::Failed(why) | DatabaseError::NotYet(why) => unproven(why),
        never @ DatabaseError::Never(_) => never.into_failure("verifying"),
    }
}
