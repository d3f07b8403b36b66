//! The kinds of step, one file each: they do one thing, and say what they saw.

pub(crate) mod bootstrap;
pub(crate) mod command;
pub(crate) mod migrate;
mod once;
pub(crate) mod retry;
pub(crate) mod sql;
pub(crate) mod stop;
pub(crate) mod verify;
pub(crate) mod wait;

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use self::{once::Turn, stop::Stop};
use crate::{
    actions::{migrate::ProgressEvent, run_state::RunState},
    config::Action,
    failure::Failure,
    outcome::{FailureDetails, event::Event},
};

/// How often progress is worth telling; what of it becomes a line, the report decides.
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
    pub(crate) fn new(step: usize, state: &'a RunState, stop: Stop, tell: &'a dyn Fn(Event)) -> Self {
        Self { step, state, stop, tell, progress: Throttle::default() }
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
    pub(crate) fn report(&self, event: ProgressEvent, tenants: &str, what: &str) {
        match event {
            ProgressEvent::Note(text) => self.note(text),
            ProgressEvent::Output { tenant, stream, line } => {
                (self.tell)(Event::Output { step: self.step, stream, tenant, line });
            }
            ProgressEvent::Progress { done, total } => {
                self.progress.done.replace(Some(format!("{done} of {total} {tenants}")));
                self.progress(done, total, what);
            }
        }
    }

    /// The last progress before a tenant that takes long would otherwise never be told.
    async fn tell_late_progress(&self) -> ! {
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

/// Runs one step and returns a summary of what it did.
pub(crate) async fn run(action: &Action, mut context: Context<'_>) -> Result<String, FailureDetails> {
    let Some(what) = once::what(action) else {
        return run_now(action, &mut context).await;
    };
    let mut stop = context.stop.clone();
    match Box::pin(stop.race(once::turn(&context, &what))).await {
        Ok(Ok(Turn::Done(words))) => Ok(words),
        Ok(Ok(Turn::Todo(locked))) => {
            let summary = run_now(action, &mut context).await?;
            once::done(&context, &locked, &what).await?;
            Ok(summary)
        }
        Ok(Err(failure)) => Err(failure.into()),
        Err(signal) => {
            let doing = "while it waited for its turn".into();
            Err(Failure::Interrupted { signal, doing }.into())
        }
    }
}

async fn run_now(action: &Action, context: &mut Context<'_>) -> Result<String, FailureDetails> {
    if let Action::Command(command) = action {
        let Context { step, state, stop, tell, .. } = context;
        let command = if command.once { &once::named(command, &state.context.run) } else { command };
        let processes = &state.context.processes;
        return state.lock.fenced(command::run(*step, command, processes, stop, tell)).await;
    }
    let context = &*context;
    // Everything else may end anywhere: SQL rolls back with its connection.
    let mut stop = context.stop.clone();
    let work = async {
        match action {
            Action::Wait(wait) => {
                let database = context.state.context.database().ok();
                wait::wait(context.step, wait, database, context.tell).await?;
                Ok("there".into())
            }
            Action::Sql { run, timeout, once } => sql::run(run, *timeout, *once, context).await,
            Action::Migrate(scope) => migrate::run(*scope, context).await,
            Action::Bootstrap { tenants, run } => bootstrap::run(tenants, run, context).await,
            Action::Verify(verify) => verify::run(verify, context).await,
            Action::Command(_) => Ok(String::new()),
        }
    };
    let told = async {
        tokio::select! {
            biased;
            done = work => done,
            never = context.tell_late_progress() => never,
        }
    };
    let result = Box::pin(stop.race(context.state.lock.fenced(told))).await;
    result.unwrap_or_else(|signal| {
        let failure = Failure::Interrupted { signal, doing: "while it was under way".into() };
        Err(FailureDetails { done: context.progress.done.take(), ..FailureDetails::from(failure) })
    })
}
