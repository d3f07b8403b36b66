//! A calendar day, used as the end of an acceptance. Pure: it never reads the clock.

use std::{fmt, str::FromStr};

/// A calendar day in UTC: year, month, day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(u16, u8, u8);

impl Day {
    pub(crate) const LAST: Self = Self(u16::MAX, 12, 31);
}

impl FromStr for Day {
    type Err = ();

    /// Parses `2027-01-31` and ignores a time of day after it.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.get(..10).ok_or(())?.split('-');
        let mut next = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length).ok_or(())?;
            part.parse::<u16>().map_err(drop)
        };
        let (year, month, day) = (next(4)?, next(2)?, next(2)?);
        let days = match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=12).contains(&month) || !(1..=days).contains(&day) {
            return Err(());
        }
        Ok(Self(year, u8::try_from(month).map_err(drop)?, u8::try_from(day).map_err(drop)?))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_a_valid_calendar_day_parses() {
        for (text, valid) in [
            ("2027-01-31", true),
            ("2028-02-29", true),
            ("2027-02-29", false),
            ("2027-04-31", false),
            ("2027-13-01", false),
            ("2027-00-10", false),
            ("2027-1-31", false),
            ("31.01.2027", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Day>().is_ok(), valid, "{text}");
        }
        assert_eq!("2027-01-31".parse::<Day>().unwrap().to_string(), "2027-01-31");
        assert_eq!("2026-11-23T20:26:01.123Z".parse::<Day>(), "2026-11-23".parse());
    }
}
