//! Computes the pause before the next attempt. Pure: it never sleeps and never reads the clock.

use std::time::Duration;

/// Pauses that double from `first` up to `max`. Jitter shortens each to between 50% and 100%, so that replicas that
/// fail together do not retry together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
    /// The limit for all attempts and pauses; None sets no limit.
    pub(crate) total: Option<Duration>,
}

impl Schedule {
    /// The pause after this attempt, counted from 1. `jitter` is from 0 to 1.
    pub(crate) fn pause(&self, attempt: u32, jitter: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.first.saturating_mul(1 << doublings).min(self.max);
        let half = full / 2;
        half + full.saturating_sub(half).mul_f64(jitter.clamp(0.0, 1.0))
    }

    /// Like `pause`, but None if the time is over after the pause.
    pub(crate) fn next(&self, attempt: u32, jitter: f64, elapsed: Duration) -> Option<Duration> {
        let pause = self.pause(attempt, jitter);
        match self.total {
            Some(total) if elapsed.saturating_add(pause) >= total => None,
            _ => Some(pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn pauses_double_up_to_the_cap() {
        let schedule = Schedule { first: ms(250), max: ms(2000), total: None };
        for (attempt, shortest, longest, why) in [
            (1, 125, 250, "the first pause is as configured"),
            (2, 250, 500, "the second is twice as long"),
            (3, 500, 1000, "the third is four times as long"),
            (4, 1000, 2000, "up to the cap"),
            (5, 1000, 2000, "it stays at the cap"),
            (u32::MAX, 1000, 2000, "it never exceeds the cap"),
            (0, 125, 250, "an attempt before the first counts as the first"),
        ] {
            assert_eq!(schedule.pause(attempt, 0.0), ms(shortest), "{why}");
            assert_eq!(schedule.pause(attempt, 1.0), ms(longest), "{why}");
        }
    }

    #[test]
    fn no_attempt_follows_a_pause_that_exceeds_the_time_limit() {
        let schedule = Schedule { first: ms(1000), max: ms(8000), total: Some(ms(3000)) };
        for (elapsed, next, why) in [
            (0, Some(ms(1000)), "enough time is left"),
            (1999, Some(ms(1000)), "little time is left"),
            (2000, None, "the pause would end at the deadline"),
            (9000, None, "the deadline has passed"),
        ] {
            assert_eq!(schedule.next(1, 1.0, ms(elapsed)), next, "{why}");
        }
        let endless = Schedule { total: None, ..schedule };
        assert_eq!(
            endless.next(1, 1.0, Duration::MAX),
            Some(ms(1000)),
            "without a limit, time is always left"
        );
    }

    proptest! {
        #[test]
        fn a_pause_is_between_half_and_all_of_its_length_and_never_above_the_cap(
            first in 0..100_000_u64, max in 0..100_000_u64, attempt: u32, jitter in 0.0..=1.0_f64,
        ) {
            let schedule = Schedule { first: ms(first), max: ms(max), total: None };
            let (shortest, longest) = (schedule.pause(attempt, 0.0), schedule.pause(attempt, 1.0));
            let pause = schedule.pause(attempt, jitter);
            prop_assert!(shortest <= pause && pause <= longest && longest <= schedule.max);
            prop_assert_eq!(shortest, longest / 2);
        }

        #[test]
        fn later_pauses_are_never_shorter(first in 0..100_000_u64, max in 0..100_000_u64, attempt in 0..40_u32, jitter in 0.0..=1.0_f64) {
            let schedule = Schedule { first: ms(first), max: ms(max), total: None };
            prop_assert!(schedule.pause(attempt, jitter) <= schedule.pause(attempt + 1, jitter));
        }
    }
}
