//! Runs the asynchronous runtime with the reaper and the signals, for as long as steps run.

use std::time::Duration;

use tokio::task::LocalSet;

use crate::{
    credentials,
    failure::Failure,
    process::{Inherited, Processes, Signals},
    threads,
};

/// The default time limit of a shutdown: Docker kills after 10 s.
pub(crate) const SHUTDOWN_BUDGET: Duration = Duration::from_secs(8);

/// Runs the work to its end on this thread. Does not wait for the runtime's other threads (name resolution).
pub(crate) fn block_on<T>(
    inherited: &Inherited,
    shutdown_budget: Duration,
    work: impl AsyncFnOnce(Processes, Signals) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = |error| Failure::not_started("the runtime", &error);
    let runtime = threads::runtime().map_err(failed)?;
    let tasks = LocalSet::new();
    let result = tasks.block_on(&runtime, async {
        let (processes, signals) = Processes::start(inherited, shutdown_budget).map_err(failed)?;
        credentials::set(Some(processes.clone()));
        work(processes, signals).await
    });
    credentials::set(None);
    drop(tasks);
    runtime.shutdown_background();
    result
}

/// Runs the work unless a signal ends it first; for commands other than `run`.
pub(crate) fn until_signalled<T>(
    inherited: &Inherited,
    work: impl AsyncFnOnce(Processes) -> Result<T, Failure>,
) -> Result<T, Failure> {
    until_signalled_then(
        inherited,
        |processes| processes,
        async |processes| work(processes.clone()).await,
        async |_, _| {},
    )
}

/// Like `until_signalled`, with a state: after a signal, `then` runs within the shutdown's time.
pub(crate) fn until_signalled_then<S, T>(
    inherited: &Inherited,
    state: impl FnOnce(Processes) -> S,
    work: impl AsyncFnOnce(&S) -> Result<T, Failure>,
    then: impl AsyncFnOnce(&S, &Failure),
) -> Result<T, Failure> {
    block_on(inherited, SHUTDOWN_BUDGET, async |processes, mut signals| {
        let state = state(processes.clone());
        let result = tokio::select! {
            biased;
            signal = signals.next() => Err(Failure::Interrupted { signal, doing: "while the command ran".into() }),
            result = work(&state) => result,
        };
        if let Err(failure @ Failure::Interrupted { .. }) = &result {
            // The next run recovers unfinished work, as after a kill.
            let _ = processes.shutdown().deadline().limit(then(&state, failure)).await;
        }
        // The programs of the work got TERM when it was dropped.
        processes.finish(false).await;
        result
    })
}
