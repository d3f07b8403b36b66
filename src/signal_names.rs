//! Signals as people write them: `TERM`, `SIGTERM`, `15`, `RTMIN+3`.

use nix::sys::signal::Signal;

/// The first real-time signal, as glibc, Docker and systemd count; the C library keeps the two before it.
const RTMIN: i32 = 34;
const LAST: i32 = 64;

/// The signal's number.
pub(crate) fn number(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=LAST).contains(&number) {
            Ok(number)
        } else {
            Err("signals are numbered from 1 to 64".into())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(RTMIN),
        (Some(more), _) => {
            more.strip_prefix('+').and_then(|more| Some(RTMIN + more.parse::<u8>().map(i32::from).ok()?))
        }
        (_, Some("")) => Some(LAST),
        (_, Some(less)) => {
            less.strip_prefix('-').and_then(|less| Some(LAST - less.parse::<u8>().map(i32::from).ok()?))
        }
        _ => format!("SIG{name}").parse::<Signal>().ok().map(|signal| signal as i32),
    };
    real_time
        .filter(|number| (1..=LAST).contains(number))
        .ok_or_else(|| format!("there is no signal `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        for (text, expected) in [
            ("TERM", 15),
            ("sigterm", 15),
            ("15", 15),
            ("WINCH", 28),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("SIGRTMAX", 64),
        ] {
            assert_eq!(number(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "65", "NONE", "RTMIN+99", "RTMIN3", "RTMAX+1", "SIGSIGTERM"] {
            assert!(number(text).is_err(), "{text}");
        }
    }
}
