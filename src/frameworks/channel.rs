//! The protocol of the helper programs: one JSON object per line on their standard output. The project's output goes to
//! standard error, in which only the separator lines have a meaning.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cause::{Cause, Code, Kind};

/// The first character of the line that the helper writes into the project's output before each schema.
const SEPARATOR: char = '\u{1e}';

/// The class of the exception with which a helper program refuses to change another database.
const OTHER_DATABASE: &str = "__main__.OtherDatabase";

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Message {
    /// The helper starts with this schema.
    Begin(String),
    Applying(String),
    Applied(String),
    /// The helper is done with this schema.
    Done(String),
    Failed(Error),
    Note(String),
    Warning(String),
    Values(NewRows),
    /// A piece of the recording of the schema's statements, or of the SQL of pending migrations.
    Recorded(String),
}

/// The values that the project computes for a new tenant's rows, by column.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct NewRows {
    pub(crate) tenant: BTreeMap<String, String>,
    pub(crate) domain: BTreeMap<String, String>,
}

/// An exception in the project.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Error {
    /// None if it happened before the first schema.
    pub(super) schema: Option<String>,
    /// None if the program exited with a message.
    pub(super) class: Option<String>,
    pub(super) sqlstate: Option<String>,
    pub(super) message: String,
    /// The environment variable whose absence caused it.
    #[serde(default)]
    pub(super) variable: Option<String>,
}

impl Error {
    /// The cause, with the kind of the SQLSTATE.
    pub(super) fn cause(&self) -> Cause {
        let code = self.sqlstate.as_deref();
        Cause {
            kind: code.map(Kind::of_sqlstate).unwrap_or_default(),
            code: code.and_then(Code::sqlstate),
            text: self.summary(),
        }
    }

    /// Whether the project's settings contain another database.
    pub(super) fn is_other_database(&self) -> bool {
        self.class.as_deref() == Some(OTHER_DATABASE)
    }

    /// The class and the first line of the message.
    pub(super) fn summary(&self) -> String {
        let line = self.message.lines().find(|line| !line.trim().is_empty()).map(str::trim_end);
        self.class.as_deref().into_iter().chain(line).collect::<Vec<_>>().join(": ")
    }
}

/// Parses a line; None if it is not a message.
pub(super) fn message(line: &str) -> Option<Message> {
    serde_json::from_str(line).ok()
}

/// The schema to which the output after this line belongs.
pub(super) fn separator(line: &str) -> Option<&str> {
    line.strip_prefix(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_message_contains_class_sqlstate_and_text() {
        let line = r#"{"failed": {"schema": "tenant:acme", "class": "db.ProgrammingError", "sqlstate": "42701",
            "message": "column \"total\" already exists\nLINE 1: ALTER"}}"#;
        let Some(Message::Failed(error)) = message(line) else { unreachable!("{line}") };
        let cause = error.cause();
        assert_eq!(cause.text, "db.ProgrammingError: column \"total\" already exists");
        assert_eq!((cause.kind, cause.sqlstate()), (Kind::Exists, Some("42701")));
        assert_eq!(message("loading settings..."), None);
        assert_eq!(separator("\u{1e}tenant:acme"), Some("tenant:acme"));
    }
}
