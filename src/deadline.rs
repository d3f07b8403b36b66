//! A time limit for everything that waits: it is created once and passed to every operation.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

/// The instant at which the caller stops waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

/// The deadline passed before the result arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// The earlier of this deadline and `limit` from now, so that a part never gets more time than its caller.
    pub(crate) fn within(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// A deadline earlier than this one by `reserve`.
    pub(crate) fn before(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or(self.0))
    }

    /// The remaining time; zero after the deadline.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// Returns at the deadline. Cancel safe.
    pub(crate) async fn passed(self) {
        #[expect(clippy::disallowed_methods, reason = "every other wait for a time calls this")]
        sleep_until(self.0).await;
    }

    /// Returns the work's result. If the deadline passes first, the work is dropped.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        timeout_at(self.0, work).await.map_err(|_| Elapsed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_never_gets_more_time_than_its_caller() {
        let total = Deadline::after(Duration::from_secs(3));
        assert_eq!(total.within(Duration::from_secs(9)), total);
        assert_eq!(total.within(Duration::from_secs(1)).left(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_dropped_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(1));
        assert!(!deadline.has_passed());
        assert_eq!(deadline.limit(pending::<()>()).await, Err(Elapsed));
        assert!(deadline.has_passed());
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7));
    }
}
