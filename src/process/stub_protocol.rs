//! How a stub is controlled: by its first argument when it starts, and later by a signal from its parent.

/// The first argument of a stub.
pub(super) const STEP: &str = "__step";
/// The same, of a program that stays beside the server.
pub(super) const STAY: &str = "__stay";

/// Has a stub kill its tree at once. Only its parent may send it.
pub(super) const KILL_TREE: i32 = libc::SIGUSR1;
