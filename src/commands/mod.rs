//! The subcommands other than `run`, one file each; they return values and texts, and print nothing but these.

pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod manifest;
pub(crate) mod manual;
pub(crate) mod migrate;
pub(crate) mod plan;
pub(crate) mod repair;
pub(crate) mod tenant;
pub(crate) mod verify;

use crate::{failure::Failure, outcome::FailureDetails};

/// What a command wants said, and its exit code.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For standard output.
    pub(crate) text: String,
    /// For standard error.
    pub(crate) trouble: Option<FailureDetails>,
    pub(crate) code: u8,
}

impl Answer {
    pub(crate) fn good(text: String) -> Self {
        Self { text, trouble: None, code: 0 }
    }

    pub(crate) fn bad(trouble: FailureDetails) -> Self {
        Self { text: String::new(), code: trouble.failure.code(), trouble: Some(trouble) }
    }
}

impl From<Result<String, Failure>> for Answer {
    fn from(result: Result<String, Failure>) -> Self {
        result.map_or_else(|failure| Self::bad(failure.into()), Self::good)
    }
}
