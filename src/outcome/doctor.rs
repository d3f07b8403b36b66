//! The doctor's checks and their results.

use std::{borrow::Cow, rc::Rc};

use crate::{cause::Cause, failure::Failure, tenants::gate::Judgement};

/// The result of one check, with a remedy unless it passed.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Passed(String),
    Warned(String, Remedy),
    Failed(String, Remedy),
    NotApplicable(String),
}

/// What to do. `report` words a finding, a cause or a failure as it does elsewhere.
#[derive(Debug, Clone)]
pub(crate) enum Remedy {
    Text(String),
    /// The findings of the affected schemas.
    Findings(Rc<Judgement>),
    Cause(Cause),
    Failure(Rc<Failure>),
}

/// A check and its result.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) group: &'static str,
    /// A stable identifier, for programs.
    pub(crate) id: Cow<'static, str>,
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
