//! The arguments of `portcullis init`, named as those of tini and dumb-init.

use std::time::Duration;

use clap::Args;

use crate::{signal_names, words::read_duration};

/// Run one program as init: forward signals, reap orphans, exit with its code.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Forward signal S as R, or drop it if R is 0; names or numbers
    #[arg(short = 'r', long = "rewrite", value_name = "S:R", value_parser = rewrite)]
    pub(crate) rewrites: Vec<(i32, i32)>,

    /// Forward signals to the program's process group instead of the program alone
    #[arg(short = 'g', long)]
    pub(crate) signal_group: bool,

    /// Give the program a new process group instead of a new session
    #[arg(long)]
    pub(crate) group: bool,

    /// Receive and forward this signal when the parent process dies
    #[arg(short = 'p', long, value_name = "SIGNAL", value_parser = signal_names::number)]
    pub(crate) parent_death_signal: Option<i32>,

    /// Exit with 0 if the program exits with this code; repeatable
    #[arg(short = 'e', long, value_name = "CODE")]
    pub(crate) remap_exit: Vec<u8>,

    /// How long descendants may outlive the program [default: 8s, or 1s after a crash]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) grace: Option<Duration>,

    /// The program and its arguments; `--` before it may be left out, as with tini
    #[arg(trailing_var_arg = true, required = true, value_name = "ARGV")]
    pub(crate) argv: Vec<String>,
}

impl Init {
    /// The arguments without any option.
    pub(super) fn of(argv: Vec<String>) -> Self {
        Self {
            rewrites: Vec::new(),
            signal_group: false,
            group: false,
            parent_death_signal: None,
            remap_exit: Vec::new(),
            grace: None,
            argv,
        }
    }
}

fn rewrite(text: &str) -> Result<(i32, i32), String> {
    let (from, to) = text.split_once(':').ok_or("expected S:R, as in 15:3 or TERM:QUIT")?;
    Ok((signal_names::number(from)?, if to == "0" { 0 } else { signal_names::number(to)? }))
}

/// A number without a unit is seconds.
fn duration(text: &str) -> Result<Duration, &'static str> {
    let seconds = || text.parse().ok().map(Duration::from_secs);
    read_duration(text).or_else(seconds).ok_or("expected a number and a unit, as in 8s or 500ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_given_by_name_or_number() {
        for (text, expected) in [
            ("TERM:QUIT", Ok((15, 3))),
            ("sigterm:3", Ok((15, 3))),
            ("15:0", Ok((15, 0))),
            ("64:34", Ok((64, 34))),
        ] {
            assert_eq!(rewrite(text), expected, "{text}");
        }
        for text in ["15", "0:3", "65:1", "TERM:NONE", ":"] {
            assert!(rewrite(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_unit_is_in_seconds() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("8"), Ok(Duration::from_secs(8)));
        assert!(duration("8d").is_err() && duration("s").is_err());
    }
}
