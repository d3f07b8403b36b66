//! The likely cause of a failure and the next steps: a function of the failure, its cause and the gate's findings. Pure.
//!
//! The gate, the doctor, `repair` and every command use it, so that a finding has the same advice everywhere.

mod causes;
#[cfg(test)]
mod documentation;
mod failures;
mod findings;
pub(crate) mod invocation;
mod objects;
mod refusals;
mod steps;
#[cfg(test)]
mod tests;

use self::steps::Steps;
pub(crate) use self::steps::{Action, Advice};
use super::running::Running;
use crate::{
    failure::Failure,
    outcome::{FailureDetails, doctor::Remedy},
    tenants::gate::Judgement,
};

/// The advice for a failure of the running command.
pub(crate) fn advice(details: &FailureDetails, running: Running) -> Advice {
    let mut steps = Steps::new(running);
    // The sender of the signal knows the reason.
    if matches!(details.failure, Failure::Interrupted { .. }) {
        return steps.advice();
    }
    if let Some(refusal) = &details.refusal {
        refusals::advise(&mut steps, refusal, &details.failure);
        return steps.advice();
    }
    let created = matches!(details.failure, Failure::Provisioning { .. });
    causes::of_migrations(&mut steps, &details.failed, details.judgement.as_ref(), created);
    if let Some(judgement) = &details.judgement {
        findings::advise(&mut steps, judgement);
    }
    failures::advise(&mut steps, &details.failure, !details.failed.is_empty());
    failures::alternative(&mut steps, &details.failure, details.judgement.as_ref(), details.failed.first());
    steps.advice()
}

/// The advice for the gate's failure; empty if everything is complete.
pub(crate) fn of_gate(judgement: &Judgement, running: Running) -> Advice {
    let mut steps = Steps::new(running);
    if let Some(failure) = FailureDetails::failure_of(judgement) {
        findings::advise(&mut steps, judgement);
        failures::advise(&mut steps, &failure, false);
        failures::alternative(&mut steps, &failure, Some(judgement), None);
    }
    steps.advice()
}

/// The advice for the gate's findings.
pub(crate) fn of_findings(judgement: &Judgement, running: Running) -> Advice {
    let mut steps = Steps::new(running);
    findings::advise(&mut steps, judgement);
    steps.advice()
}

/// The advice for the result of a doctor's check.
pub(crate) fn of_remedy(remedy: &Remedy) -> Advice {
    match remedy {
        Remedy::Text(text) => {
            Advice { cause: None, actions: vec![Action { text: text.clone(), command: None }] }
        }
        Remedy::Findings(judgement) => of_findings(judgement, Running::Doctor),
        Remedy::Failure(failure) => {
            let mut steps = Steps::new(Running::Doctor);
            failures::advise(&mut steps, failure, false);
            steps.advice()
        }
        Remedy::Cause(cause) => {
            let mut steps = Steps::new(Running::Doctor);
            causes::advise(&mut steps, cause, &[], None);
            steps.advice()
        }
    }
}
