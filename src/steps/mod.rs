//! Runs the kinds of step, one file each. A step does one thing and returns the result.

pub(crate) mod bootstrap;
pub(crate) mod command;
pub(crate) mod context;
pub(crate) mod migrate;
mod once;
pub(crate) mod sql;
pub(crate) mod stop;
pub(crate) mod verify;
pub(crate) mod wait;

use self::{context::Context, once::OnceDecision};
use crate::{actions::lock::Locked, config::Action, failure::Failure, outcome::FailureDetails};

/// Runs one step and returns a summary of what it did.
pub(crate) async fn run(action: &Action, mut context: Context<'_>) -> Result<String, FailureDetails> {
    let Some(what) = once::what(action) else {
        return run_now(action, &mut context, None).await;
    };
    let mut stop = context.stop.clone();
    match Box::pin(stop.race(once::turn(&context, &what))).await {
        Ok(Ok(OnceDecision::Done(words))) => Ok(words),
        Ok(Ok(OnceDecision::Todo(locked))) => {
            if let Action::Command(_) = action {
                locked.record_programs(&context.state.context).await?;
            }
            let summary = run_now(action, &mut context, Some(&locked)).await?;
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

async fn run_now(
    action: &Action,
    context: &mut Context<'_>,
    locked: Option<&Locked<'_>>,
) -> Result<String, FailureDetails> {
    if let Action::Command(command) = action {
        let Context { step, state, stop, on_event, .. } = context;
        let command = if command.once { &once::named(command, &state.context.run) } else { command };
        return state.lock.fenced(command::run(*step, command, state, stop, on_event)).await;
    }
    let context = &*context;
    // All other actions may end at any point: SQL is rolled back with its connection.
    let mut stop = context.stop.clone();
    let work = async {
        match action {
            Action::Wait(wait) => {
                let database = context.state.context.database().ok();
                wait::wait(context.step, wait, database, context.on_event).await?;
                Ok("ready".into())
            }
            Action::Sql { run, timeout, .. } => sql::run(run, *timeout, locked, context).await,
            Action::Migrate(scope) => migrate::run(*scope, context).await,
            Action::Bootstrap(settings) => bootstrap::run(settings, context).await,
            Action::Verify(verify) => verify::run(verify, context).await,
            Action::Command(_) => Ok(String::new()),
        }
    };
    let reported = async {
        tokio::select! {
            biased;
            done = work => done,
            never = context.emit_late_progress() => never,
        }
    };
    let result = Box::pin(stop.race(context.state.lock.fenced(reported))).await;
    result.unwrap_or_else(|signal| {
        let failure = Failure::Interrupted { signal, doing: "while it ran".into() };
        Err(FailureDetails { done: context.done(), ..FailureDetails::from(failure) })
    })
}
