//! The events of a start-up, in the order in which they happen.

use std::time::Duration;

use super::FailureDetails;
use crate::process::Stream;

/// One thing that happened. `step` is a position in the plan, from 0.
#[derive(Debug)]
pub(crate) enum Event {
    /// `steps` holds every step's name, in the order of the plan.
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
    /// A line of a child's output, without its line end; `tenant` if the child works for one alone.
    Output {
        step: usize,
        stream: Stream,
        tenant: Option<String>,
        line: String,
    },
    /// Not there yet; `last` is the last cause seen.
    Waiting {
        step: usize,
        what: String,
        last: String,
        elapsed: Duration,
    },
    /// An attempt failed and another follows after `pause`.
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
    /// Something worth a line.
    Note {
        step: usize,
        text: String,
    },
    Warning {
        step: usize,
        text: String,
    },
    /// What the gate counted, whatever it made of it.
    Judged {
        step: usize,
        complete: usize,
        /// Complete, but for what is accepted.
        accepted: usize,
        incomplete: usize,
        unproven: usize,
    },
    /// The gate opens though not everything is complete.
    Opened {
        step: usize,
        how: Opening,
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
    /// A signal arrived, or if there is none a step failed: what runs is being stopped.
    Stopping {
        signal: Option<i32>,
    },
    /// The start-up ends here; `step` is the one that failed, if one did.
    Blocked {
        step: Option<usize>,
        took: Duration,
        details: FailureDetails,
    },
    HandingOver {
        argv: Vec<String>,
        took: Duration,
    },
    /// The steps are done and there is no server.
    Finished {
        took: Duration,
    },
    /// What is doubtful in the configuration, rendered at its places.
    ConfigWarnings {
        rendered: String,
    },
    /// A warning that belongs to no step.
    Remark {
        text: String,
    },
}

impl Event {
    /// The step that it is about.
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
            | Self::Judged { step, .. }
            | Self::Opened { step, .. }
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

/// The named ways to open the gate all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// `[gate] mode = "report"`
    Report,
    /// `[gate] incomplete = "quarantine"`
    Quarantine { tenants: Vec<String> },
    /// `PORTCULLIS_OVERRIDE`
    Override { reason: String },
}

impl Opening {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Opening::Report => "report",
            Opening::Quarantine { .. } => "quarantine",
            Opening::Override { .. } => "override",
        }
    }

    /// What it means, in a sentence.
    pub(crate) fn words(&self) -> String {
        match self {
            Opening::Report => "`[gate] mode = \"report\"` blocks nothing".into(),
            Opening::Quarantine { tenants } => {
                format!("the server is told to keep out {}", tenants.join(", "))
            }
            Opening::Override { reason } => format!("PORTCULLIS_OVERRIDE says: {reason}"),
        }
    }
}
