//! A repair: its steps and how each ended.

use super::FailureDetails;
use crate::tenants::inspection::Rows;

/// The steps by name, in their order.
pub(crate) const STEPS: [&str; 5] =
    ["the tenant exists", "its state", "apply", "verify", "its tables answer"];

/// How one step ended, and what it has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) ended: StepResult,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepResult {
    Passed,
    Failed,
    /// A dry run stopped short of it.
    NotRun,
}

/// What became of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    /// Those that were reached, in the order of [`STEPS`].
    pub(crate) steps: Vec<Step>,
    /// What was applied, or in a dry run would be.
    pub(crate) applied: Vec<String>,
    /// Every expected table, with what it answered.
    pub(crate) tables: Vec<(String, Rows)>,
    pub(crate) details: Option<FailureDetails>,
}
