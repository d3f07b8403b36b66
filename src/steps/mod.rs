//! One file a kind of step.

pub(crate) mod command;
pub(crate) mod retry;
pub(crate) mod wait;
