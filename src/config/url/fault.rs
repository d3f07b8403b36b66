//! Describes a problem of a URL, without any part of the URL.

use crate::config::problem::nearest;

/// A problem of a URL.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct Fault {
    pub(in crate::config) message: String,
    /// The parameter's name in the URL: it may be shown only if the file contains the URL.
    pub(in crate::config) parameter: Option<String>,
    pub(in crate::config) help: Option<String>,
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self { message: message.into(), parameter: None, help: None }
    }
}

/// The error for an unknown parameter.
pub(super) fn unknown(name: &str, known: &[&str]) -> Fault {
    let help = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this URL takes no parameters".into(),
        None => format!("one of: {}", known.join(", ")),
    };
    Fault {
        message: "the URL has an unknown parameter".into(),
        parameter: Some(name.to_owned()),
        help: Some(help),
    }
}
