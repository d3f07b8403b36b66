//! Numbers and times in words.

use std::time::Duration;

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `412 ms`, `2.1 s`, `12 m 4 s`.
pub(crate) fn took(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..120_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        millis => format!("{} m {} s", millis / 60_000, millis / 1_000 % 60),
    }
}
