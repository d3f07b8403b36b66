//! Runs `command` steps: repeats a program until it succeeds, its attempts are used up, or a signal ends it. No shell
//! is involved. The process tree of an attempt is gone before the next attempt starts.

use std::{collections::VecDeque, io, time::Duration};

use super::stop::Stop;
use crate::{
    actions::run_state::RunState,
    config::{
        self,
        exported::{self, Variable},
    },
    deadline::Deadline,
    failure::Failure,
    outcome::{FailureDetails, event::Event},
    process::{Child, Finished, Processes, StopReason},
    retry::{Pauses, Retry},
    words::{count, duration},
};

/// Runs the command and returns how it ended.
pub(crate) async fn run(
    step: usize,
    command: &config::Command,
    state: &RunState,
    shutdown: &mut Stop,
    on_event: &dyn Fn(Event),
) -> Result<String, FailureDetails> {
    let processes = &state.context.processes;
    if command.background {
        return start_background(command, processes, shutdown).await;
    }
    let program = program(command);
    let pauses = Pauses { first: command.backoff, longest: command.max_backoff };
    let total = command.total_timeout.map(Deadline::after);
    let mut retry = Retry::new(pauses).at_most(command.retries.saturating_add(1));
    loop {
        let attempt = retry.attempt();
        let allowed = total.map_or(command.timeout, |total| command.timeout.min(total.left()));
        let attempted = Attempt { step, command, allowed, on_event }.run(processes, shutdown).await;
        let Failed { failure, repeatable, last } = match attempted {
            Ok((code, variables)) => {
                let names: Vec<String> = variables.iter().map(|(name, _)| format!("`{name}`")).collect();
                let mut summary = exited(code);
                if attempt > 1 {
                    summary += &format!(", at attempt {attempt}");
                }
                if command.exports {
                    let names = if names.is_empty() { "nothing".into() } else { names.join(", ") };
                    summary += &format!("; exported {names}");
                    state.exports.add(step, variables);
                }
                return Ok(summary);
            }
            Err(failed) => failed,
        };
        let failure = match failure {
            // It is the time for all attempts that was too short for this one.
            Failure::TimedOut { .. } if allowed < command.timeout => {
                let after = command.total_timeout.unwrap_or(allowed);
                Failure::TimedOut { what: format!("`{program}` with all its attempts"), after }
            }
            failure => failure,
        };
        // An attempt that starts at the deadline would only be killed.
        let is_in_time = |pause: &Duration| total.is_none_or(|total| *pause < total.left());
        let Some(pause) = retry.next().filter(|pause| repeatable && is_in_time(pause)) else {
            return Err(FailureDetails { output: last.into(), ..FailureDetails::from(failure) });
        };
        on_event(Event::Retrying { step, attempt, pause, why: failure.to_string() });
        if let Err(signal) = shutdown.race(Deadline::after(pause).passed()).await {
            let doing = format!("between two attempts of `{program}`");
            let failure = Failure::Interrupted { signal, doing };
            return Err(FailureDetails { output: last.into(), ..FailureDetails::from(failure) });
        }
    }
}

/// Starts a background program; the step is done once it runs.
async fn start_background(
    command: &config::Command,
    processes: &Processes,
    shutdown: &mut Stop,
) -> Result<String, FailureDetails> {
    let program = program(command);
    let child = child(command);
    let started = match shutdown.race(processes.spawn_to_stay(&child)).await {
        Ok(started) => started,
        Err(signal) => {
            let doing = format!("while `{program}` was started");
            return Err(Failure::Interrupted { signal, doing }.into());
        }
    };
    match started {
        Ok(crate::process::ExitReason::Started) => Ok("started in the background".into()),
        Ok(reason) => Ok(reason.accepted(program, &[]).map(exited)?),
        Err(error) => Err(not_spawned(program, &error).into()),
    }
}

/// One attempt.
struct Attempt<'a> {
    step: usize,
    command: &'a config::Command,
    allowed: Duration,
    on_event: &'a dyn Fn(Event),
}

/// A failed attempt.
struct Failed {
    failure: Failure,
    /// Another attempt could succeed, and no process of this one is left.
    repeatable: bool,
    last: VecDeque<String>,
}

impl Attempt<'_> {
    /// Runs the program until its process tree is gone. Returns its exit code and the variables that it exports.
    async fn run(&self, processes: &Processes, shutdown: &mut Stop) -> Result<(i32, Vec<Variable>), Failed> {
        let Self { step, command, allowed, on_event } = *self;
        let program = program(command);
        let deadline = Deadline::after(allowed);
        // A step that runs once per release runs under the lock, and must not outlive the lock's holder.
        let child = child(command);
        let spawned = if command.once { processes.spawn_fenced(&child) } else { processes.spawn(&child) };
        let tree = match spawned {
            Ok(tree) => tree,
            Err(error) => {
                let (failure, last) = (not_spawned(program, &error), VecDeque::new());
                return Err(Failed { failure, repeatable: true, last });
            }
        };
        let finished = tree
            .with_output_limit()
            .run(deadline, shutdown.requested(), |stream, line| {
                on_event(Event::Output { step, stream, tenant: None, line: line.to_owned() });
                None
            })
            .await;
        for text in warnings(program, command.grace, &finished) {
            on_event(Event::Warning { step, text });
        }
        let repeatable = finished.may_be_repeated();
        let invalid = |why| Failure::ExportsInvalid { program: program.into(), why };
        let accepted = finished.accepted(program, &command.accept, allowed);
        let result =
            accepted.and_then(|code| Ok((code, exported::parse(&finished.exported).map_err(invalid)?)));
        result.map_err(|failure| Failed { failure, repeatable, last: finished.last })
    }
}

fn program(command: &config::Command) -> &str {
    command.run.first().map_or("", String::as_str)
}

fn child(command: &config::Command) -> Child {
    Child {
        argv: command.run.clone(),
        env: command.env.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        cwd: command.cwd.clone(),
        privileges: command.privileges.clone(),
        exports: command.exports,
        logs_in: true,
        grace: command.grace,
    }
}

fn not_spawned(program: &str, error: &io::Error) -> Failure {
    Failure::CommandNotSpawned { program: program.into(), why: error.to_string() }
}

fn exited(code: i32) -> String {
    format!("exited with {code}")
}

fn warnings(program: &str, grace: Duration, finished: &Finished) -> Vec<String> {
    let mut notes = Vec::new();
    if finished.cut.is_none() && finished.left_behind > 0 {
        notes.push(match finished.left_behind {
            1 => format!("`{program}` left a process behind; it was terminated"),
            many => format!("`{program}` left {many} processes behind; they were terminated"),
        });
    }
    if finished.killed && !matches!(finished.cut, Some(StopReason::Stopped(_))) {
        notes.push(format!("`{program}` did not end within {} and was killed", duration(grace)));
    } else if finished.killed {
        notes.push(format!("`{program}` did not end in time and was killed"));
    }
    if finished.dropped > 0 {
        let lines = count(finished.dropped, "line");
        notes.push(format!("`{program}` printed faster than its output can be logged: {lines} dropped"));
    }
    notes
}
