//! Limits the output of a program that is handled: a burst, and after it a rate. Pure: the caller passes the time.
//!
//! Each line is masked, kept for the status page and written, which takes longer than to print it. Without a limit, a
//! program that prints gigabytes would wait for that.

use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::Deadline;

/// The maximum at once: 130,000 lines of a usual length.
const BURST: u64 = 16 * MIB;
/// The number of bytes that are added each second.
const RATE: u64 = 2 * MIB;
/// After the limit was reached, the output continues once this number of bytes is available.
const RESUME: u64 = MIB / 4;
/// A line costs as much as this number of bytes more.
pub(super) const LINE_COST: usize = 64;
const MIB: u64 = 1024 * 1024;

/// The bytes that may still be handled.
#[derive(Debug)]
pub(super) struct OutputLimit {
    left: u64,
    at: Instant,
    exceeded: bool,
}

impl OutputLimit {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, at: now, exceeded: false }
    }

    pub(super) fn spend(&mut self, bytes: usize, now: Instant) {
        self.refill(now);
        self.left = self.left.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.exceeded |= self.left == 0;
    }

    /// Whether further output is dropped.
    pub(super) fn is_exceeded(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.exceeded &= self.left < RESUME;
        self.exceeded
    }

    /// The time at which output is handled again.
    pub(super) fn resumes(&self) -> Deadline {
        Deadline::after(Duration::from_millis(1 + RESUME.saturating_sub(self.left) * 1_000 / RATE))
    }

    fn refill(&mut self, now: Instant) {
        let millis = u64::try_from(now.duration_since(self.at).as_millis()).unwrap_or(u64::MAX);
        let added = millis.saturating_mul(RATE) / 1_000;
        if added > 0 {
            self.left = self.left.saturating_add(added).min(BURST);
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_handled_and_after_it_a_rate() {
        let started = Instant::now();
        let mut limit = OutputLimit::new(started);
        let mebibyte = 1024 * 1024;
        limit.spend(15 * mebibyte, started);
        assert!(!limit.is_exceeded(started));
        limit.spend(mebibyte, started);
        assert!(limit.is_exceeded(started + Duration::from_millis(100)));
        let later = started + Duration::from_millis(200);
        assert!(!limit.is_exceeded(later));
        limit.spend(mebibyte, later);
        assert!(limit.is_exceeded(later));
        let much_later = later + Duration::from_mins(1);
        assert!(!limit.is_exceeded(much_later));
        limit.spend(15 * mebibyte, much_later);
        assert!(!limit.is_exceeded(much_later));
    }
}
