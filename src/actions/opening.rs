//! The named ways in which the gate opens though not everything is complete. None is a default.

use std::cell::RefCell;

use super::Work;
use crate::{
    config::{GateMode, OnIncomplete},
    database::record::Exception,
    failure::Failure,
    outcome::{FailureDetails, event::Opening},
    tenants::quarantine,
};

/// What this run was told, and whom it keeps from the server.
#[derive(Default)]
pub(crate) struct Openings {
    /// The reason in `PORTCULLIS_OVERRIDE`.
    pub(crate) reason: Option<String>,
    quarantined: RefCell<Vec<String>>,
}

/// Whether the gate opens all the same, and how. `every` if every tenant was asked for: a tenant that a step names
/// must be complete. `warn` hears why it stays shut although somebody wanted it open.
pub(crate) async fn opening(
    work: &Work,
    trouble: &FailureDetails,
    every: bool,
    warn: &dyn Fn(String),
) -> Option<Opening> {
    if !may_open(&trouble.failure) {
        return None;
    }
    if work.config.gate.mode == GateMode::Report {
        return Some(Opening::Report);
    }
    let judgement = trouble.judgement.as_ref();
    let mut bad = judgement.map(quarantine::incomplete).unwrap_or_default();
    let quarantines = match &work.config.gate.incomplete {
        OnIncomplete::Quarantine { at_most, .. } if every => Some(*at_most),
        OnIncomplete::Quarantine { .. } | OnIncomplete::Block => None,
    };
    if let Some(tenants) =
        judgement.zip(quarantines).and_then(|(judgement, most)| quarantine::quarantine(judgement, most))
    {
        work.openings.quarantined.replace(tenants.clone());
        work.record.begin(work).await;
        let kind = "quarantine".into();
        work.record.exception(Exception { kind, reason: None, tenants: tenants.clone() });
        return Some(Opening::Quarantine { tenants });
    }
    let reason = work.openings.reason.clone()?;
    match overridden(work, &reason, &bad).await {
        Ok(()) => {
            if quarantines.is_some() {
                work.openings.quarantined.borrow_mut().append(&mut bad);
            }
            Some(Opening::Override { reason })
        }
        Err(why) => {
            warn(format!("PORTCULLIS_OVERRIDE does not open the gate: {why}"));
            None
        }
    }
}

impl Openings {
    /// The tenants that the server must not serve.
    pub(crate) fn quarantined(&self) -> Vec<String> {
        self.quarantined.borrow().clone()
    }

    /// Every tenant was judged again: what was found before does not count any more.
    pub(crate) fn forget(&self) {
        self.quarantined.borrow_mut().clear();
    }
}

/// What the gate itself says, or that it could not say anything. A signal or a wrong configuration is not its matter.
fn may_open(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Incomplete { .. }
            | Failure::Unproven { .. }
            | Failure::Database { .. }
            | Failure::Refused { .. }
            | Failure::TimedOut { .. }
    )
}

/// Opens once: what cannot be remembered, or was used before in this container, opens nothing.
async fn overridden(work: &Work, reason: &str, tenants: &[String]) -> Result<(), String> {
    let words = |failure: Failure| crate::failure::chain(&failure);
    if let Some(earlier) = work.who_overrode(reason).await.map_err(words)?
        && earlier.run != work.run
    {
        return Err(format!(
            "run {} has used it at {}, and it opens once; if it must be, give another reason",
            earlier.run, earlier.time
        ));
    }
    let exception =
        Exception { kind: "override".into(), reason: Some(reason.to_owned()), tenants: tenants.to_vec() };
    work.record.must_note(work, exception).await.map_err(words)
}
