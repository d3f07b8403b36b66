//! The doctor's checks and their results.

use std::rc::Rc;

use crate::{cause::Cause, failure::Failure, tenants::gate::Judgement};

/// What one check came to. What did not pass has a remedy.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Passed(String),
    Warned(String, Remedy),
    Failed(String, Remedy),
    NotApplicable(String),
}

/// What to do about it. For what the gate or a failure says too, `report` gives the same advice as there.
#[derive(Debug, Clone)]
pub(crate) enum Remedy {
    Text(String),
    /// The schemas that the check is about.
    Findings(Rc<Judgement>),
    Cause(Cause),
    Failure(Rc<Failure>),
}

/// One check that was made.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) group: &'static str,
    /// Stable, for programs.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
}

impl Verdict {
    pub(crate) fn passed(message: impl Into<String>) -> Self {
        Self::Passed(message.into())
    }

    pub(crate) fn warned(message: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self::Warned(message.into(), remedy.into())
    }

    pub(crate) fn failed(message: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self::Failed(message.into(), remedy.into())
    }

    pub(crate) fn not_applicable(message: impl Into<String>) -> Self {
        Self::NotApplicable(message.into())
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Verdict::Passed(_) => "passed",
            Verdict::Warned(..) => "warned",
            Verdict::Failed(..) => "failed",
            Verdict::NotApplicable(_) => "not_applicable",
        }
    }

    pub(crate) fn message(&self) -> &str {
        let (Verdict::Passed(message)
        | Verdict::NotApplicable(message)
        | Verdict::Warned(message, _)
        | Verdict::Failed(message, _)) = self;
        message
    }

    pub(crate) fn remedy(&self) -> Option<&Remedy> {
        match self {
            Verdict::Passed(_) | Verdict::NotApplicable(_) => None,
            Verdict::Warned(_, remedy) | Verdict::Failed(_, remedy) => Some(remedy),
        }
    }
}

impl From<String> for Remedy {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Remedy {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
