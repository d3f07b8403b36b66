//! Executes the plan: starts each step when its predecessors are done, stops all on a signal, emits events. No SQL,
//! no texts.

use std::{cell::Cell, future, pin::pin, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;

use crate::{
    actions::{
        judge::is_pending,
        provision::rollback,
        run_state::{RECORDED, ROLLED_BACK, RunState},
    },
    config::{OnFailure, Step, exported},
    database::history,
    deadline::Deadline,
    failure::{self, Failure},
    outcome::{FailureDetails, event::Event, wording},
    plan::{Decision, Plan},
    process::{Signals, with_exported},
    report::Report,
    steps::{
        self,
        context::Context,
        stop::{self, Stop, Stopper},
    },
};

/// The signal that ends running siblings when a blocking step fails.
const SIBLING_FAILED: i32 = libc::SIGTERM;

/// The cause that ended the start-up, and its step, if it was a step.
pub(crate) struct Blocked {
    pub(crate) step: Option<usize>,
    pub(crate) details: FailureDetails,
}

impl From<Failure> for Blocked {
    fn from(failure: Failure) -> Self {
        Self { step: None, details: failure.into() }
    }
}

/// Executes the plan. Returns once no step is running.
pub(crate) async fn run(
    plan: &Plan,
    state: &RunState,
    signals: &mut Signals,
    report: &Report,
) -> Result<(), Blocked> {
    let engine = Engine { plan, state, report, interrupted: Cell::default() };
    let (stopper, stop_request) = stop::pair();
    let mut result = engine.walk(signals, &stopper, &stop_request).await;
    let interrupted = engine.interrupted.get().is_some();
    let rolled_back = state.roll_back(Deadline::after(rollback::LIMIT));
    let rolled_back = Box::pin(engine.within_shutdown(signals, &stopper, ROLLED_BACK, rolled_back)).await;
    if let Some(text) = rolled_back.unwrap_or_else(|| state.rollback.abandon()) {
        report.emit(&Event::Remark { text: text.clone() });
        if let Err(blocked) = &mut result {
            blocked.details.done.get_or_insert(text);
        }
    }
    let ended = result.as_ref().map(drop).map_err(|blocked| &blocked.details.failure);
    engine.within_shutdown(signals, &stopper, RECORDED, state.close(ended)).await;
    if let Some(text) = state.history.record_error() {
        report.emit(&Event::Remark { text });
    }
    if interrupted { result } else { engine.unless_interrupted(result, plan.steps.len()) }
}

struct Engine<'a> {
    plan: &'a Plan,
    state: &'a RunState,
    report: &'a Report,
    /// The first signal that arrived.
    interrupted: Cell<Option<i32>>,
}

impl Engine<'_> {
    async fn walk(
        &self,
        signals: &mut Signals,
        stopper: &Stopper,
        stop_request: &Stop,
    ) -> Result<(), Blocked> {
        let mut done = vec![false; self.plan.steps.len()];
        let mut started = done.clone();
        let mut running = FuturesUnordered::new();
        let mut releases = FuturesUnordered::new();
        let mut blocked: Option<Blocked> = None;
        loop {
            if blocked.is_none() && self.interrupted.get().is_none() {
                for step in self.plan.ready(&done) {
                    if !std::mem::replace(&mut started[step], true) {
                        let stop_request = stop_request.clone();
                        let before = self.plan.predecessors(step);
                        let mut variables = self.state.exports.visible(|earlier| before[earlier]);
                        let traceparent = self.state.trace.as_ref().map(|trace| trace.traceparent(step));
                        variables.extend(traceparent.map(|value| ("TRACEPARENT".into(), value)));
                        running.push(with_exported(variables, async move {
                            (step, Box::pin(self.step(step, stop_request)).await)
                        }));
                    }
                }
            }
            // After a signal, the session ends with this process.
            if running.is_empty() && (releases.is_empty() || self.interrupted.get().is_some()) {
                break;
            }
            tokio::select! {
                biased;
                signal = signals.next() => self.interrupt(signal, stopper),
                Some(()) = releases.next() => {}
                Some((step, failed)) = running.next() => {
                    done[step] = true;
                    if let Some(details) = failed && blocked.is_none() {
                        if !running.is_empty() && self.interrupted.get().is_none() {
                            self.report.emit(&Event::Stopping { signal: None });
                        }
                        stopper.stop(SIBLING_FAILED);
                        blocked = Some(Blocked { step: Some(step), details });
                    }
                    // After a failure, the lock is still needed for the rollback.
                    if self.interrupted.get().is_none() && blocked.is_none() && !self.locked_steps_left(&done) {
                        releases.push(self.state.lock.release());
                    }
                }
            }
        }
        self.unless_interrupted(blocked.map_or(Ok(()), Err), done.iter().filter(|done| **done).count())
    }

    /// Returns the result, unless a signal arrived: the signal then determines the exit code.
    fn unless_interrupted(&self, result: Result<(), Blocked>, finished: usize) -> Result<(), Blocked> {
        let Some(signal) = self.interrupted.get() else { return result };
        let blocked = result.err();
        let step = blocked.as_ref().and_then(|blocked| blocked.step);
        let doing = match step {
            Some(step) => wording::during_step(step, self.plan.steps.len(), &self.plan.steps[step].step.name),
            None => wording::after_steps(finished, self.plan.steps.len()),
        };
        let done = blocked.and_then(|blocked| blocked.details.done);
        let failure = Failure::Interrupted { signal, doing };
        let details = FailureDetails { done, ..FailureDetails::from(failure) };
        Err(Blocked { step, details })
    }

    fn interrupt(&self, signal: i32, stopper: &Stopper) {
        if self.interrupted.get().is_none() {
            self.interrupted.set(Some(signal));
            self.report.emit(&Event::Stopping { signal: Some(signal) });
        }
        stopper.stop(signal);
    }

    /// Returns the work's result; None if a signal arrived and the shutdown's time is over, except for the reserve.
    async fn within_shutdown<T>(
        &self,
        signals: &mut Signals,
        stopper: &Stopper,
        reserve: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => self.interrupt(signal, stopper),
                () = self.shutdown_is_over(reserve) => return None,
                result = &mut work => return Some(result),
            }
        }
    }

    /// Returns when the shutdown's time is over, except for the reserve; pends if no signal has arrived.
    async fn shutdown_is_over(&self, reserve: Duration) {
        let shutdown = self.state.context.processes.shutdown();
        if shutdown.has_started() {
            shutdown.deadline().before(reserve).passed().await;
        } else {
            future::pending::<()>().await;
        }
    }

    /// Runs one step, and returns the failure if it must end the start-up.
    async fn step(&self, step: usize, stop_request: Stop) -> Option<FailureDetails> {
        let started = Instant::now();
        let Step { action, on_failure, .. } = &self.plan.steps[step].step;
        let skipped = match &self.plan.steps[step].decision {
            Decision::Run => Ok(None),
            Decision::Skip { reason } => Ok(Some(reason.clone())),
            Decision::DecidedAtItsTurn { pending } => {
                let inspection = is_pending(&self.state.context, *pending);
                match Box::pin(stop_request.clone().race(inspection)).await {
                    Ok(Ok(true)) => Ok(None),
                    Ok(Ok(false)) => Ok(Some(wording::NOTHING_PENDING.into())),
                    Ok(Err(failure)) => Err(failure),
                    Err(signal) => Err(Failure::Interrupted { signal, doing: wording::DECIDING.into() }),
                }
            }
        };
        let result = match skipped {
            Ok(Some(reason)) => {
                self.report.emit(&Event::StepSkipped { step, reason });
                return None;
            }
            Ok(None) => {
                self.report.emit(&Event::StepStarted { step });
                self.state.history.start_step(&self.plan.steps[step].step.name);
                // The action itself is not logged: its arguments may contain a secret variable's value.
                tracing::debug!(step, kind = action.kind(), "step");
                let emit = |event| self.report.emit(&event);
                let context = Context::new(step, self.state, stop_request, &emit);
                let result = Box::pin(steps::run(action, context)).await;
                result.and_then(|summary| Ok(self.accept_exports(step).map(|()| summary)?))
            }
            Err(failure) => Err(FailureDetails::from(failure)),
        };
        let took = started.elapsed();
        self.record(step, took, &result).await;
        match result {
            Ok(summary) => {
                self.report.emit(&Event::StepDone { step, took, summary });
                None
            }
            Err(details) => {
                let interrupted = matches!(details.failure, Failure::Interrupted { .. });
                let blocking = *on_failure == OnFailure::Block || interrupted;
                let event = Event::StepFailed { step, took, blocking, details };
                self.report.emit(&event);
                match event {
                    Event::StepFailed { details, .. } if blocking => Some(details),
                    _ => None,
                }
            }
        }
    }

    /// Masks the variables that the step exported. Fails if a step that ran in parallel exported one of them too.
    fn accept_exports(&self, step: usize) -> Result<(), Failure> {
        let exports = &self.state.exports;
        self.report.output().mask_too(exports.of(step).iter().flat_map(exported::secrets));
        let before = self.plan.predecessors(step);
        let is_parallel = |other| before.get(other) != Some(&true);
        let Some((name, other)) = exports.conflict(step, is_parallel) else { return Ok(()) };
        exports.remove(step);
        let name_of = |step: usize| self.plan.steps[step].step.name.clone();
        let why =
            format!("the step `{}` also exports `{name}`, and neither waits for the other", name_of(other));
        Err(Failure::ExportsInvalid { program: name_of(step), why })
    }

    /// Records the end of the step, if this run is recorded.
    async fn record(&self, step: usize, took: Duration, result: &Result<String, FailureDetails>) {
        let (outcome, message) = match result {
            Ok(summary) => ("ok", summary.clone()),
            Err(details) => ("failed", failure::chain(&details.failure)),
        };
        let step = history::Step {
            name: self.plan.steps[step].step.name.clone(),
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome: outcome.into(),
            message: self.report.output().masked(&message),
        };
        let recorded = self.state.history.record_step(&self.state.context, step);
        let shutdown = self.state.context.processes.shutdown();
        if shutdown.has_started() {
            // If the time is over, the end of the run is still recorded.
            let _ = shutdown.deadline().before(ROLLED_BACK).limit(recorded).await;
        } else {
            recorded.await;
        }
        if let Some(text) = self.state.history.record_error() {
            self.report.emit(&Event::Remark { text });
        }
    }

    fn locked_steps_left(&self, done: &[bool]) -> bool {
        self.plan.steps.iter().zip(done).any(|(planned, done)| !done && planned.step.action.is_locked())
    }
}
