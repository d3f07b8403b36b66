//! What an action reports while it runs: a step makes events of the start-up of it, a command prints it.

use super::repair::Step;
use crate::process::Stream;

pub(crate) enum ActionEvent {
    Note(String),
    Progress {
        done: usize,
        total: usize,
        what: &'static str,
    },
    /// A line that a program printed; `tenant` if it works for one alone.
    Output {
        tenant: Option<String>,
        stream: Stream,
        line: String,
    },
    /// A step of a repair is over; the number counts from 1.
    RepairStep(usize, Step),
}
