//! The time limits of tests, and polling for conditions.

use std::{
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(20);
/// After this time a test counts as hanging. Other programs may keep both processors busy.
pub const ENOUGH: Duration = Duration::from_secs(100);
const QUICK: Duration = Duration::from_millis(7_500);
/// The limit on a busy machine for something that takes a second or two.
const PROMPT: Duration = Duration::from_secs(25);

/// Polls until there is a value.
#[track_caller]
pub fn until<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + ENOUGH;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// Polls until the condition is true.
#[track_caller]
pub fn until_true(what: &str, mut poll: impl FnMut() -> bool) {
    until(what, || poll().then_some(()));
}

/// Checks that this took less than 8 s, the shortest time-out that could have ended it.
#[track_caller]
pub fn was_quick(started: Instant) {
    let took = started.elapsed();
    assert!(took < QUICK, "took {took:?}");
}

/// Checks that this took seconds; a failure would take a minute or more.
#[track_caller]
pub fn was_prompt(started: Instant) {
    let took = started.elapsed();
    assert!(took < PROMPT, "took {took:?}");
}
