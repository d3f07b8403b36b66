//! The doctor's checks and their results.

/// What one check came to. What did not pass has a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed(String),
    Warned(String, String),
    Failed(String, String),
    NotApplicable(String),
}

/// One check that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) group: &'static str,
    /// Stable, for programs.
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) verdict: Verdict,
}

impl Verdict {
    pub(crate) fn passed(said: impl Into<String>) -> Self {
        Self::Passed(said.into())
    }

    pub(crate) fn warned(said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Warned(said.into(), remedy.into())
    }

    pub(crate) fn failed(said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed(said.into(), remedy.into())
    }

    pub(crate) fn not_applicable(said: impl Into<String>) -> Self {
        Self::NotApplicable(said.into())
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Verdict::Passed(_) => "passed",
            Verdict::Warned(..) => "warned",
            Verdict::Failed(..) => "failed",
            Verdict::NotApplicable(_) => "not_applicable",
        }
    }

    pub(crate) fn said(&self) -> &str {
        let (Verdict::Passed(said)
        | Verdict::NotApplicable(said)
        | Verdict::Warned(said, _)
        | Verdict::Failed(said, _)) = self;
        said
    }

    pub(crate) fn remedy(&self) -> Option<&str> {
        match self {
            Verdict::Passed(_) | Verdict::NotApplicable(_) => None,
            Verdict::Warned(_, remedy) | Verdict::Failed(_, remedy) => Some(remedy),
        }
    }
}
