//! The events of an action: a step converts them to events of the start-up, a command prints them.

use std::time::Duration;

use super::repair::Step;
use crate::process::Stream;

pub(crate) enum ActionEvent {
    Note(String),
    Progress {
        done: usize,
        total: usize,
        what: &'static str,
    },
    /// A schema was migrated, or its migration failed.
    Migrated {
        schema: Option<String>,
        took: Duration,
        failed: bool,
    },
    /// A line of a program's output; `tenant` if the program works for one tenant.
    Output {
        tenant: Option<String>,
        stream: Stream,
        line: String,
    },
    /// A step of a repair has ended; the number counts from 1.
    RepairStep(usize, Step),
}
