//! Describes how a program ended.

use std::{collections::VecDeque, time::Duration};

use super::{exit_reason::ExitReason, stub_report::StubReport};
use crate::failure::Failure;

/// The number of last output lines that are kept for reports.
pub(crate) const LAST_LINES: usize = 40;

/// The end of a program and of its whole tree.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) reason: ExitReason,
    /// Why Portcullis ended it.
    pub(crate) cut: Option<StopReason>,
    /// The number of processes that were still running when the main process ended.
    pub(crate) left_behind: usize,
    /// Some processes had to be killed after the grace.
    pub(crate) killed: bool,
    /// Some processes could not be killed: no replacement may be started.
    pub(crate) survivors: bool,
    /// The kernel killed a process of this container during the run because memory was exhausted.
    pub(crate) out_of_memory: bool,
    /// The number of lines that were dropped because the program printed too fast.
    pub(crate) dropped: usize,
    /// The last lines of output.
    pub(crate) last: VecDeque<String>,
    /// The text that the program wrote to its descriptor 3.
    pub(crate) exported: Vec<u8>,
}

/// Why a tree was ended before its program had exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    TimedOut,
    Stopped(i32),
}

impl Finished {
    pub(super) fn new(
        report: StubReport,
        cut: Option<StopReason>,
        last: VecDeque<String>,
        exported: Vec<u8>,
        out_of_memory: bool,
    ) -> Self {
        let StubReport { main, left_behind, killed, survivors } = report;
        let reason = main.reason();
        Self { reason, cut, left_behind, killed, survivors, out_of_memory, dropped: 0, last, exported }
    }

    /// The exit code, if it counts as success. A program that Portcullis ended is never successful, whatever code it
    /// returns. `allowed` is its time limit.
    pub(crate) fn accepted(&self, program: &str, accept: &[i32], allowed: Duration) -> Result<i32, Failure> {
        if let Some(StopReason::Stopped(signal)) = self.cut {
            return Err(Failure::Interrupted { signal, doing: format!("while `{program}` ran") });
        }
        if self.survivors {
            let what = format!("a process that `{program}` left behind cannot be killed");
            return Err(Failure::Internal { what });
        }
        let not_started = matches!(self.reason, ExitReason::NotStarted { .. });
        if self.cut == Some(StopReason::TimedOut) && !not_started {
            return Err(Failure::TimedOut { what: format!("`{program}`"), after: allowed });
        }
        let result = self.reason.accepted(program, accept);
        match result {
            Err(Failure::CommandFailed { program, ended }) if self.out_of_memory => {
                let ended = format!(
                    "{ended}; out of memory: the kernel killed a process of this container at the same time"
                );
                Err(Failure::CommandFailed { program, ended })
            }
            result => result,
        }
    }

    /// Whether another attempt could succeed and is allowed.
    pub(crate) fn may_be_repeated(&self) -> bool {
        let lasting = matches!(self.reason, ExitReason::NotStarted { no_process: false, .. });
        !lasting && !self.survivors && !matches!(self.cut, Some(StopReason::Stopped(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code, or the failure with its exit code and whether another attempt may follow.
    fn outcome(reason: ExitReason, cut: Option<StopReason>, survivors: bool, out_of_memory: bool) -> String {
        let (left_behind, killed, dropped, last) = (0, false, 0, VecDeque::new());
        let exported = Vec::new();
        let finished =
            Finished { reason, cut, left_behind, killed, survivors, out_of_memory, dropped, last, exported };
        match finished.accepted("sync", &[0, 3], Duration::from_secs(9)) {
            Ok(code) => code.to_string(),
            Err(failure) => {
                let again = if finished.may_be_repeated() { ", again" } else { "" };
                format!("{} {failure}{again}", failure.code())
            }
        }
    }

    #[test]
    fn each_exit_reason_has_its_failure() {
        let missing = "79 cannot start `sync`: the program or its interpreter does not exist";
        let denied = || ExitReason::not_executable("permission denied".into());
        let no_process = || ExitReason::no_process("resource temporarily unavailable".into());
        let unknown = || ExitReason::Unknown { why: "the process that watched it exited with 70".into() };
        for (reason, cut, expected) in [
            (ExitReason::Exited(0), None, "0"),
            (ExitReason::Exited(3), None, "3"),
            (ExitReason::Exited(5), None, "79 `sync` exited with 5, again"),
            (ExitReason::Signalled(9), None, "79 `sync` was killed by SIGKILL, again"),
            (ExitReason::missing_program(), None, missing),
            (denied(), None, "79 cannot start `sync`: permission denied"),
            (
                no_process(),
                None,
                "79 cannot start a process for `sync`: resource temporarily unavailable, again",
            ),
            (
                unknown(),
                None,
                "79 `sync` ended with an unknown result: the process that watched it exited with 70, again",
            ),
            (ExitReason::missing_program(), Some(StopReason::TimedOut), missing),
            (ExitReason::Exited(0), Some(StopReason::TimedOut), "124 `sync` ran longer than 9 s, again"),
            (ExitReason::Signalled(15), Some(StopReason::TimedOut), "124 `sync` ran longer than 9 s, again"),
            (ExitReason::Exited(0), Some(StopReason::Stopped(15)), "143 ended by SIGTERM while `sync` ran"),
            (ExitReason::Signalled(2), Some(StopReason::Stopped(2)), "130 ended by SIGINT while `sync` ran"),
        ] {
            assert_eq!(outcome(reason, cut, false, false), expected);
        }
    }

    #[test]
    fn no_program_is_started_while_a_process_cannot_be_killed() {
        let words = outcome(ExitReason::Exited(0), Some(StopReason::TimedOut), true, false);
        assert_eq!(words, "70 internal error: a process that `sync` left behind cannot be killed");
    }

    #[test]
    fn a_failure_during_a_memory_shortage_reports_it() {
        let words = outcome(ExitReason::Exited(137), None, false, true);
        assert_eq!(
            words,
            "79 `sync` exited with 137; out of memory: the kernel killed a process of this container at the same time, again"
        );
        assert_eq!(outcome(ExitReason::Exited(0), None, false, true), "0");
    }
}
