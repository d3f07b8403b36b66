//! The lock's modes, its state as a session reads it, and the lock of a tenant's database.

use std::any::Any;

/// The state of the lock that a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockState {
    Held,
    /// With a description.
    Lost(String),
}

/// The holder of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockHolder {
    /// For people.
    pub(crate) words: String,
    /// The identifier of the run, if the holder is one.
    pub(crate) run: Option<String>,
}

impl From<&str> for LockHolder {
    fn from(words: &str) -> Self {
        Self { words: words.into(), run: None }
    }
}

/// Whether a run shares the lock with other runs in shared mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockMode {
    Exclusive,
    Shared,
}

/// A session of a run that no longer holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrphanedBackend {
    pub(crate) name: String,
    /// It belongs to Portcullis itself and changes nothing without its schema's lock.
    pub(crate) fenced: bool,
}

/// Holds the lock of a tenant's own database until it is dropped.
pub(crate) struct DatabaseLock(
    #[expect(dead_code, reason = "the lock ends with its connection")] Box<dyn Any>,
);

impl DatabaseLock {
    pub(super) fn new(connection: impl Any) -> Self {
        Self(Box::new(connection))
    }
}
