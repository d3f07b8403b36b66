//! The pauses between the attempts of one operation: their growth, their jitter, the deadline and the number of attempts.

use std::time::Duration;

use crate::deadline::Deadline;

/// Pauses that double from `first` up to `longest`. Jitter shortens each to between 50% and 100%, so that replicas that
/// fail together do not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pauses {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Pauses {
    /// Pauses that do not grow.
    pub(crate) const fn even(pause: Duration) -> Self {
        Self { first: pause, longest: pause }
    }

    /// The pause after this attempt, counted from 1. `jitter` is from 0 to 1.
    fn after(&self, attempt: u32, jitter: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        let half = full / 2;
        half + full.saturating_sub(half).mul_f64(jitter.clamp(0.0, 1.0))
    }
}

/// The attempts of one operation, unlimited unless a limit is set. The caller makes the first one before the first pause.
#[derive(Debug)]
pub(crate) struct Retry {
    pauses: Pauses,
    deadline: Option<Deadline>,
    at_most: u32,
    attempts: u32,
}

impl Retry {
    pub(crate) fn new(pauses: Pauses) -> Self {
        Self { pauses, deadline: None, at_most: u32::MAX, attempts: 1 }
    }

    /// The last attempt starts at the deadline at the latest.
    pub(crate) fn until(self, deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// The limit includes the first attempt.
    pub(crate) fn at_most(self, attempts: u32) -> Self {
        Self { at_most: attempts, ..self }
    }

    /// The number of the current attempt, counted from 1.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempts
    }

    /// The pause before the next attempt, which ends at the deadline at the latest. None after the last attempt.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        let left = self.deadline.map_or(Duration::MAX, Deadline::left);
        if left.is_zero() || self.attempts >= self.at_most {
            return None;
        }
        let pause = self.pauses.after(self.attempts, fastrand::f64());
        self.attempts = self.attempts.saturating_add(1);
        Some(pause.min(left))
    }

    /// Pauses before the next attempt; returns false immediately after the last one. Cancel safe.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(pause) = self.next() else { return false };
        Deadline::after(pause).passed().await;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = Pauses { first: ms(250), longest: ms(2000) };
        for (attempt, shortest, longest, why) in [
            (1, 125, 250, "the first pause is as configured"),
            (2, 250, 500, "the second is twice as long"),
            (3, 500, 1000, "the third is four times as long"),
            (4, 1000, 2000, "up to the longest"),
            (5, 1000, 2000, "it does not grow further"),
            (u32::MAX, 1000, 2000, "it never exceeds the longest"),
            (0, 125, 250, "an attempt before the first counts as the first"),
        ] {
            assert_eq!(pauses.after(attempt, 0.0), ms(shortest), "{why}");
            assert_eq!(pauses.after(attempt, 1.0), ms(longest), "{why}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_attempt_starts_at_the_deadline() {
        let started = Instant::now();
        let deadline = Deadline::after(ms(3000));
        let mut retry = Retry::new(Pauses { first: ms(1000), longest: ms(8000) }).until(deadline);
        let mut attempts = 1;
        while retry.pause().await {
            attempts += 1;
        }
        assert!(attempts >= 3, "{attempts}");
        assert_eq!(started.elapsed(), ms(3000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_attempts_is_limited() {
        let mut retry = Retry::new(Pauses::even(ms(10))).at_most(3);
        let mut attempts = vec![retry.attempt()];
        while retry.pause().await {
            attempts.push(retry.attempt());
        }
        assert_eq!(attempts, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn a_pause_is_between_half_and_all_of_its_length_and_never_above_the_longest(
            first in 0..100_000_u64, longest in 0..100_000_u64, attempt: u32, jitter in 0.0..=1.0_f64,
        ) {
            let pauses = Pauses { first: ms(first), longest: ms(longest) };
            let (least, most) = (pauses.after(attempt, 0.0), pauses.after(attempt, 1.0));
            let pause = pauses.after(attempt, jitter);
            prop_assert!(least <= pause && pause <= most && most <= pauses.longest);
            prop_assert_eq!(least, most / 2);
        }

        #[test]
        fn later_pauses_are_never_shorter(
            first in 0..100_000_u64, longest in 0..100_000_u64, attempt in 0..40_u32, jitter in 0.0..=1.0_f64,
        ) {
            let pauses = Pauses { first: ms(first), longest: ms(longest) };
            prop_assert!(pauses.after(attempt, jitter) <= pauses.after(attempt + 1, jitter));
        }
    }
}
