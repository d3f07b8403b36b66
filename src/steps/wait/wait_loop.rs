//! Probes again and again until there is an answer; owns the pauses and the time-outs of every wait.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    database::Attempt, deadline::Deadline, failure::Failure, steps::retry::Schedule, words::duration,
};

const PAUSES: Schedule =
    Schedule { first: Duration::from_millis(250), max: Duration::from_secs(2), total: None };
/// Longer than any probe takes to connect and log in: only one that hangs is cut off.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// An attempt that has no answer after this time is reported, and goes on.
const SLOW: Duration = Duration::from_secs(5);
/// An unchanged cause is reported again after this time, so that the log shows progress.
const REMINDER: Duration = Duration::from_secs(10);

pub(super) struct WaitLoop<'a> {
    pub(super) what: &'a str,
    pub(super) timeout: Duration,
    /// Hears the last cause and the time since the beginning.
    pub(super) report: &'a dyn Fn(&str, Duration),
}

impl WaitLoop<'_> {
    /// Probes until the service is ready, until it never will be, or until the time is over.
    pub(super) async fn until(&self, mut probe: impl AsyncFnMut(Deadline) -> Attempt) -> Result<(), Failure> {
        let started = Instant::now();
        let deadline = Deadline::after(self.timeout);
        let mut last: Option<(String, Instant)> = None;
        let mut report = |why: String| {
            let now = Instant::now();
            if last.as_ref().is_none_or(|(cause, at)| *cause != why || now - *at >= REMINDER) {
                (self.report)(&why, now - started);
                last = Some((why, now));
            }
        };
        let mut had_answer = false;
        for attempt in 1.. {
            let limit = deadline.within(ATTEMPT_TIMEOUT);
            let started = Instant::now();
            let mut answer = pin!(limit.limit(probe(limit)));
            let mut is_slow = false;
            let answer = if let Ok(answer) = timeout(SLOW, &mut answer).await {
                answer
            } else {
                is_slow = true;
                report(format!("no answer in {}", duration(SLOW)));
                answer.await
            };
            match answer {
                Ok(Attempt::Ready) => return Ok(()),
                Ok(Attempt::Never(why)) => {
                    return Err(Failure::Refused { what: self.what.into(), why: why.into() });
                }
                Ok(Attempt::NotYet(why)) => report(why),
                // The deadline cut this attempt short, which proves less than what an earlier one found.
                Err(_) if limit == deadline && had_answer && !is_slow => break,
                Err(_) => report(format!("no answer in {}", duration(started.elapsed()))),
            }
            had_answer = true;
            let pause = Deadline::after(PAUSES.pause(attempt, fastrand::f64()));
            sleep_until(deadline.min(pause).instant()).await;
            if deadline.has_passed() {
                break;
            }
        }
        let last = last.map_or_else(|| "it was not asked".into(), |(cause, _)| cause);
        Err(Failure::WaitTimedOut { what: self.what.into(), after: self.timeout, last: last.into() })
    }
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

    /// What was said, with the whole seconds at which it was said.
    type Said = RefCell<Vec<(String, u64)>>;

    fn note(said: &Said) -> impl Fn(&str, Duration) {
        |why, elapsed| said.borrow_mut().push((why.to_owned(), elapsed.as_secs()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for() {
        let mut looks = 0;
        let said = Said::default();
        let on_event = note(&said);
        let answer = until("x", 60 * SECOND, &on_event, async |_| {
            looks += 1;
            if looks < 4 { Attempt::NotYet("connection refused".into()) } else { Attempt::Ready }
        });
        answer.await.unwrap();
        assert_eq!(looks, 4);
        assert_eq!(*said.borrow(), [("connection refused".into(), 0)], "the same cause is said once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_refusal_ends_the_wait_at_the_first_attempt() {
        let mut looks = 0;
        let failure = until("Redis", 60 * SECOND, &|_, _| {}, async |_| {
            looks += 1;
            Attempt::Never("wrong password".into())
        });
        let failure = failure.await.unwrap_err();
        assert_eq!((looks, failure.code()), (1, 77));
        assert_eq!(failure.to_string(), "cannot connect to Redis: wrong password (permanent, not retried)");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_cause_stands_in_the_message_when_the_time_is_over() {
        let started = Instant::now();
        let failure =
            until("x", 7 * SECOND, &|_, _| {}, async |_| Attempt::NotYet("still loading".into())).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.to_string(), "x was not ready within 7 s: still loading");
        assert_eq!((failure.code(), started.elapsed().as_secs()), (69, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_hangs_is_reported_and_in_the_end_given_up() {
        let mut looks = 0;
        let said = Said::default();
        let on_event = note(&said);
        let answer = until("x", 60 * SECOND, &on_event, async |_| {
            looks += 1;
            if looks == 1 { pending().await } else { Attempt::Ready }
        });
        answer.await.unwrap();
        assert_eq!(looks, 2);
        assert_eq!(*said.borrow(), [("no answer in 5 s".into(), 5), ("no answer in 30 s".into(), 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_takes_eight_seconds_succeeds() {
        let mut attempts = 0;
        let answer = until("x", 60 * SECOND, &|_, _| {}, async |_| {
            attempts += 1;
            tokio::time::sleep(8 * SECOND).await;
            Attempt::Ready
        });
        answer.await.unwrap();
        assert_eq!(attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_goes_on_past_the_deadline() {
        let started = Instant::now();
        let failure = until("x", 2 * SECOND, &|_, _| {}, async |_| pending().await).await.unwrap_err();
        assert_eq!(failure.to_string(), "x was not ready within 2 s: no answer in 2 s");
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_the_deadline_cuts_short_does_not_hide_the_cause_before_it() {
        let mut looks = 0;
        let failure = until("x", 2 * SECOND, &|_, _| {}, async |_| {
            looks += 1;
            if looks == 1 { Attempt::NotYet("connection refused".into()) } else { pending().await }
        });
        assert_eq!(failure.await.unwrap_err().to_string(), "x was not ready within 2 s: connection refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_cause_is_said_at_once_and_an_old_one_again_after_ten_seconds() {
        let started = Instant::now();
        let said = Said::default();
        let on_event = note(&said);
        let failure = until("x", 30 * SECOND, &on_event, async |_| {
            let cause = if started.elapsed() < 3 * SECOND { "cannot resolve" } else { "refused" };
            Attempt::NotYet(cause.into())
        });
        failure.await.unwrap_err();
        let said = said.borrow();
        let causes: Vec<&str> = said.iter().map(|(why, _)| why.as_str()).collect();
        assert_eq!(causes, ["cannot resolve", "refused", "refused", "refused"], "{said:?}");
        assert!(said[1].1 < 6 && said[2].1 >= said[1].1 + 10, "{said:?}");
    }
}
