//! Repeats a probe until it is conclusive; owns the pauses and time limits of every wait.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{
    cause::{Cause, Kind},
    database::Attempt,
    deadline::Deadline,
    failure::Failure,
    retry::{Pauses, Retry},
    words::duration,
};

const PAUSES: Pauses = Pauses { first: Duration::from_millis(250), longest: Duration::from_secs(2) };
/// The time limit of one attempt, longer than any connection and login needs.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// An attempt that takes longer than this is reported and continues.
const SLOW: Duration = Duration::from_secs(5);
/// The interval at which an unchanged cause is reported again, so that the log shows progress.
const REMINDER: Duration = Duration::from_secs(10);

pub(super) struct WaitLoop<'a> {
    pub(super) what: &'a str,
    pub(super) timeout: Duration,
    /// Receives the last cause and the time since the start.
    pub(super) report: &'a dyn Fn(&str, Duration),
}

impl WaitLoop<'_> {
    /// Probes until the service is ready, permanently fails, or the time is over.
    pub(super) async fn until(&self, mut probe: impl AsyncFnMut(Deadline) -> Attempt) -> Result<(), Failure> {
        let started = Instant::now();
        let deadline = Deadline::after(self.timeout);
        let mut last: Option<(Cause, Instant)> = None;
        let mut report = |why: Cause| {
            let now = Instant::now();
            if last.as_ref().is_none_or(|(cause, at)| *cause != why || now - *at >= REMINDER) {
                (self.report)(&why.text, now - started);
                last = Some((why, now));
            }
        };
        let mut had_outcome = false;
        let mut retry = Retry::new(PAUSES).until(deadline);
        loop {
            let limit = deadline.within(ATTEMPT_TIMEOUT);
            let started = Instant::now();
            let mut attempt_result = pin!(limit.limit(probe(limit)));
            let mut is_slow = false;
            let outcome = if let Ok(outcome) = timeout(SLOW, &mut attempt_result).await {
                outcome
            } else {
                is_slow = true;
                report(silent(SLOW));
                attempt_result.await
            };
            match outcome {
                Ok(Attempt::Ready) => return Ok(()),
                Ok(Attempt::Never(why)) => return Err(Failure::refused(self.what, why)),
                Ok(Attempt::NotYet(why)) => report(why),
                // The deadline interrupted this attempt, so an earlier cause is more conclusive.
                Err(_) if limit == deadline && had_outcome && !is_slow => break,
                Err(_) => report(silent(started.elapsed())),
            }
            had_outcome = true;
            if !retry.pause().await || deadline.has_passed() {
                break;
            }
        }
        let last = last.map_or_else(|| "it was not probed".into(), |(cause, _)| cause);
        Err(Failure::WaitTimedOut { what: self.what.into(), after: self.timeout, last })
    }
}

fn silent(time: Duration) -> Cause {
    Cause::new(Kind::Silent, format!("no answer in {}", duration(time)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::{cell::RefCell, future::pending};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn until(
        what: &str,
        timeout: Duration,
        report: &dyn Fn(&str, Duration),
        probe: impl AsyncFnMut(Deadline) -> Attempt,
    ) -> Result<(), Failure> {
        WaitLoop { what, timeout, report }.until(probe).await
    }

    /// The reported causes, with the time in whole seconds.
    type Reported = RefCell<Vec<(String, u64)>>;

    fn note(reported: &Reported) -> impl Fn(&str, Duration) {
        |why, elapsed| reported.borrow_mut().push((why.to_owned(), elapsed.as_secs()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_service_ends_the_wait_successfully() {
        let mut attempts = 0;
        let reported = Reported::default();
        let on_event = note(&reported);
        let wait = until("x", 60 * SECOND, &on_event, async |_| {
            attempts += 1;
            if attempts < 4 { Attempt::NotYet("connection refused".into()) } else { Attempt::Ready }
        });
        wait.await.unwrap();
        assert_eq!(attempts, 4);
        assert_eq!(*reported.borrow(), [("connection refused".into(), 0)], "the same cause is reported once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_ends_the_wait_at_the_first_attempt() {
        let mut attempts = 0;
        let failure = until("Redis", 60 * SECOND, &|_, _| {}, async |_| {
            attempts += 1;
            Attempt::Never("wrong password".into())
        });
        let failure = failure.await.unwrap_err();
        assert_eq!((attempts, failure.code()), (1, 77));
        assert_eq!(failure.to_string(), "cannot connect to Redis: wrong password (permanent, not retried)");
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_out_reports_the_last_cause() {
        let started = Instant::now();
        let failure =
            until("x", 7 * SECOND, &|_, _| {}, async |_| Attempt::NotYet("still loading".into())).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.to_string(), "x was not ready within 7 s: still loading");
        assert_eq!((failure.code(), started.elapsed().as_secs()), (69, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_is_reported_and_finally_abandoned() {
        let mut attempts = 0;
        let reported = Reported::default();
        let on_event = note(&reported);
        let wait = until("x", 60 * SECOND, &on_event, async |_| {
            attempts += 1;
            if attempts == 1 { pending().await } else { Attempt::Ready }
        });
        wait.await.unwrap();
        assert_eq!(attempts, 2);
        assert_eq!(*reported.borrow(), [("no answer in 5 s".into(), 5), ("no answer in 30 s".into(), 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_takes_eight_seconds_succeeds() {
        let mut attempts = 0;
        let wait = until("x", 60 * SECOND, &|_, _| {}, async |_| {
            attempts += 1;
            Deadline::after(8 * SECOND).passed().await;
            Attempt::Ready
        });
        wait.await.unwrap();
        assert_eq!(attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_continues_after_the_deadline() {
        let started = Instant::now();
        let failure = until("x", 2 * SECOND, &|_, _| {}, async |_| pending().await).await.unwrap_err();
        assert_eq!(failure.to_string(), "x was not ready within 2 s: no answer in 2 s");
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_the_deadline_interrupts_does_not_hide_the_earlier_cause() {
        let mut attempts = 0;
        let failure = until("x", 2 * SECOND, &|_, _| {}, async |_| {
            attempts += 1;
            if attempts == 1 { Attempt::NotYet("connection refused".into()) } else { pending().await }
        });
        assert_eq!(failure.await.unwrap_err().to_string(), "x was not ready within 2 s: connection refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_cause_is_reported_immediately_and_an_unchanged_one_every_ten_seconds() {
        let started = Instant::now();
        let reported = Reported::default();
        let on_event = note(&reported);
        let failure = until("x", 30 * SECOND, &on_event, async |_| {
            let cause = if started.elapsed() < 3 * SECOND { "cannot resolve" } else { "refused" };
            Attempt::NotYet(cause.into())
        });
        failure.await.unwrap_err();
        let reported = reported.borrow();
        let causes: Vec<&str> = reported.iter().map(|(why, _)| why.as_str()).collect();
        assert_eq!(causes, ["cannot resolve", "refused", "refused", "refused"], "{reported:?}");
        assert!(reported[1].1 < 6 && reported[2].1 >= reported[1].1 + 10, "{reported:?}");
    }
}
