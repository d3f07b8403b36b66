//! Defines what every kind of wait implements.

use futures_util::future::LocalBoxFuture;

use crate::{database::Attempt, deadline::Deadline};

/// A target to wait for.
pub(super) trait Probe {
    /// The target's name for messages, without a password.
    fn name(&self) -> String;

    /// Makes one attempt. It limits its own connection; the deadline is that of the attempt.
    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt>;
}
