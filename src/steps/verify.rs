//! `verify`: asks the gate, and with `wait` asks again until others have done their work.

use tokio::time::{self, Duration, Instant};

use super::Context;
use crate::{
    config::Verify,
    database::DatabaseError,
    failure::Failure,
    report::{
        event::{Event, Trouble},
        judgement,
    },
    tenants::gate::{Judgement, Outcome},
};

/// The pause between two looks while waiting.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(verify: &Verify, context: &Context<'_>) -> Result<String, Trouble> {
    let started = Instant::now();
    let deadline = verify.wait.map(|wait| started + wait);
    let mut last = String::new();
    loop {
        let looked = look(verify, context).await;
        let (again, why) = match &looked {
            Ok(judgement) => (judgement.is_only_pending(), judgement::summary(judgement)),
            Err(DatabaseError::NotYet(why)) => (true, why.clone()),
            Err(_) => (false, String::new()),
        };
        if !again || deadline.is_none_or(|deadline| Instant::now() + PAUSE >= deadline) {
            return conclude(looked, verify, context);
        }
        if why != last {
            let (what, elapsed) = ("everything to be complete".into(), started.elapsed());
            (context.tell)(Event::Waiting { step: context.step, what, last: why.clone(), elapsed });
            last = why;
        }
        time::sleep(PAUSE).await;
    }
}

async fn look(verify: &Verify, context: &Context<'_>) -> Result<Judgement, DatabaseError> {
    let expectation =
        context.work.expectation().await.map_err(|failure| DatabaseError::Failed(failure.to_string()))?;
    let manifest = &expectation.manifest;
    let found = context.work.look(manifest, verify.shared, Some(&verify.tenants), verify.timeout).await?;
    Ok(context.work.judge(manifest, &found))
}

fn conclude(
    looked: Result<Judgement, DatabaseError>,
    verify: &Verify,
    context: &Context<'_>,
) -> Result<String, Trouble> {
    let unproven = |why: String| Failure::Unproven { what: "everything is complete".into(), why };
    let judgement = match looked {
        Ok(judgement) => judgement,
        Err(DatabaseError::TimedOut) => {
            let why = format!("looking ran longer than {}", crate::failure::words(verify.timeout));
            return Err(unproven(why).into());
        }
        Err(DatabaseError::Failed(why)) => return Err(unproven(why).into()),
        Err(error) => return Err(error.into_failure("verifying").into()),
    };
    for warning in judgement::warnings(&judgement) {
        context.warn(warning);
    }
    (context.tell)(Event::Judged {
        step: context.step,
        complete: judgement.count(Outcome::Complete),
        incomplete: judgement.count(Outcome::Incomplete),
        unproven: judgement.count(Outcome::Unproven),
    });
    let summary = judgement::summary(&judgement);
    let failure = match judgement.outcome() {
        Outcome::Complete => return Ok(summary),
        Outcome::Incomplete => Failure::Incomplete { summary },
        Outcome::Unproven => unproven(summary),
    };
    Err(Trouble { judgement: Some(judgement), ..Trouble::from(failure) })
}
