//! Walks the plan: starts each step when those before it are done, races them with shutdown, tells the
//! report. No SQL, no words.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use crate::{
    actions::{Work, provision::begun},
    config::{OnFailure, Step},
    database::record,
    failure::{self, Failure, signal_name},
    outcome::{FailureDetails, event::Event},
    plan::{Decision, Plan},
    process::{Processes, Signals},
    report::Report,
    steps::{
        self, Context,
        stop::{self, Stop, Stopper},
    },
};

/// What ends running siblings when a blocking step fails.
const SIBLING_FAILED: i32 = libc::SIGTERM;

/// What ended the start-up: the step, if one did, and its trouble.
pub(crate) struct Blocked {
    pub(crate) step: Option<usize>,
    pub(crate) trouble: FailureDetails,
}

/// Works through the plan. Returns once nothing runs any more.
pub(crate) async fn run(
    plan: &Plan,
    work: &Rc<Work>,
    processes: &Processes,
    signals: &mut Signals,
    report: &Report,
) -> Result<(), Blocked> {
    let engine = Engine { plan, work, processes, report };
    let mut result = engine.walk(signals).await;
    if let Some(text) = begun::after_signal(work).await {
        report.tell(&Event::Remark { text: text.clone() });
        if let Err(blocked) = &mut result {
            blocked.trouble.done.get_or_insert(text);
        }
    }
    work.record.end(work, result.as_ref().map(drop).map_err(|blocked| &blocked.trouble.failure)).await;
    work.lock.release().await;
    result
}

struct Engine<'a> {
    plan: &'a Plan,
    work: &'a Rc<Work>,
    processes: &'a Processes,
    report: &'a Report,
}

impl Engine<'_> {
    async fn walk(&self, signals: &mut Signals) -> Result<(), Blocked> {
        let (stopper, asked) = stop::pair();
        let mut done = vec![false; self.plan.steps.len()];
        let mut started = done.clone();
        let mut running = FuturesUnordered::new();
        let mut blocked: Option<Blocked> = None;
        let mut interrupted: Option<i32> = None;
        loop {
            if blocked.is_none() && interrupted.is_none() {
                for step in self.plan.ready(&done) {
                    if !std::mem::replace(&mut started[step], true) {
                        let asked = asked.clone();
                        running.push(async move { (step, Box::pin(self.step(step, asked)).await) });
                    }
                }
            }
            if running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                signal = signals.next() => self.interrupt(signal, &stopper, &mut interrupted),
                Some((step, failed)) = running.next() => {
                    done[step] = true;
                    if let Some(trouble) = failed && blocked.is_none() {
                        if !running.is_empty() && interrupted.is_none() {
                            self.report.tell(&Event::Stopping { why: "a step failed".into() });
                        }
                        stopper.stop(SIBLING_FAILED);
                        blocked = Some(Blocked { step: Some(step), trouble });
                    }
                    // What a stopped step had begun is taken back under the lock.
                    if interrupted.is_none() && blocked.is_none() && !self.locked_steps_left(&done) {
                        self.work.lock.release().await;
                    }
                }
            }
        }
        match (interrupted, blocked) {
            (Some(signal), blocked) => {
                let doing = self.doing(&done, blocked.as_ref());
                let at = blocked.as_ref().and_then(|blocked| blocked.step);
                let done = blocked.and_then(|blocked| blocked.trouble.done);
                let failure = Failure::Interrupted { signal, doing };
                Err(Blocked { step: at, trouble: FailureDetails { done, ..FailureDetails::from(failure) } })
            }
            (None, Some(blocked)) => Err(blocked),
            (None, None) => Ok(()),
        }
    }

    fn interrupt(&self, signal: i32, stopper: &Stopper, interrupted: &mut Option<i32>) {
        if interrupted.is_none() {
            *interrupted = Some(signal);
            self.report.tell(&Event::Stopping { why: format!("{} arrived", signal_name(signal)) });
        }
        stopper.stop(signal);
    }

    fn doing(&self, done: &[bool], blocked: Option<&Blocked>) -> String {
        if let Some(step) = blocked.and_then(|blocked| blocked.step) {
            format!("during step {} of {}, `{}`", step + 1, done.len(), self.plan.steps[step].step.name)
        } else {
            let finished = done.iter().filter(|done| **done).count();
            format!("after {finished} of {} steps", done.len())
        }
    }

    /// Runs one step, and returns the trouble that must end the start-up, if there is any.
    async fn step(&self, step: usize, asked: Stop) -> Option<FailureDetails> {
        let begun = Instant::now();
        let Step { action, on_failure, .. } = &self.plan.steps[step].step;
        let skipped = match &self.plan.steps[step].decision {
            Decision::Run => Ok(None),
            Decision::Skip { reason } => Ok(Some(reason.clone())),
            Decision::DecidedAtItsTurn { pending } => {
                let look = self.work.pending(*pending);
                match Box::pin(asked.clone().race(look)).await {
                    Ok(Ok(true)) => Ok(None),
                    Ok(Ok(false)) => Ok(Some("nothing is pending".into())),
                    Ok(Err(failure)) => Err(failure),
                    Err(signal) => {
                        let doing = "while it looked for pending migrations".into();
                        Err(Failure::Interrupted { signal, doing })
                    }
                }
            }
        };
        let result = match skipped {
            Ok(Some(reason)) => {
                self.report.tell(&Event::StepSkipped { step, reason });
                return None;
            }
            Ok(None) => {
                self.report.tell(&Event::StepStarted { step });
                self.work.record.at(&self.plan.steps[step].step.name);
                let tell = |event| self.report.tell(&event);
                let context = Context {
                    step,
                    work: self.work,
                    processes: self.processes,
                    stop: asked,
                    tell: &tell,
                    done: RefCell::default(),
                    told: Cell::default(),
                    untold: RefCell::default(),
                };
                // Not the action itself: its arguments may hold what came from a secret variable.
                tracing::debug!(step, kind = action.kind(), "step");
                Box::pin(steps::run(action, context)).await
            }
            Err(failure) => Err(FailureDetails::from(failure)),
        };
        let took = begun.elapsed();
        self.record(step, took, &result).await;
        match result {
            Ok(summary) => {
                self.report.tell(&Event::StepDone { step, took, summary });
                None
            }
            Err(trouble) => {
                let interrupted = matches!(trouble.failure, Failure::Interrupted { .. });
                let blocking = *on_failure == OnFailure::Block || interrupted;
                let event = Event::StepFailed { step, took, blocking, trouble };
                self.report.tell(&event);
                match event {
                    Event::StepFailed { trouble, .. } if blocking => Some(trouble),
                    _ => None,
                }
            }
        }
    }

    /// Writes down how the step ended, if this run is one that is recorded.
    async fn record(&self, step: usize, took: Duration, result: &Result<String, FailureDetails>) {
        let (outcome, said) = match result {
            Ok(summary) => ("ok", summary.clone()),
            Err(trouble) => ("failed", failure::chain(&trouble.failure)),
        };
        let step = record::Step {
            name: self.plan.steps[step].step.name.clone(),
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome: outcome.into(),
            said: self.report.output().masked(&said),
        };
        self.work.record.step(self.work, step).await;
        if let Some(text) = self.work.record.complaint() {
            self.report.tell(&Event::Remark { text });
        }
    }

    fn locked_steps_left(&self, done: &[bool]) -> bool {
        self.plan.steps.iter().zip(done).any(|(planned, done)| !done && planned.step.action.is_locked())
    }
}
