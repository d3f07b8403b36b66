//! Describes how a program's main process ended, and maps each way to a failure.

use std::io;

use crate::failure::{Failure, signal_name};

/// How the main process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExitReason {
    Exited(i32),
    Signalled(i32),
    /// The process runs; its end is not awaited.
    Started,
    NotStarted {
        /// No process could be created; another attempt may succeed.
        no_process: bool,
        why: String,
    },
    /// The end was not observed, because the stub is gone.
    Unknown {
        why: String,
    },
}

impl ExitReason {
    pub(super) fn missing_program() -> Self {
        Self::not_executable("the program or its interpreter does not exist".into())
    }

    pub(super) fn not_executable(why: String) -> Self {
        Self::NotStarted { no_process: false, why }
    }

    pub(super) fn no_process(why: String) -> Self {
        Self::NotStarted { no_process: true, why }
    }

    /// The predicate of a sentence about the program.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Exited(code) => format!("exited with {code}"),
            Self::Signalled(signal) => format!("was killed by {}", signal_name(*signal)),
            Self::Started => "keeps running".into(),
            Self::NotStarted { why, .. } => format!("could not be started: {why}"),
            Self::Unknown { why } => format!("ended with an unknown result: {why}"),
        }
    }

    /// The exit code, if it counts as success.
    pub(crate) fn accepted(&self, program: &str, accept: &[i32]) -> Result<i32, Failure> {
        let program = program.to_owned();
        match self {
            Self::Exited(code) if accept.contains(code) => Ok(*code),
            Self::NotStarted { no_process: true, why } => {
                Err(Failure::CommandNotSpawned { program, why: why.clone() })
            }
            Self::NotStarted { why, .. } => Err(Failure::CommandMissing { program, why: why.clone() }),
            Self::Started => Err(Failure::Internal { what: format!("`{program}` keeps running") }),
            Self::Exited(_) | Self::Signalled(_) | Self::Unknown { .. } => {
                Err(Failure::CommandFailed { program, ended: self.words() })
            }
        }
    }
}

/// A kernel error in lower case and without its number, for use in a sentence.
pub(super) fn error_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_accepted_exit_code_is_a_success() {
        let ended =
            |reason: ExitReason| reason.accepted("tool", &[0, 3]).map_err(|failure| failure.to_string());
        let not_started = |no_process| ExitReason::NotStarted { no_process, why: "why".into() };
        assert_eq!(ended(ExitReason::Exited(0)), Ok(0));
        assert_eq!(ended(ExitReason::Exited(3)), Ok(3));
        for (reason, failure) in [
            (ExitReason::Exited(1), "`tool` exited with 1"),
            (ExitReason::Signalled(9), "`tool` was killed by SIGKILL"),
            (ExitReason::Unknown { why: "lost".into() }, "`tool` ended with an unknown result: lost"),
        ] {
            assert_eq!(ended(reason), Err(failure.to_owned()));
        }
        for (reason, code) in [(ExitReason::Started, 70), (not_started(true), 79), (not_started(false), 79)] {
            let failure = reason.accepted("tool", &[0]);
            assert_eq!(failure.as_ref().map_err(Failure::code), Err(code), "{reason:?}");
            let is_missing = matches!(failure, Err(Failure::CommandMissing { .. }));
            assert_eq!(is_missing, reason == not_started(false), "{reason:?}");
        }
    }

    #[test]
    fn an_error_of_the_kernel_is_part_of_a_sentence() {
        assert_eq!(error_words(&io::Error::from_raw_os_error(2)), "no such file or directory");
    }
}
