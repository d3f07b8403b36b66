//! Deadlines where there is no runtime: in a stub and in `init`, which tests drive as real processes.

use std::time::{Duration, Instant};

/// Who cannot be killed (another user's, or in the kernel) keeps nobody longer than this after KILL.
pub(super) const GIVE_UP: Duration = Duration::from_secs(2);

/// A moment on the monotonic clock.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "no runtime, so no tokio::time")]
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    #[expect(clippy::disallowed_methods, reason = "no runtime, so no tokio::time")]
    pub(super) fn left(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(super) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}
