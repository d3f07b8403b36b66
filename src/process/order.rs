//! What a stub is told: at its start by its first argument, and later by a signal of our own choice.

/// The first argument of a stub.
pub(super) const STEP: &str = "__step";
/// The same, of a program that stays.
pub(super) const STAY: &str = "__stay";

/// Has a stub kill its tree at once.
pub(super) const KILL_TREE: i32 = libc::SIGUSR1;
