//! Runs the gate until its judgement is final.

use tokio::time::{Duration, Instant};

use super::{
    context::RunContext,
    judge::{inspect_request, judge, observe},
    lock::RunLock,
    structure_rules::structure_rules,
};
use crate::{
    cause::{Cause, Kind},
    config::{Selection, StructureCheck},
    database::{DatabaseError, InspectRequest, NO_PROGRESS},
    failure::Failure,
    outcome::wording,
    retry::{Pauses, Retry},
    tenants::{gate::Judgement, manifest::Manifest},
    words::duration,
};

/// The unit of progress.
pub(crate) const INSPECTED: &str = "schemas inspected";

const CHECKING_STRUCTURE: &str = "the structure differs; checking again";

/// The pause between two inspections.
const PAUSE: Duration = Duration::from_millis(1200);

/// The parameters of a verification.
pub(crate) struct VerifyRequest<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) shared: bool,
    pub(crate) tenants: &'a Selection,
    /// The time limit of one inspection.
    pub(crate) timeout: Duration,
    pub(crate) structure: StructureCheck,
    /// How long to repeat the inspection while other runs may still migrate.
    pub(crate) wait: Option<Duration>,
    /// Receives the progress of the first inspection: schemas inspected, and their total.
    pub(crate) on_progress: &'a dyn Fn(usize, usize),
}

/// Returns the judgement. `on_wait` receives the reason of each repetition, and the elapsed time.
pub(crate) async fn verify(
    context: &RunContext,
    lock: &RunLock,
    request: &VerifyRequest<'_>,
    on_wait: &dyn Fn(String, Duration),
) -> Result<Judgement, Failure> {
    let started = Instant::now();
    let mut previous = None;
    let mut last = String::new();
    let mut retry = Retry::new(Pauses::even(PAUSE));
    loop {
        let inspection = inspect(context, request, previous.is_none()).await;
        let elapsed = started.elapsed() + PAUSE;
        let reason = match &inspection {
            Ok(judgement) if judgement.is_only_pending() => {
                reason_to_repeat(context, lock, request, judgement, previous.as_ref(), elapsed).await
            }
            // A migration may have been committed between the ledger and the structure.
            Ok(judgement) if judgement.is_blocked_by_structure() && previous.as_ref() != Some(judgement) => {
                (elapsed < context.config.gate.settle).then(|| CHECKING_STRUCTURE.into())
            }
            Err(DatabaseError::NotYet(why)) if request.wait.is_some_and(|wait| elapsed < wait) => {
                Some(why.to_string())
            }
            _ => None,
        };
        let Some(why) = reason else {
            return inspection.map_err(|error| failure(error, request.timeout));
        };
        if why != last {
            on_wait(why.clone(), started.elapsed());
            last = why;
        }
        previous = inspection.ok();
        retry.pause().await;
    }
}

async fn inspect(
    context: &RunContext,
    request: &VerifyRequest<'_>,
    first: bool,
) -> Result<Judgement, DatabaseError> {
    let rules = structure_rules(context, request.structure).await;
    let inspect_request = InspectRequest {
        structure: rules.is_some(),
        on_progress: if first { request.on_progress } else { NO_PROGRESS },
        ..inspect_request(context, request.manifest, request.shared, Some(request.tenants), request.timeout)
    };
    let found = observe(context, &inspect_request).await?;
    Ok(judge(context, request.manifest, &found, rules.as_ref()))
}

/// Returns the reason to inspect again, if pending migrations are the only findings and other runs may still apply
/// them: a wait is requested, a run holds the lock, or the judgement has advanced (a tenant is being created).
async fn reason_to_repeat(
    context: &RunContext,
    lock: &RunLock,
    request: &VerifyRequest<'_>,
    judgement: &Judgement,
    previous: Option<&Judgement>,
    elapsed: Duration,
) -> Option<String> {
    let summary = wording::summary(judgement);
    if request.wait.is_some_and(|wait| elapsed < wait) {
        return Some(summary);
    }
    if elapsed < context.config.lock_timeout
        && let Some(holder) = lock.held_by_another(context).await
    {
        return Some(format!("{summary}; in progress: {holder}"));
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
