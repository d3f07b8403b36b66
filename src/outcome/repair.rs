//! The steps of a repair and their results.

use super::FailureDetails;
use crate::tenants::inspection::Rows;

/// The names of the steps, in order.
pub(crate) const STEPS: [&str; 5] = ["the tenant exists", "its state", "apply", "verify", "read its tables"];

/// The result of one step, and its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) ended: StepResult,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepResult {
    Passed,
    Failed,
    /// A dry run does not run it.
    NotRun,
}

/// The result for one tenant.
#[derive(Debug, Default)]
pub(crate) struct Repaired {
    /// The steps that were reached, in the order of [`STEPS`].
    pub(crate) steps: Vec<Step>,
    /// The migrations that were applied, or in a dry run would be.
    pub(crate) applied: Vec<String>,
    /// Every expected table and its rows.
    pub(crate) tables: Vec<(String, Rows)>,
    /// The statements that would be run, for psql.
    pub(crate) sql: Option<String>,
    pub(crate) details: Option<FailureDetails>,
}
