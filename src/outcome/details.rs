//! A failure and its details, as fields.

use super::wording;
use crate::{
    cause::{Cause, Kind},
    failure::Failure,
    tenants::{
        compat::Incompatibility,
        gate::{Judgement, Outcome, Verdict},
        ledger::Commands,
        replay::Refusal,
    },
};

/// A failure and the details that the box shows.
#[derive(Debug)]
pub(crate) struct FailureDetails {
    pub(crate) failure: Failure,
    /// The gate's judgement, if it ran.
    pub(crate) judgement: Option<Judgement>,
    /// The schemas in which a migration failed.
    pub(crate) failed: Vec<SchemaFailure>,
    /// Why the code of the release that serves does not work on the next schema.
    pub(crate) incompatibilities: Box<[Incompatibility]>,
    /// The reason to refuse a replay.
    pub(crate) refusal: Option<Refusal>,
    /// The last lines of the child's output.
    pub(crate) output: Vec<String>,
    /// The work that was done before the failure: `412 of 800 tenants`.
    pub(crate) done: Option<String>,
}

/// A schema in which a migration failed; it was rolled back unless `dirty`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SchemaFailure {
    /// A tenant's name, or None for the shared schema.
    pub(crate) tenant: Option<String>,
    /// The migration's name, if the failure is in one.
    pub(crate) migration: Option<String>,
    /// `migrations/tenant/2_invoices.sql:14`.
    pub(crate) place: Option<String>,
    pub(crate) why: Cause,
    /// A migration that cannot run in a transaction is half applied.
    pub(crate) dirty: bool,
    /// The commands of its framework.
    pub(crate) commands: Commands,
}

impl SchemaFailure {
    /// Whether it failed because its migration was applied before and is not recorded. SQLite has no code for an object that
    /// exists.
    pub(crate) fn is_unrecorded(&self, verdict: &Verdict) -> bool {
        matches!(self.why.kind, Kind::Exists | Kind::Rejected)
            && self.migration.as_ref().is_some_and(|migration| verdict.unrecorded().contains(migration))
    }
}

impl FailureDetails {
    /// The judgement's summary if everything is complete, else the failure.
    pub(crate) fn unless_complete(judgement: Judgement) -> Result<String, Self> {
        match Self::failure_of(&judgement) {
            None => Ok(wording::summary(&judgement)),
            Some(failure) => Err(Self { judgement: Some(judgement), ..Self::from(failure) }),
        }
    }

    /// The failure of a judgement; None if everything is complete.
    pub(crate) fn failure_of(judgement: &Judgement) -> Option<Failure> {
        let counts = wording::counts(judgement);
        match judgement.outcome() {
            Outcome::Complete => None,
            Outcome::Incomplete => Some(Failure::Incomplete { counts }),
            Outcome::Unproven => {
                let why = counts.to_string().into();
                Some(Failure::Unproven { what: "everything is complete".into(), why })
            }
        }
    }
}

impl From<Failure> for FailureDetails {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            judgement: None,
            failed: Vec::new(),
            incompatibilities: Box::default(),
            refusal: None,
            output: Vec::new(),
            done: None,
        }
    }
}
