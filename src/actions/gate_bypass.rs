//! Implements the explicit ways to open the gate despite findings. None is a default.

use std::cell::RefCell;

use super::{
    context::RunContext,
    history::{self, RunHistory},
};
use crate::{
    config::{GateMode, OnIncomplete},
    database::history::Exception,
    failure::{Failure, chain},
    outcome::{FailureDetails, event::Bypass},
    tenants::quarantine,
};

/// The configured bypass of this run, and the tenants that it quarantines.
#[derive(Default)]
pub(crate) struct GateBypasses {
    /// The reason in `PORTCULLIS_OVERRIDE`.
    pub(crate) reason: Option<String>,
    quarantined: RefCell<Vec<String>>,
}

impl GateBypasses {
    pub(crate) fn with_reason(reason: Option<String>) -> Self {
        Self { reason, ..Self::default() }
    }

    /// The tenants that the server must not serve.
    pub(crate) fn quarantined(&self) -> Vec<String> {
        self.quarantined.borrow().clone()
    }

    /// Discards earlier findings, because every tenant is judged again.
    pub(crate) fn forget(&self) {
        self.quarantined.borrow_mut().clear();
    }

    /// Returns how the gate opens despite the failure, if it does. `every` is true if the step verifies every tenant:
    /// a tenant that a step names must be complete. `warn` receives the reason why an override does not apply.
    pub(crate) async fn bypass(
        &self,
        context: &RunContext,
        history: &RunHistory,
        details: &FailureDetails,
        every: bool,
        warn: &dyn Fn(String),
    ) -> Option<Bypass> {
        if !may_open(&details.failure) {
            return None;
        }
        if context.config.gate.mode == GateMode::Report {
            return Some(Bypass::Report);
        }
        let judgement = details.judgement.as_ref();
        let mut bad = judgement.map(quarantine::incomplete).unwrap_or_default();
        let quarantines = match &context.config.gate.incomplete {
            OnIncomplete::Quarantine { at_most, .. } if every => Some(*at_most),
            OnIncomplete::Quarantine { .. } | OnIncomplete::Block => None,
        };
        if let Some(tenants) =
            judgement.zip(quarantines).and_then(|(judgement, most)| quarantine::quarantine(judgement, most))
        {
            self.quarantined.replace(tenants.clone());
            history.start(context).await;
            let kind = "quarantine".into();
            history.add_exception(Exception { kind, reason: None, tenants: tenants.clone() });
            return Some(Bypass::Quarantine { tenants });
        }
        let reason = self.reason.clone()?;
        match overridden(context, history, &reason, &bad).await {
            Ok(()) => {
                if quarantines.is_some() {
                    self.quarantined.borrow_mut().append(&mut bad);
                }
                Some(Bypass::Override { reason })
            }
            Err(why) => {
                warn(format!("PORTCULLIS_OVERRIDE does not open the gate: {why}"));
                None
            }
        }
    }
}

/// An override covers the gate's findings and an inconclusive inspection, not a signal or an invalid configuration.
fn may_open(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Incomplete { .. }
            | Failure::Incompatible { .. }
            | Failure::Unproven { .. }
            | Failure::Database { .. }
            | Failure::Refused { .. }
            | Failure::TimedOut { .. }
    )
}

/// Opens the gate once per release and reason, across all containers. An override that cannot be recorded, or that
/// another run recorded first, does not open it.
async fn overridden(
    context: &RunContext,
    history: &RunHistory,
    reason: &str,
    tenants: &[String],
) -> Result<(), String> {
    let words = |failure: Failure| chain(&failure);
    is_first(context, reason).await?;
    let exception =
        Exception { kind: "override".into(), reason: Some(reason.to_owned()), tenants: tenants.to_vec() };
    history.record_exception(context, exception).await.map_err(words)?;
    // Another run may have recorded it between the query and the record.
    is_first(context, reason).await
}

async fn is_first(context: &RunContext, reason: &str) -> Result<(), String> {
    match history::run_that_overrode(context, reason).await.map_err(|failure| chain(&failure))? {
        Some(first) if first.run != context.run => Err(format!(
            "run {} used it at {}, and a reason works once per release; to override again, give another reason",
            first.run, first.time
        )),
        _ => Ok(()),
    }
}
