//! One limit in time for everything that waits: it is made once, and travels with every question.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The instant at which whoever made it stops waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

/// The deadline came before the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// The earlier of this one and `limit` from now: a part's own limit never exceeds that of the whole.
    pub(crate) fn within(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// What is to be over before this one, by so much.
    pub(crate) fn before(self, reserve: Duration) -> Self {
        Self(self.0.checked_sub(reserve).unwrap_or(self.0))
    }

    /// Zero once it has passed.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }

    /// The work's result, unless the deadline comes first: then the work is dropped.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        timeout_at(self.0, work).await.map_err(|_| Elapsed)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_never_gets_more_time_than_the_whole() {
        let whole = Deadline::after(Duration::from_secs(3));
        assert_eq!(whole.within(Duration::from_secs(9)), whole);
        assert_eq!(whole.within(Duration::from_secs(1)).left(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_hangs_is_cut_off() {
        let deadline = Deadline::after(Duration::from_secs(1));
        assert_eq!(deadline.limit(pending::<()>()).await, Err(Elapsed));
        assert!(deadline.has_passed());
        assert_eq!(deadline.limit(async { 7 }).await, Ok(7));
    }
}
