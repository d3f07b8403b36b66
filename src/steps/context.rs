//! Provides the resources of a step, and its reporting.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::time::Instant;

use super::stop::Stop;
use crate::{
    actions::run_state::RunState,
    deadline::Deadline,
    outcome::{ActionEvent, event::Event, wording},
};

/// The shortest interval between two progress events; the report decides which become lines.
/// A migration of one schema that takes longer is reported.
const SLOW: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(200);

/// The resources of a step.
pub(crate) struct Context<'a> {
    /// The step's position in the plan.
    pub(crate) step: usize,
    pub(crate) state: &'a RunState,
    pub(crate) stop: Stop,
    pub(crate) on_event: &'a dyn Fn(Event),
    progress: Throttle,
}

impl<'a> Context<'a> {
    pub(crate) fn new(position: usize, state: &'a RunState, stop: Stop, on_event: &'a dyn Fn(Event)) -> Self {
        Self { step: position, state, stop, on_event, progress: Throttle::default() }
    }

    pub(crate) fn note(&self, text: String) {
        (self.on_event)(Event::Note { step: self.step, text });
    }

    pub(crate) fn warn(&self, text: String) {
        (self.on_event)(Event::Warning { step: self.step, text });
    }

    pub(crate) fn progress(&self, done: usize, total: usize, what: &str) {
        let event = Event::Progress { step: self.step, done, total, what: what.to_owned() };
        if let Some(event) = self.progress.add(event, done == 0 || done == total) {
            (self.on_event)(event);
        }
    }

    /// Reports an event of an action that works on several tenants.
    pub(crate) fn report(&self, event: ActionEvent) {
        match event {
            ActionEvent::Note(text) => self.note(text),
            ActionEvent::Output { tenant, stream, line } => {
                (self.on_event)(Event::Output { step: self.step, stream, tenant, line });
            }
            ActionEvent::Progress { done, total, what } => {
                self.progress.done.replace(Some(format!("{done} of {total} {what}")));
                self.progress(done, total, what);
            }
            ActionEvent::Migrated { schema, took, failed } if failed || took >= SLOW => {
                let schema = wording::name(schema.as_deref()).to_owned();
                (self.on_event)(Event::SlowSchema { step: self.step, schema, took, failed });
            }
            ActionEvent::Migrated { .. } => {}
            ActionEvent::RepairStep(_, step) => self.note(step.message),
        }
    }

    /// The last progress, for messages.
    pub(super) fn done(&self) -> Option<String> {
        self.progress.done.take()
    }

    /// Emits progress that was held back, so that a slow tenant does not hide it.
    pub(super) async fn emit_late_progress(&self) -> ! {
        loop {
            Deadline::after(EVERY).passed().await;
            if let Some(event) = self.progress.late() {
                (self.on_event)(event);
            }
        }
    }
}

/// Limits how often progress is emitted.
#[derive(Default)]
struct Throttle {
    /// The last progress, for the message of an interruption.
    done: RefCell<Option<String>>,
    /// When progress was last emitted.
    last: Cell<Option<Instant>>,
    /// Progress that was held back because the interval had not passed.
    pending: RefCell<Option<Event>>,
}

impl Throttle {
    /// The event, if it may be emitted now.
    fn add(&self, event: Event, at_once: bool) -> Option<Event> {
        self.pending.replace(Some(event));
        let due = at_once || self.last.get().is_none_or(|last| last.elapsed() >= EVERY);
        if due { self.late() } else { None }
    }

    fn late(&self) -> Option<Event> {
        let event = self.pending.take()?;
        self.last.set(Some(Instant::now()));
        Some(event)
    }
}
