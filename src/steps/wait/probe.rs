//! What every kind of wait can do.

use futures_util::future::LocalBoxFuture;

use crate::{database::Attempt, deadline::Deadline};

/// One thing that is awaited.
pub(super) trait Probe {
    /// In words that hold no password.
    fn name(&self) -> String;

    /// One attempt. It limits its own connection; the deadline is that of the attempt.
    fn probe(&mut self, deadline: Deadline) -> LocalBoxFuture<'_, Attempt>;
}
