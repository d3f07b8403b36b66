//! Numbers, durations and times in words. Pure.

use std::time::{Duration, SystemTime};

/// `1 step`, `2 steps`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The first `most` of them, with how many are left out: `acme, beta and 12 more`.
pub(crate) fn list<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `start`, which is `width` characters wide, and the text, on lines of at most `columns` characters. Further lines are
/// indented by that width. Text in backticks is not broken, so that a command in it can be pasted.
pub(crate) fn hanging(start: &str, width: usize, text: &str, columns: usize) -> Vec<String> {
    let indent = width.min(columns / 2 + 10);
    let (mut lines, mut line, mut length, mut is_first) = (Vec::new(), start.to_owned(), width, true);
    let is_paired = text.matches('`').count().is_multiple_of(2);
    let mut is_quoted = false;
    let parts = text.split(|c| {
        is_quoted ^= c == '`' && is_paired;
        c == ' ' && !is_quoted
    });
    for part in parts {
        let more = part.chars().count();
        if !is_first && length + 1 + more > columns {
            lines.push(line.trim_end().to_owned());
            (line, length) = (" ".repeat(indent), indent);
        } else if !is_first {
            line.push(' ');
            length += 1;
        }
        line += part;
        length += more;
        is_first = false;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// `412 ms`, `2.1 s`, `90 s`, `2 m`, `12 m 4 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let (seconds, tenths) = (duration.as_secs(), duration.subsec_millis() / 100);
    match (seconds, tenths) {
        (0, _) => format!("{} ms", duration.as_millis()),
        (1..120, 0) => format!("{seconds} s"),
        (1..120, _) => format!("{seconds}.{tenths} s"),
        _ if seconds % 60 == 0 => format!("{} m", seconds / 60),
        _ => format!("{} m {} s", seconds / 60, seconds % 60),
    }
}

/// An integer and its unit: `500ms`, `90s`, `2m` or `1h`.
pub(crate) fn read_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(60 * 60)?)),
        _ => None,
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// 2026-11-23T20:26:01.123Z
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Howard Hinnant's civil_from_days, for days since 1970-01-01.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, millis) = (second / 3_600, second / 60 % 60, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{millis:03}Z", second % 60)
}

/// The seconds since 1970 of a time in UTC such as `2026-11-23T20:26:01Z`.
pub(crate) fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |part: Option<&str>| part?.parse::<u64>().ok();
    let (mut date, mut time) = (date.split('-'), time.split('.').next()?.split(':'));
    let (year, month, day) = (number(date.next())?, number(date.next())?, number(date.next())?);
    let (hour, minute, second) = (number(time.next())?, number(time.next())?, number(time.next())?);
    if !(1970..10_000).contains(&year) || !(1..13).contains(&month) || !(1..32).contains(&day) {
        return None;
    }
    // Howard Hinnant's days_from_civil.
    let year = year - u64::from(month < 3);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + of_year;
    let days = (year / 400 * 146_097 + of_era).checked_sub(719_468)?;
    Some(days * 86_400 + hour.min(24) * 3_600 + minute.min(60) * 60 + second.min(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_709_164_800, 1_795_830_300, 4_107_542_399] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(parse_rfc3339(&rfc3339(time)), Some(seconds));
        }
        assert_eq!(parse_rfc3339("2026-11-28T01:45:00Z"), Some(1_795_830_300));
        for wrong in ["", "2026-11-28", "2026-11-28T01:45:00+01:00", "2026-13-01T00:00:00Z", "x-y-zT0:0:0Z"] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_text_hangs_behind_its_start_and_keeps_commands() {
        let text = "run `portcullis  verify acme` again and again";
        assert_eq!(hanging("1. ", 3, text, usize::MAX), [format!("1. {text}")]);
        let lines = ["1. run", "   `portcullis  verify acme`", "   again and", "   again"];
        assert_eq!(hanging("1. ", 3, text, 16), lines);
        assert_eq!(hanging("", 0, "it`s too long", 4), ["it`s", "too", "long"]);
        assert_eq!(hanging("a long start ", 13, "and words", 8), ["a long start and", "             words"]);
        assert_eq!(hanging("x", 1, "", 8), ["x"]);
    }

    #[test]
    fn a_duration_has_the_units_that_people_write() {
        for (millis, words) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (2_000, "2 s"),
            (2_190, "2.1 s"),
            (90_000, "90 s"),
            (120_000, "2 m"),
            (724_000, "12 m 4 s"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn hexadecimal_digits_are_lower_case() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
