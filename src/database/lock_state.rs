//! The lock's modes, and its state as a session reads it.

/// The state of the lock that a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockState {
    Held,
    /// With a description.
    Lost(String),
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
