//! Looks again and again until there is an answer; owns the pauses and the time-outs of every wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{database::Attempt, failure::Failure, steps::retry::Schedule, words::duration};

const PAUSES: Schedule =
    Schedule { first: Duration::from_millis(250), max: Duration::from_secs(2), total: None };
/// A look that hangs longer tells nothing more: the next one may meet another address.
const ONE_LOOK: Duration = Duration::from_secs(5);
/// An unchanged cause is said again after this time, so that the log shows that we are alive.
const REMINDER: Duration = Duration::from_secs(10);

pub(super) struct Patience<'a> {
    pub(super) what: &'a str,
    pub(super) timeout: Duration,
    /// Hears the last cause and the time since the beginning.
    pub(super) say: &'a dyn Fn(&str, Duration),
}

impl Patience<'_> {
    /// Looks until it is ready, until it is never going to be, or until the time is over.
    pub(super) async fn until(&self, mut look: impl AsyncFnMut() -> Attempt) -> Result<(), Failure> {
        let begun = Instant::now();
        let deadline = begun + self.timeout;
        let mut last: Option<(String, Instant)> = None;
        for attempt in 1.. {
            let looked = Instant::now();
            let limit = deadline.min(looked + ONE_LOOK);
            let why = match timeout_at(limit, look()).await {
                Ok(Attempt::Ready) => return Ok(()),
                Ok(Attempt::Never(why)) => {
                    return Err(Failure::Refused { what: self.what.into(), why: why.into() });
                }
                Ok(Attempt::NotYet(why)) => why,
                // The deadline cut this look short, which proves less than what an earlier one saw.
                Err(_) if limit == deadline && last.is_some() => break,
                Err(_) => format!("no answer in {}", duration(limit - looked)),
            };
            let now = Instant::now();
            if last.as_ref().is_none_or(|(cause, said)| *cause != why || now - *said >= REMINDER) {
                (self.say)(&why, now - begun);
                last = Some((why, now));
            }
            sleep_until(deadline.min(now + PAUSES.pause(attempt, fastrand::f64()))).await;
            if Instant::now() >= deadline {
                break;
            }
        }
        let last = last.map_or_else(|| "it was not looked at".into(), |(cause, _)| cause);
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
        say: &dyn Fn(&str, Duration),
        look: impl AsyncFnMut() -> Attempt,
    ) -> Result<(), Failure> {
        Patience { what, timeout, say }.until(look).await
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
        let say = note(&said);
        let answer = until("x", 60 * SECOND, &say, async || {
            looks += 1;
            if looks < 4 { Attempt::NotYet("connection refused".into()) } else { Attempt::Ready }
        });
        answer.await.unwrap();
        assert_eq!(looks, 4);
        assert_eq!(*said.borrow(), [("connection refused".into(), 0)], "the same cause is said once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_for_good_ends_the_wait_at_the_first_look() {
        let mut looks = 0;
        let failure = until("Redis", 60 * SECOND, &|_, _| {}, async || {
            looks += 1;
            Attempt::Never("wrong password".into())
        });
        let failure = failure.await.unwrap_err();
        assert_eq!((looks, failure.code()), (1, 77));
        assert_eq!(failure.to_string(), "Redis refused us for good: wrong password");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_cause_stands_in_the_message_when_the_time_is_over() {
        let begun = Instant::now();
        let failure =
            until("x", 7 * SECOND, &|_, _| {}, async || Attempt::NotYet("still loading".into())).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.to_string(), "x was not there after 7 s: still loading");
        assert_eq!((failure.code(), begun.elapsed().as_secs()), (69, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_is_given_up_and_looked_at_again() {
        let mut looks = 0;
        let answer = until("x", 60 * SECOND, &|_, _| {}, async || {
            looks += 1;
            if looks == 1 { pending().await } else { Attempt::Ready }
        });
        answer.await.unwrap();
        assert_eq!(looks, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_never_goes_on_past_the_deadline() {
        let begun = Instant::now();
        let failure = until("x", 2 * SECOND, &|_, _| {}, async || pending().await).await.unwrap_err();
        assert_eq!(failure.to_string(), "x was not there after 2 s: no answer in 2 s");
        assert_eq!(begun.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_the_deadline_cuts_short_does_not_hide_the_cause_before_it() {
        let mut looks = 0;
        let failure = until("x", 2 * SECOND, &|_, _| {}, async || {
            looks += 1;
            if looks == 1 { Attempt::NotYet("connection refused".into()) } else { pending().await }
        });
        assert_eq!(failure.await.unwrap_err().to_string(), "x was not there after 2 s: connection refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_cause_is_said_at_once_and_an_old_one_again_after_ten_seconds() {
        let begun = Instant::now();
        let said = Said::default();
        let say = note(&said);
        let failure = until("x", 30 * SECOND, &say, async || {
            let cause = if begun.elapsed() < 3 * SECOND { "cannot resolve" } else { "refused" };
            Attempt::NotYet(cause.into())
        });
        failure.await.unwrap_err();
        let said = said.borrow();
        let causes: Vec<&str> = said.iter().map(|(why, _)| why.as_str()).collect();
        assert_eq!(causes, ["cannot resolve", "refused", "refused", "refused"], "{said:?}");
        assert!(said[1].1 < 6 && said[2].1 >= said[1].1 + 10, "{said:?}");
    }
}
