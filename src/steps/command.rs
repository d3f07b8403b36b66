//! The `command` step: runs a program until it succeeds, its attempts are used up, or somebody asks it to stop.
//!
//! No shell is involved. Whatever ends an attempt, its whole process tree is gone before the next begins.

use std::{collections::VecDeque, io, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{retry::Schedule, stop::Stop};
use crate::{
    config,
    failure::{Failure, signal_name},
    outcome::{FailureDetails, event::Event},
    process::{Child, Ended, How, Processes, Stream, Tree},
    words::duration,
};

/// The last lines of the child that the failure box may show.
const KEPT_LINES: usize = 40;

/// Runs the command and says in words how it ended.
pub(crate) async fn run(
    step: usize,
    command: &config::Command,
    processes: &Processes,
    shutdown: &mut Stop,
    say: &dyn Fn(Event),
) -> Result<String, FailureDetails> {
    if command.background {
        return stay(command, processes, shutdown).await;
    }
    let schedule =
        Schedule { first: command.backoff, max: command.max_backoff, total: command.total_timeout };
    let program = command.run.first().map_or("", String::as_str);
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        let allowed = match command.total_timeout {
            Some(total) => command.timeout.min(total.saturating_sub(begun.elapsed())),
            None => command.timeout,
        };
        let mut output = Output { step, say, last: VecDeque::new() };
        let (failure, again) = match once(command, allowed, processes, shutdown, &mut output).await {
            Outcome::Accepted(code) if attempt == 1 => return Ok(exited(code)),
            Outcome::Accepted(code) => return Ok(format!("{}, at attempt {attempt}", exited(code))),
            // It is the time for all attempts that was too short for this one.
            Outcome::Failed { failure: Failure::TimedOut { .. }, again } if allowed < command.timeout => {
                let after = command.total_timeout.unwrap_or(allowed);
                (Failure::TimedOut { what: format!("`{program}` with all its attempts"), after }, again)
            }
            Outcome::Failed { failure, again } => (failure, again),
        };
        let pause = schedule.next(attempt, fastrand::f64(), begun.elapsed());
        let Some(pause) = pause.filter(|_| again && attempt <= command.retries) else {
            return Err(FailureDetails { output: output.last.into(), ..FailureDetails::from(failure) });
        };
        say(Event::Retrying { step, attempt, pause, why: failure.to_string() });
        tokio::select! {
            () = sleep(pause) => attempt += 1,
            signal = shutdown.requested() => {
                let doing = format!("between two attempts of `{program}`");
                let failure = Failure::Interrupted { signal, doing };
                return Err(FailureDetails { output: output.last.into(), ..FailureDetails::from(failure) });
            }
        }
    }
}

/// Starts a program that stays, and is done.
async fn stay(
    command: &config::Command,
    processes: &Processes,
    shutdown: &mut Stop,
) -> Result<String, FailureDetails> {
    let program = command.run.first().map_or("", String::as_str);
    let child = child(command);
    let started = match shutdown.race(processes.spawn_to_stay(&child)).await {
        Ok(started) => started,
        Err(signal) => {
            let doing = format!("while `{program}` was started");
            return Err(Failure::Interrupted { signal, doing }.into());
        }
    };
    let outcome = match started {
        Ok(How::Started) => return Ok("started, and stays".into()),
        Ok(how) => judge(program, &[], command.timeout, how, None),
        Err(error) => not_spawned(program, &error),
    };
    match outcome {
        Outcome::Failed { failure, .. } => Err(failure.into()),
        Outcome::Accepted(code) => Ok(exited(code)),
    }
}

enum Outcome {
    Accepted(i32),
    /// `again` says whether another attempt could help.
    Failed {
        failure: Failure,
        again: bool,
    },
}

/// Why we ended the tree ourselves.
enum Cut {
    TimedOut,
    Stopped(i32),
}

/// One attempt, from the start of the program until its tree is gone.
async fn once(
    command: &config::Command,
    allowed: Duration,
    processes: &Processes,
    shutdown: &mut Stop,
    output: &mut Output<'_>,
) -> Outcome {
    let program = command.run.first().map_or("", String::as_str);
    let limit = Instant::now() + allowed;
    // What is done once is done under the lock, and does not outlive its holder.
    let child = child(command);
    let spawned = if command.once { processes.spawn_fenced(&child) } else { processes.spawn(&child) };
    let mut tree = match spawned {
        Ok(tree) => tree,
        Err(error) => return not_spawned(program, &error),
    };
    let mut cut = None;
    let mut open = true;
    let ended = loop {
        tokio::select! {
            next = next(&mut tree, &mut open) => match next {
                Next::Line(stream, line) => output.line(stream, line),
                Next::Ended(ended) => break ended,
            },
            signal = shutdown.requested(), if !matches!(cut, Some(Cut::Stopped(_))) => {
                tree.terminate(signal);
                cut = Some(Cut::Stopped(signal));
            }
            () = sleep_until(limit), if cut.is_none() => {
                tree.terminate(libc::SIGTERM);
                cut = Some(Cut::TimedOut);
            }
        }
    };
    if cut.is_none() && ended.leftovers > 0 {
        output.warn(left_behind(program, ended.leftovers));
    }
    if ended.killed {
        output.warn(format!("`{program}` did not end within {} and was killed", duration(command.grace)));
    }
    judge(program, &command.accept, allowed, ended.how, cut)
}

fn child(command: &config::Command) -> Child {
    Child {
        argv: command.run.clone(),
        env: command.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        cwd: command.cwd.clone(),
        grace: command.grace,
    }
}

fn not_spawned(program: &str, error: &io::Error) -> Outcome {
    // It is the fork that failed, for want of memory or of process numbers: that may pass.
    let failure = Failure::CommandMissing { program: program.into(), why: error.to_string() };
    Outcome::Failed { failure, again: true }
}

enum Next {
    Line(Stream, String),
    Ended(Ended),
}

/// The next line, or the end once there are no more lines. Cancel safe, because both of its parts are.
async fn next(tree: &mut Tree, open: &mut bool) -> Next {
    if *open {
        if let Some((stream, line)) = tree.next_line().await {
            return Next::Line(stream, line);
        }
        *open = false;
    }
    Next::Ended(tree.ended().await)
}

/// What an attempt's end means. What we cut short is never a success, whatever the child made of the signal.
fn judge(program: &str, accept: &[i32], allowed: Duration, how: How, cut: Option<Cut>) -> Outcome {
    let program = program.to_owned();
    let (failure, again) = match (cut, how) {
        (Some(Cut::Stopped(signal)), _) => {
            (Failure::Interrupted { signal, doing: format!("while `{program}` ran") }, false)
        }
        (_, How::NotStarted { missing: true, .. }) => {
            let why = "there is no such program, or no interpreter for it".into();
            (Failure::CommandMissing { program, why }, false)
        }
        (_, How::NotStarted { why, .. }) => {
            let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
            (Failure::CommandMissing { program, why }, false)
        }
        (Some(Cut::TimedOut), _) => {
            (Failure::TimedOut { what: format!("`{program}`"), after: allowed }, true)
        }
        // Nobody but `stay` starts what stays.
        (None, How::Started) => (Failure::Internal { what: format!("`{program}` stays") }, false),
        (None, How::Exited(code)) if accept.contains(&code) => return Outcome::Accepted(code),
        (None, How::Exited(code)) => (Failure::CommandFailed { program, ended: exited(code) }, true),
        (None, How::Signalled(signal)) => {
            let ended = format!("was killed by {}", signal_name(signal));
            (Failure::CommandFailed { program, ended }, true)
        }
    };
    Outcome::Failed { failure, again }
}

fn exited(code: i32) -> String {
    format!("exited with {code}")
}

fn left_behind(program: &str, leftovers: usize) -> String {
    match leftovers {
        1 => format!("`{program}` left a process behind, which was ended"),
        many => format!("`{program}` left {many} processes behind, which were ended"),
    }
}

/// Where a child's lines go: to the report at once, and the last ones into the box.
struct Output<'a> {
    step: usize,
    say: &'a dyn Fn(Event),
    last: VecDeque<String>,
}

impl Output<'_> {
    fn line(&mut self, stream: Stream, line: String) {
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        (self.say)(Event::Output { step: self.step, stream, tenant: None, line });
    }

    fn warn(&self, text: String) {
        (self.say)(Event::Warning { step: self.step, text });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// The summary, or the failure with its exit code and whether another attempt follows.
    fn told(how: How, cut: Option<Cut>) -> String {
        match judge("sync", &[0, 3], Duration::from_secs(9), how, cut) {
            Outcome::Accepted(code) => exited(code),
            Outcome::Failed { failure, again } => {
                format!("{} {failure}{}", failure.code(), if again { ", again" } else { "" })
            }
        }
    }

    #[test]
    fn what_an_end_means() {
        let not_started = |errno| How::NotStarted {
            missing: errno == 2,
            why: io::Error::from_raw_os_error(errno).to_string(),
        };
        let missing = "79 cannot start `sync`: there is no such program, or no interpreter for it";
        for (how, cut, expected) in [
            (How::Exited(0), None, "exited with 0"),
            (How::Exited(3), None, "exited with 3"),
            (How::Exited(5), None, "79 `sync` exited with 5, again"),
            (How::Signalled(9), None, "79 `sync` was killed by SIGKILL, again"),
            (not_started(2), None, missing),
            (not_started(13), None, "79 cannot start `sync`: permission denied"),
            (not_started(2), Some(Cut::TimedOut), missing),
            (How::Exited(0), Some(Cut::TimedOut), "124 `sync` ran longer than 9 s, again"),
            (How::Signalled(15), Some(Cut::TimedOut), "124 `sync` ran longer than 9 s, again"),
            (How::Exited(0), Some(Cut::Stopped(15)), "143 ended by SIGTERM while `sync` ran"),
            (How::Signalled(2), Some(Cut::Stopped(2)), "130 ended by SIGINT while `sync` ran"),
        ] {
            assert_eq!(told(how, cut), expected);
        }
    }

    #[test]
    fn the_last_forty_lines_are_kept_and_every_line_is_shown() {
        let shown = RefCell::new(0);
        let say = |_| *shown.borrow_mut() += 1;
        let mut output = Output { step: 0, say: &say, last: VecDeque::new() };
        for number in 1..=50 {
            output.line(Stream::Out, number.to_string());
        }
        let kept: Vec<String> = (11..=50).map(|number| number.to_string()).collect();
        assert_eq!((Vec::from(output.last), *shown.borrow()), (kept, 50));
    }
}
