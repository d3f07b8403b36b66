//! How a program's main process ended, and what that means: one mapping of ends to failures for everybody.

use std::io;

use crate::failure::{Failure, signal_name};

/// What became of the main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExitReason {
    Exited(i32),
    Signalled(i32),
    /// It runs, and its end is not waited for.
    Started,
    NotStarted {
        /// There was no process for it: another attempt may have one.
        no_process: bool,
        why: String,
    },
    /// Nobody has seen its end: the stub that watched it is gone.
    Unknown {
        why: String,
    },
}

impl ExitReason {
    pub(super) fn missing_program() -> Self {
        Self::not_executable("there is no such program, or no interpreter for it".into())
    }

    pub(super) fn not_executable(why: String) -> Self {
        Self::NotStarted { no_process: false, why }
    }

    pub(super) fn no_process(why: String) -> Self {
        Self::NotStarted { no_process: true, why }
    }

    /// The end as the predicate of a sentence about the program.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Exited(code) => format!("exited with {code}"),
            Self::Signalled(signal) => format!("was killed by {}", signal_name(*signal)),
            Self::Started => "goes on".into(),
            Self::NotStarted { why, .. } => format!("could not be started: {why}"),
            Self::Unknown { why } => format!("ended unseen: {why}"),
        }
    }

    /// The code, if it is one of those that count as success.
    pub(crate) fn accepted(&self, program: &str, accept: &[i32]) -> Result<i32, Failure> {
        let program = program.to_owned();
        match self {
            Self::Exited(code) if accept.contains(code) => Ok(*code),
            Self::NotStarted { no_process: true, why } => {
                Err(Failure::CommandNotSpawned { program, why: why.clone() })
            }
            Self::NotStarted { why, .. } => Err(Failure::CommandMissing { program, why: why.clone() }),
            Self::Started => Err(Failure::Internal { what: format!("`{program}` goes on") }),
            Self::Exited(_) | Self::Signalled(_) | Self::Unknown { .. } => {
                Err(Failure::CommandFailed { program, ended: self.words() })
            }
        }
    }
}

/// An error of the kernel's in lower case and without its number, to stand in a sentence.
pub(super) fn error_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
