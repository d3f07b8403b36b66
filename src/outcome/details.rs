//! A failure with all that is known about it, as fields.

use super::wording;
use crate::{
    cause::Cause,
    failure::Failure,
    tenants::{
        gate::{Judgement, Outcome},
        ledger::Commands,
        replay::Refusal,
    },
};

/// A failure with everything the box shows beside it.
#[derive(Debug)]
pub(crate) struct FailureDetails {
    pub(crate) failure: Failure,
    /// What the gate said, if it was asked.
    pub(crate) judgement: Option<Judgement>,
    /// Tenants (or the shared schema) at which applying failed.
    pub(crate) failed: Vec<SchemaFailure>,
    /// Why an app is not replayed.
    pub(crate) refusal: Option<Refusal>,
    /// The child's last lines.
    pub(crate) output: Vec<String>,
    /// What had been done before it failed, in words: `412 of 800 tenants`.
    pub(crate) done: Option<String>,
}

/// One schema at which a migration failed; it was rolled back unless `dirty`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SchemaFailure {
    /// A tenant's name, or None for the shared schema.
    pub(crate) tenant: Option<String>,
    /// The migration's name, if it came so far.
    pub(crate) migration: Option<String>,
    /// `migrations/tenant/2_invoices.sql:14`.
    pub(crate) place: Option<String>,
    pub(crate) why: Cause,
    /// A migration that cannot run in a transaction stopped half-way.
    pub(crate) dirty: bool,
    /// Its framework's.
    pub(crate) commands: Commands,
}

impl FailureDetails {
    /// The judgement's summary if it came out complete, else what is wrong.
    pub(crate) fn unless_complete(judgement: Judgement) -> Result<String, Self> {
        match Self::failure_of(&judgement) {
            None => Ok(wording::summary(&judgement)),
            Some(failure) => Err(Self { judgement: Some(judgement), ..Self::from(failure) }),
        }
    }

    /// What is wrong, if anything is.
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
        Self { failure, judgement: None, failed: Vec::new(), refusal: None, output: Vec::new(), done: None }
    }
}
