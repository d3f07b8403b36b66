//! Defines a stub's report about its tree, and its encoding in the status pipe.

use std::{ffi::c_int, io};

use super::exit_reason::{ExitReason, error_words};
use crate::failure::signal_name;

const NUMBERS: usize = 5;
/// Below the size that a pipe writes atomically.
pub(super) const REPORT_BYTES: usize = NUMBERS * size_of::<i32>();

/// How the tree of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StubReport {
    pub(super) main: MainState,
    pub(super) left_behind: usize,
    /// Some processes had to be killed after the grace.
    pub(super) killed: bool,
    /// Some processes could not be killed.
    pub(super) survivors: bool,
}

/// How the main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MainState {
    Exited(i32),
    Signalled(i32),
    /// Not an end: a background program runs now.
    Started,
    /// The program could not be executed; the error number.
    NoProgram(i32),
    NoDirectory(i32),
    NoProcess(i32),
    /// The stub ended without a report; its own status from waitpid.
    StubExited(c_int),
}

impl MainState {
    pub(super) fn reason(self) -> ExitReason {
        let words = |errno| error_words(&io::Error::from_raw_os_error(errno));
        match self {
            Self::Exited(code) => ExitReason::Exited(code),
            Self::Signalled(signal) => ExitReason::Signalled(signal),
            Self::Started => ExitReason::Started,
            Self::NoProgram(libc::ENOENT) => ExitReason::missing_program(),
            Self::NoProgram(errno) => ExitReason::not_executable(words(errno)),
            Self::NoDirectory(errno) => {
                ExitReason::not_executable(format!("cannot enter its working directory: {}", words(errno)))
            }
            Self::NoProcess(errno) => ExitReason::no_process(words(errno)),
            Self::StubExited(status) => {
                let ended = match Self::of(status) {
                    Self::Signalled(signal) => format!("was killed by {}", signal_name(signal)),
                    _ => format!("exited with {} and no report", libc::WEXITSTATUS(status)),
                };
                ExitReason::Unknown { why: format!("the process that watched it {ended}") }
            }
        }
    }

    /// Decodes a status from waitpid.
    pub(super) fn of(status: c_int) -> Self {
        if libc::WIFEXITED(status) {
            Self::Exited(libc::WEXITSTATUS(status))
        } else {
            Self::Signalled(libc::WTERMSIG(status))
        }
    }
}

impl StubReport {
    /// The report of a tree without processes left over.
    pub(super) fn of(main: MainState) -> Self {
        Self { main, left_behind: 0, killed: false, survivors: false }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (kind, value) = match self.main {
            MainState::Exited(code) => (0, code),
            MainState::Signalled(signal) => (1, signal),
            MainState::NoProgram(errno) => (2, errno),
            MainState::NoDirectory(errno) => (3, errno),
            MainState::Started => (4, 0),
            MainState::NoProcess(errno) => (5, errno),
            MainState::StubExited(status) => (6, status),
        };
        let left_behind = i32::try_from(self.left_behind).unwrap_or(i32::MAX);
        let numbers = [kind, value, left_behind, self.killed.into(), self.survivors.into()];
        numbers.map(i32::to_ne_bytes).concat()
    }

    /// None unless the bytes are exactly one complete report.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != REPORT_BYTES {
            return None;
        }
        let mut numbers = [0; NUMBERS];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(size_of::<i32>())) {
            *number = i32::from_ne_bytes(bytes.try_into().ok()?);
        }
        let [kind, value, left_behind, killed, survivors] = numbers;
        let main = match kind {
            0 => MainState::Exited(value),
            1 => MainState::Signalled(value),
            2 => MainState::NoProgram(value),
            3 => MainState::NoDirectory(value),
            4 => MainState::Started,
            5 => MainState::NoProcess(value),
            6 => MainState::StubExited(value),
            _ => return None,
        };
        let left_behind = usize::try_from(left_behind).ok()?;
        Some(Self { main, left_behind, killed: killed != 0, survivors: survivors != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_received_unchanged() {
        for main in [
            MainState::Exited(5),
            MainState::Signalled(64),
            MainState::Started,
            MainState::NoProgram(libc::ENOENT),
            MainState::NoDirectory(libc::EACCES),
            MainState::NoProcess(libc::EAGAIN),
            MainState::StubExited(70 << 8),
        ] {
            let report = StubReport { main, left_behind: 3, killed: true, survivors: true };
            assert_eq!(StubReport::from_bytes(&report.to_bytes()), Some(report));
        }
        assert_eq!(StubReport::from_bytes(&[0; 8]), None);
    }

    #[test]
    fn the_exit_code_of_a_stub_never_counts_as_the_programs() {
        let accepted = MainState::StubExited(70 << 8).reason().accepted("sync", &[70]);
        assert_eq!(accepted.map_err(|failure| failure.code()), Err(79));
    }
}
