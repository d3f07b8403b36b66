//! How long tests wait, and how they wait for what cannot be followed as a stream: asked again after a pause.

use std::{
    thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(20);
/// After this something counts as hanging. Two other programs may keep both processors busy.
pub const ENOUGH: Duration = Duration::from_secs(100);
const QUICK: Duration = Duration::from_millis(7_500);
/// What takes a second or two may take this long on a busy machine.
const PROMPT: Duration = Duration::from_secs(25);

/// The first value that there is.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + ENOUGH;
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// Returns once it is so.
#[track_caller]
pub fn until_true(what: &str, mut look: impl FnMut() -> bool) {
    until(what, || look().then_some(()));
}

/// Checks that something took less than the shortest time-out that could have ended it, which is 8 s.
#[track_caller]
pub fn was_quick(started: Instant) {
    let took = started.elapsed();
    assert!(took < QUICK, "took {took:?}");
}

/// Checks that something which would otherwise take a minute or more has taken seconds.
#[track_caller]
pub fn was_prompt(started: Instant) {
    let took = started.elapsed();
    assert!(took < PROMPT, "took {took:?}");
}
