//! The progress of a long step: a bar on a terminal, else an occasional line. Pure: the caller passes the time.

use std::{collections::BTreeMap, time::Duration};

use crate::words::duration;

/// The maximum time between two lines, if there is progress.
const EVERY: Duration = Duration::from_secs(5);
/// A line is also due for each of these parts of the total, but not more often than `MINIMUM`.
const PARTS: usize = 10;
const MINIMUM: Duration = Duration::from_secs(1);

/// The maximum width of the bar itself.
const BAR: usize = 30;
/// The minimum width of the bar itself; with less room there is only the text.
const SHORTEST: usize = 6;

/// The progress of a step.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) done: usize,
    pub(crate) total: usize,
    pub(crate) what: String,
    /// The time of the first progress, since the start of the start-up.
    pub(crate) since: Duration,
}

/// The last printed progress of each step, and its time.
#[derive(Debug, Default)]
pub(crate) struct LineThrottle(BTreeMap<usize, (usize, Duration)>);

impl LineThrottle {
    /// Whether to print a line for this progress.
    pub(crate) fn is_due(&mut self, step: usize, done: usize, total: usize, at: Duration) -> bool {
        let Some((printed, when)) = self.0.get_mut(&step) else {
            self.0.insert(step, (done, at));
            return false;
        };
        let since = at.saturating_sub(*when);
        let part = done.saturating_sub(*printed) * PARTS >= total;
        let due = done < total && (since >= EVERY || (part && since >= MINIMUM));
        if due {
            (*printed, *when) = (done, at);
        }
        due
    }
}

/// `412 of 800 tenants migrated, 38 a second, 10 s left`.
pub(crate) fn words(progress: &Progress, taken: Duration) -> String {
    let Progress { done, total, what, .. } = progress;
    let mut text = format!("{done} of {total} {what}");
    let millis = taken.as_millis();
    if let (1.., Ok(some)) = (millis, u128::try_from(*done))
        && some > 0
    {
        let tenths = some * 10_000 / millis;
        let rate = if tenths < 100 {
            format!("{}.{} a second", tenths / 10, tenths % 10)
        } else {
            format!("{} a second", tenths / 10)
        };
        let more = u128::try_from(total.saturating_sub(*done)).unwrap_or_default();
        // An estimate needs no fractions of a second.
        let left = u64::try_from((millis * more / some).div_ceil(1_000)).unwrap_or(u64::MAX);
        let left = Duration::from_secs(left);
        text += &format!(", {rate}, {} left", duration(left).replace(".0 s", " s"));
    }
    text
}

/// One line that is shorter than `columns`.
pub(crate) fn bar(name: &str, progress: &Progress, taken: Duration, columns: usize) -> String {
    let words = words(progress, taken);
    let columns = columns.saturating_sub(1);
    let room = columns.saturating_sub(name.chars().count() + words.chars().count() + 5).min(BAR);
    let line = if room < SHORTEST {
        format!("{name}: {words}")
    } else {
        let filled = (room * progress.done / progress.total.max(1)).min(room);
        let head = if filled < room { ">" } else { "" };
        let empty = " ".repeat(room - filled - head.len());
        format!("{name} [{}{head}{empty}] {words}", "=".repeat(filled))
    };
    line.chars().take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: usize) -> Progress {
        Progress { done, total: 800, what: "tenants migrated".into(), since: Duration::ZERO }
    }

    #[test]
    fn the_bar_shows_the_rate_and_the_time_left_and_fits_the_terminal() {
        let taken = Duration::from_secs(10);
        assert_eq!(
            bar("tenant schemas", &progress(412), taken, 100),
            "tenant schemas [==============>              ] 412 of 800 tenants migrated, 41 a second, 10 s left"
        );
        assert_eq!(
            bar("tenant schemas", &progress(4), taken, 60),
            "tenant schemas: 4 of 800 tenants migrated, 0.4 a second, 33"
        );
        for columns in 0..130 {
            for done in [0, 1, 400, 799, 800] {
                let line = bar("a step", &progress(done), taken, columns);
                assert!(line.chars().count() < columns.max(1), "{columns}: {line}");
            }
        }
    }

    #[test]
    fn a_line_is_due_every_five_seconds_or_for_every_tenth() {
        let mut throttle = LineThrottle::default();
        let ms = Duration::from_millis;
        for (done, at, due, why) in [
            (1, ms(0), false, "the first progress only starts the clock"),
            (200, ms(900), false, "a second has not passed"),
            (201, ms(1_000), true, "more than a tenth"),
            (210, ms(5_900), false, "neither"),
            (211, ms(6_000), true, "five seconds"),
            (291, ms(7_100), true, "a tenth again"),
            (800, ms(20_000), false, "the end of the step has its own line"),
        ] {
            assert_eq!(throttle.is_due(3, done, 800, at), due, "{why}");
        }
    }
}
