//! Defines how a stub is controlled: by its first argument at the start, and later by a signal from its parent.

/// The first argument of a stub.
pub(super) const STEP: &str = "__step";
/// The first argument of a background program's stub.
pub(super) const STAY: &str = "__stay";

/// Makes a stub kill its tree immediately. Only its parent may send it.
pub(super) const KILL_TREE: i32 = libc::SIGUSR1;
