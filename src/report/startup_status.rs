//! The status of the start-up, built from its events. Pure: the caller passes the time.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;

use super::{
    failure_report::{FailureReport, StepPosition},
    progress::{self, Progress},
    running::Running,
};
use crate::{
    failure::{self, Failure},
    outcome::{
        FailureDetails,
        event::{Bypass, Event},
    },
    process::Stream,
    tenants::quarantine,
};

/// The number of last lines for the page.
const LINES: usize = 15;
/// Of a step.
const MOST_SLOW: usize = 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct StartupStatus {
    pub(crate) run: String,
    pub(crate) role: Option<String>,
    pub(crate) phase: Phase,
    pub(crate) steps: Vec<Step>,
    /// The last lines of the log, the oldest first.
    pub(crate) lines: VecDeque<String>,
    /// The counts of the last judgement.
    pub(crate) schemas: Option<Schemas>,
    /// Set once a blocking step has failed.
    pub(crate) facts: Option<FailureReport>,
    /// The duration, once the start-up has ended.
    pub(crate) took: Option<Duration>,
    /// The bypasses that opened the gate.
    pub(crate) bypasses: Vec<GateBypass>,
    /// A tenant could not be created.
    pub(crate) unprovisioned: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Starting,
    /// Running steps are being stopped, because of a failure or a signal.
    Stopping,
    Blocked,
    /// Every blocking step succeeded.
    Ready,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) state: State,
    /// The time of its start, since the start of the start-up.
    pub(crate) since: Duration,
    pub(crate) took: Option<Duration>,
    /// The latest message: its summary, the reason to skip it, or the cause of its wait.
    pub(crate) message: String,
    pub(crate) progress: Option<Progress>,
    /// The schemas whose migration failed or was slow, at most [`MOST_SLOW`].
    pub(crate) slow: Vec<SlowSchema>,
}

/// A migration of one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlowSchema {
    pub(crate) name: String,
    /// Since the start of the start-up.
    pub(crate) until: Duration,
    pub(crate) took: Duration,
    pub(crate) failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Todo,
    Running,
    Ok,
    Skipped,
    /// It failed, and the start-up continues.
    Warned,
    Failed,
}

/// The number of schemas in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schemas {
    pub(crate) complete: usize,
    pub(crate) accepted: usize,
    pub(crate) incomplete: usize,
    pub(crate) quarantined: usize,
    pub(crate) unproven: usize,
}

/// A gate that a bypass opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct GateBypass {
    /// `report`, `quarantine` or `override`.
    pub(crate) how: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) what: String,
    /// The incomplete tenants; with `quarantine`, the server must not serve them.
    pub(crate) tenants: Vec<String>,
}

impl GateBypass {
    pub(crate) fn of(how: &Bypass, details: &FailureDetails) -> Self {
        let reason = match how {
            Bypass::Override { reason } => Some(reason.clone()),
            Bypass::Report | Bypass::Quarantine { .. } => None,
        };
        let tenants = details.judgement.as_ref().map(quarantine::incomplete).unwrap_or_default();
        Self { how: how.word(), reason, what: failure::chain(&details.failure), tenants }
    }
}

impl Phase {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Stopping => "stopping",
            Phase::Blocked => "blocked",
            Phase::Ready => "ready",
        }
    }
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Todo => "todo",
            State::Running => "running",
            State::Ok => "ok",
            State::Skipped => "skipped",
            State::Warned => "warned",
            State::Failed => "failed",
        }
    }

    pub(crate) fn is_over(self) -> bool {
        !matches!(self, State::Todo | State::Running)
    }
}

impl StartupStatus {
    pub(crate) fn apply(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Started { run, role, steps } => self.start(run, role.as_deref(), steps),
            Event::StepStarted { step } => self.with(*step, |step| {
                step.state = State::Running;
                step.since = at;
            }),
            Event::StepSkipped { step, reason } => self.end(*step, State::Skipped, None, reason),
            Event::Output { step, stream, line, .. } => {
                let mark = if *stream == Stream::Out { "|" } else { "!" };
                self.line(*step, &format!("{mark} {line}"));
            }
            Event::Waiting { step, what, last, .. } => {
                self.set_message(*step, format!("waiting for {what}: {last}"));
            }
            Event::Retrying { step, attempt, why, .. } => {
                self.set_message(*step, format!("attempt {attempt} failed: {why}"));
            }
            Event::Progress { step, done, total, what } => self.with(*step, |step| {
                let since = step.progress.as_ref().map_or(at, |progress| progress.since);
                step.progress = Some(Progress { done: *done, total: *total, what: what.clone(), since });
            }),
            Event::Note { step, text } => self.set_message(*step, text.clone()),
            Event::Warning { step, text } => self.line(*step, &format!("warning: {text}")),
            Event::SlowSchema { step, schema, took, failed } => self.with(*step, |step| {
                step.slow.push(SlowSchema { name: schema.clone(), until: at, took: *took, failed: *failed });
                if step.slow.len() > MOST_SLOW {
                    let least = |(_, one): &(usize, &SlowSchema)| (one.failed, one.took);
                    let least = step.slow.iter().enumerate().min_by_key(least).map(|(at, _)| at);
                    step.slow.remove(least.unwrap_or_default());
                }
            }),
            Event::Judged { complete, accepted, incomplete, unproven, .. } => {
                let (complete, accepted) = (*complete, *accepted);
                let (incomplete, unproven) = (*incomplete, *unproven);
                self.schemas = Some(Schemas { complete, accepted, incomplete, quarantined: 0, unproven });
            }
            Event::GateBypassed { step, how, details } => {
                if let (Bypass::Quarantine { tenants }, Some(schemas)) = (how, &mut self.schemas) {
                    schemas.quarantined = tenants.len();
                    schemas.incomplete = schemas.incomplete.saturating_sub(tenants.len());
                }
                self.line(*step, &format!("warning: the gate is open: {}", how.words()));
                self.bypasses.push(GateBypass::of(how, details));
            }
            Event::StepDone { step, took, summary } => self.end(*step, State::Ok, Some(*took), summary),
            Event::StepFailed { step, took, blocking, details } => {
                self.unprovisioned |= matches!(details.failure, Failure::Provisioning { .. });
                let why = failure::chain(&details.failure);
                let state = if *blocking { State::Failed } else { State::Warned };
                self.end(*step, state, Some(*took), &why);
                if *blocking && self.facts.is_none() {
                    self.block(Some(*step), details);
                    self.phase = Phase::Stopping;
                }
            }
            Event::Stopping { .. } => self.phase = Phase::Stopping,
            Event::Blocked { step, took, details } => {
                self.block(*step, details);
                self.phase = Phase::Blocked;
                self.took = Some(*took);
            }
            Event::HandingOver { took, .. } | Event::Finished { took } => {
                self.phase = Phase::Ready;
                self.took = Some(*took);
            }
            // These warnings are about a file, not about the start-up.
            Event::ConfigWarnings { .. } => {}
            Event::Remark { text } => self.push(format!("warning: {text}")),
        }
    }

    /// A step's name and position.
    pub(crate) fn position(&self, step: usize) -> StepPosition {
        let name = self.steps.get(step).map(|step| step.name.clone()).unwrap_or_default();
        StepPosition { number: step + 1, of: self.steps.len(), name }
    }

    /// A running step's progress as one line for a terminal.
    pub(crate) fn bar(&self, step: usize, at: Duration, columns: usize) -> Option<String> {
        let Step { name, progress, .. } = self.steps.get(step)?;
        let progress = progress.as_ref()?;
        Some(progress::bar(name, progress, at.saturating_sub(progress.since), columns))
    }

    /// The current step: the first running one, else the first that has not started.
    pub(crate) fn current(&self) -> Option<usize> {
        let first = |state| self.steps.iter().position(|step| step.state == state);
        first(State::Running).or_else(|| first(State::Todo))
    }

    /// Whether to send a notification. The sender of a signal needs none.
    pub(crate) fn is_notable(&self) -> bool {
        let blocked = self.phase == Phase::Blocked;
        let interrupted = self.facts.as_ref().is_some_and(|facts| facts.failure == "interrupted");
        (blocked && !interrupted)
            || self.unprovisioned
            || self.bypasses.iter().any(|bypass| bypass.how != "report")
    }

    /// The number of steps that have ended, with any result.
    pub(crate) fn over(&self) -> usize {
        self.steps.iter().filter(|step| step.state.is_over()).count()
    }

    fn start(&mut self, run: &str, role: Option<&str>, steps: &[String]) {
        run.clone_into(&mut self.run);
        self.role = role.map(str::to_owned);
        let todo = |name: &String| Step {
            name: name.clone(),
            state: State::Todo,
            since: Duration::ZERO,
            took: None,
            message: String::new(),
            progress: None,
            slow: Vec::new(),
        };
        self.steps = steps.iter().map(todo).collect();
    }

    fn block(&mut self, step: Option<usize>, details: &FailureDetails) {
        let position = step.map(|step| self.position(step));
        self.facts = Some(FailureReport::of(position, details, Running::Run));
    }

    fn with(&mut self, step: usize, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.steps.get_mut(step) {
            change(step);
        }
    }

    fn end(&mut self, step: usize, state: State, took: Option<Duration>, message: &str) {
        self.with(step, |step| {
            step.state = state;
            step.took = took;
            message.clone_into(&mut step.message);
        });
    }

    fn set_message(&mut self, step: usize, text: String) {
        self.line(step, &text);
        self.with(step, |step| step.message = text);
    }

    fn line(&mut self, step: usize, text: &str) {
        let name = self.steps.get(step).map_or("", |step| &step.name);
        self.push(format!("{name}: {text}"));
    }

    fn push(&mut self, line: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn status(events: &[Event]) -> StartupStatus {
        let mut status = StartupStatus::default();
        let steps = vec!["one".into(), "two".into()];
        status.apply(&Event::Started { run: "1".into(), role: None, steps }, Duration::ZERO);
        for event in events {
            status.apply(event, Duration::from_secs(1));
        }
        status
    }

    #[test]
    fn the_current_step_is_the_running_one_or_the_next_one() {
        assert_eq!(status(&[]).current(), Some(0));
        assert_eq!(status(&[Event::StepStarted { step: 1 }]).current(), Some(1));
        let skipped = Event::StepSkipped { step: 0, reason: "role".into() };
        assert_eq!(status(&[skipped]).current(), Some(1));
    }

    #[test]
    fn the_first_blocking_failure_is_reported() {
        let failed = |step, signal| Event::StepFailed {
            step,
            took: Duration::ZERO,
            blocking: true,
            details: Failure::Interrupted { signal, doing: "now".into() }.into(),
        };
        let status = status(&[failed(1, 15), failed(0, 2)]);
        let facts = status.facts.unwrap();
        assert_eq!((facts.exit_code, facts.step.unwrap().number), (143, 2));
        assert_eq!(status.phase, Phase::Stopping);
    }

    #[test]
    fn the_status_has_only_the_last_lines() {
        let line =
            |n: usize| Event::Output { step: 0, stream: Stream::Out, tenant: None, line: n.to_string() };
        let status = status(&(0..100).map(line).collect::<Vec<_>>());
        assert_eq!(status.lines.len(), LINES);
        assert_eq!(status.lines.back().map(String::as_str), Some("one: | 99"));
    }
}
