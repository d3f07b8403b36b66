//! What our helper programs say on their standard output, which is theirs alone: one JSON object a line. Whatever
//! the project prints goes to standard error, where only the schema's separator line has a meaning.

use serde::Deserialize;

use crate::cause::{Cause, Code, Kind};

/// Begins the line that our helper writes into the project's output before it comes to another schema.
const SEPARATOR: char = '\u{1e}';

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Message {
    /// It comes to this schema.
    Begin(String),
    Applying(String),
    Applied(String),
    /// It is through with this schema.
    Done(String),
    Failed(Error),
    Note(String),
}

/// An exception of the project's.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Error {
    /// None if it happened before the first schema.
    pub(super) schema: Option<String>,
    /// None if the program ended by itself, with a message.
    pub(super) class: Option<String>,
    pub(super) sqlstate: Option<String>,
    pub(super) message: String,
}

impl Error {
    /// In words, with the kind that the SQLSTATE gives.
    pub(super) fn cause(&self) -> Cause {
        let code = self.sqlstate.as_deref();
        Cause {
            kind: code.map(Kind::of_sqlstate).unwrap_or_default(),
            code: code.and_then(Code::sqlstate),
            text: self.words(),
        }
    }

    /// The class and the first line of the message, which is the one that names what is wrong.
    pub(super) fn words(&self) -> String {
        let line = self.message.lines().find(|line| !line.trim().is_empty()).map(str::trim_end);
        self.class.as_deref().into_iter().chain(line).collect::<Vec<_>>().join(": ")
    }
}

/// None for a line that is no message of ours.
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
    fn a_failure_carries_class_sqlstate_and_message_as_fields() {
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
