//! The result of `portcullis token`.

use std::time::SystemTime;

use crate::config::secret::Secret;

/// The password of a login; never part of any other output.
#[derive(Debug)]
pub(crate) struct DatabaseToken {
    pub(crate) password: Secret,
    /// None if it is not known.
    pub(crate) expires: Option<SystemTime>,
    /// The server and its port.
    pub(crate) host: String,
    pub(crate) user: String,
    /// For people.
    pub(crate) source: String,
}
