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
    actions::Work,
    config::Action,
    failure::Failure,
    outcome::{FailureDetails, event::Event},
    process::Processes,
};

/// How often progress is worth telling; what of it becomes a line, the report decides.
const EVERY: Duration = Duration::from_millis(200);

/// What a step may use.
pub(crate) struct Context<'a> {
    /// The step's position in the plan.
    pub(crate) step: usize,
    pub(crate) work: &'a Work,
    pub(crate) processes: &'a Processes,
    pub(crate) stop: Stop,
    pub(crate) tell: &'a dyn Fn(Event),
    /// How far the step has come, in words, for when it is interrupted.
    pub(crate) done: RefCell<Option<String>>,
    /// When progress was last told.
    pub(crate) told: Cell<Option<Instant>>,
    /// Progress that came too soon after that.
    pub(crate) untold: RefCell<Option<Event>>,
}

impl Context<'_> {
    pub(crate) fn note(&self, text: String) {
        (self.tell)(Event::Note { step: self.step, text });
    }

    pub(crate) fn progress(&self, done: usize, total: usize, what: &str) {
        let event = Event::Progress { step: self.step, done, total, what: what.to_owned() };
        self.untold.replace(Some(event));
        if done == 0 || done == total || self.told.get().is_none_or(|told| told.elapsed() >= EVERY) {
            self.tell_progress();
        }
    }

    fn tell_progress(&self) {
        if let Some(event) = self.untold.take() {
            self.told.set(Some(Instant::now()));
            (self.tell)(event);
        }
    }

    /// The last tenant before one that takes long would otherwise never be told.
    async fn tell_late_progress(&self) -> ! {
        loop {
            sleep(EVERY).await;
            self.tell_progress();
        }
    }

    pub(crate) fn warn(&self, text: String) {
        (self.tell)(Event::Warning { step: self.step, text });
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
        Ok(Ok(Turn::Ours)) => {
            let summary = run_now(action, &mut context).await?;
            once::done(&context, &what).await?;
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
        let Context { step, work, processes, stop, tell, .. } = context;
        let command = if command.once { &once::named(command, &work.run) } else { command };
        return work.lock.fenced(command::run(*step, command, processes, stop, tell)).await;
    }
    let context = &*context;
    // Everything else may end anywhere: SQL rolls back with its connection.
    let mut stop = context.stop.clone();
    let work = async {
        match action {
            Action::Wait(wait) => {
                let database = context.work.database().ok();
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
    let result = Box::pin(stop.race(context.work.lock.fenced(told))).await;
    result.unwrap_or_else(|signal| {
        let failure = Failure::Interrupted { signal, doing: "while it was under way".into() };
        Err(FailureDetails { done: context.done.take(), ..FailureDetails::from(failure) })
    })
}
