//! What a step may use, and how it reports.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::stop::Stop;
use crate::{
    actions::run_state::RunState,
    outcome::{ActionEvent, event::Event},
};

/// How often progress is worth an event; the report decides which of them become lines.
const EVERY: Duration = Duration::from_millis(200);

/// What a step may use.
pub(crate) struct Context<'a> {
    /// The step's position in the plan.
    pub(crate) step: usize,
    pub(crate) state: &'a RunState,
    pub(crate) stop: Stop,
    pub(crate) tell: &'a dyn Fn(Event),
    progress: Throttle,
}

impl<'a> Context<'a> {
    pub(crate) fn new(position: usize, state: &'a RunState, stop: Stop, tell: &'a dyn Fn(Event)) -> Self {
        Self { step: position, state, stop, tell, progress: Throttle::default() }
    }

    pub(crate) fn note(&self, text: String) {
        (self.tell)(Event::Note { step: self.step, text });
    }

    pub(crate) fn warn(&self, text: String) {
        (self.tell)(Event::Warning { step: self.step, text });
    }

    pub(crate) fn progress(&self, done: usize, total: usize, what: &str) {
        let event = Event::Progress { step: self.step, done, total, what: what.to_owned() };
        if let Some(event) = self.progress.add(event, done == 0 || done == total) {
            (self.tell)(event);
        }
    }

    /// What an action that works on several tenants reports.
    pub(crate) fn report(&self, event: ActionEvent) {
        match event {
            ActionEvent::Note(text) => self.note(text),
            ActionEvent::Output { tenant, stream, line } => {
                (self.tell)(Event::Output { step: self.step, stream, tenant, line });
            }
            ActionEvent::Progress { done, total, what } => {
                self.progress.done.replace(Some(format!("{done} of {total} {what}")));
                self.progress(done, total, what);
            }
            ActionEvent::RepairStep(_, step) => self.note(step.message),
        }
    }

    /// How far the step had come, in words.
    pub(super) fn done(&self) -> Option<String> {
        self.progress.done.take()
    }

    /// The last progress before a tenant that takes long would otherwise never be told.
    pub(super) async fn tell_late_progress(&self) -> ! {
        loop {
            sleep(EVERY).await;
            if let Some(event) = self.progress.late() {
                (self.tell)(event);
            }
        }
    }
}

/// Lets progress through now and then.
#[derive(Default)]
struct Throttle {
    /// How far the step has come, in words, for when it is interrupted.
    done: RefCell<Option<String>>,
    /// When progress was last let through.
    last: Cell<Option<Instant>>,
    /// Progress that came too soon after that.
    pending: RefCell<Option<Event>>,
}

impl Throttle {
    /// The event, if it may be told now.
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
