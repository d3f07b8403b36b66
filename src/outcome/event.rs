//! The events of a start-up, in the order in which they happen.

use std::time::Duration;

use super::FailureDetails;
use crate::process::Stream;

/// One event. `step` is a position in the plan, from 0.
#[derive(Debug)]
pub(crate) enum Event {
    /// `steps` lists the names of all steps, in the order of the plan.
    Started {
        run: String,
        role: Option<String>,
        steps: Vec<String>,
    },
    StepStarted {
        step: usize,
    },
    StepSkipped {
        step: usize,
        reason: String,
    },
    /// A line of a child's output, without its line end; `tenant` if the child works for one tenant.
    Output {
        step: usize,
        stream: Stream,
        tenant: Option<String>,
        line: String,
    },
    /// Not reachable yet; `last` is the most recent cause.
    Waiting {
        step: usize,
        what: String,
        last: String,
        elapsed: Duration,
    },
    /// An attempt failed, and the next follows after `pause`.
    Retrying {
        step: usize,
        attempt: u32,
        pause: Duration,
        why: String,
    },
    Progress {
        step: usize,
        done: usize,
        total: usize,
        what: String,
    },
    /// An informational line.
    Note {
        step: usize,
        text: String,
    },
    Warning {
        step: usize,
        text: String,
    },
    /// The migration of a schema was slow, or failed.
    SlowSchema {
        step: usize,
        schema: String,
        took: Duration,
        failed: bool,
    },
    /// The gate's counts, whether it opens or not.
    Judged {
        step: usize,
        complete: usize,
        /// Complete except for accepted findings.
        accepted: usize,
        incomplete: usize,
        unproven: usize,
    },
    /// A bypass opens the gate although not everything is complete.
    GateBypassed {
        step: usize,
        how: Bypass,
        details: FailureDetails,
    },
    StepDone {
        step: usize,
        took: Duration,
        summary: String,
    },
    /// The step failed; `blocking` ends the start-up.
    StepFailed {
        step: usize,
        took: Duration,
        blocking: bool,
        details: FailureDetails,
    },
    /// Running steps are being stopped, because of a signal or a failed step.
    Stopping {
        signal: Option<i32>,
    },
    /// The start-up has failed; `step` is the failed step, if any.
    Blocked {
        step: Option<usize>,
        took: Duration,
        details: FailureDetails,
    },
    HandingOver {
        argv: Vec<String>,
        took: Duration,
    },
    /// The steps have ended, and there is no server to start.
    Finished {
        took: Duration,
    },
    /// Warnings about the configuration, rendered with its lines.
    ConfigWarnings {
        rendered: String,
    },
    /// A warning that belongs to no step.
    Remark {
        text: String,
    },
}

impl Event {
    /// The step of the event.
    pub(crate) fn step(&self) -> Option<usize> {
        match self {
            Self::StepStarted { step }
            | Self::StepSkipped { step, .. }
            | Self::Output { step, .. }
            | Self::Waiting { step, .. }
            | Self::Retrying { step, .. }
            | Self::Progress { step, .. }
            | Self::Note { step, .. }
            | Self::Warning { step, .. }
            | Self::SlowSchema { step, .. }
            | Self::Judged { step, .. }
            | Self::GateBypassed { step, .. }
            | Self::StepDone { step, .. }
            | Self::StepFailed { step, .. } => Some(*step),
            Self::Blocked { step, .. } => *step,
            Self::Started { .. }
            | Self::Stopping { .. }
            | Self::HandingOver { .. }
            | Self::Finished { .. }
            | Self::Remark { .. }
            | Self::ConfigWarnings { .. } => None,
        }
    }
}

/// The bypasses that open the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bypass {
    /// `[gate] mode = "report"`
    Report,
    /// `[gate] incomplete = "quarantine"`
    Quarantine { tenants: Vec<String> },
    /// `PORTCULLIS_OVERRIDE`
    Override { reason: String },
}

impl Bypass {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Bypass::Report => "report",
            Bypass::Quarantine { .. } => "quarantine",
            Bypass::Override { .. } => "override",
        }
    }

    /// The effect, in a sentence.
    pub(crate) fn words(&self) -> String {
        match self {
            Bypass::Report => "`[gate] mode = \"report\"` blocks nothing".into(),
            Bypass::Quarantine { tenants } => {
                format!("the server must not serve {}", tenants.join(", "))
            }
            Bypass::Override { reason } => format!("PORTCULLIS_OVERRIDE is set: {reason}"),
        }
    }
}
