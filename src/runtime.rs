//! The asynchronous runtime with the reaper and the signals in it, for as long as steps run.

use std::time::Duration;

use tokio::{runtime::Builder, task::LocalSet};

use crate::{
    failure::Failure,
    process::{Inherited, Processes, Signals},
};

/// Between TERM and KILL, for what a command had started.
const GRACE: Duration = Duration::from_secs(8);

/// Runs the work to its end on this thread. The runtime's other threads (name look-ups) are not waited for.
pub(crate) fn block_on<T>(
    inherited: &Inherited,
    work: impl AsyncFnOnce(Processes, Signals) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let internal = |error| Failure::Internal { what: format!("cannot start the runtime: {error}") };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(internal)?;
    let tasks = LocalSet::new();
    let result = tasks.block_on(&runtime, async {
        let (processes, signals) = Processes::start(inherited).map_err(internal)?;
        work(processes, signals).await
    });
    drop(tasks);
    runtime.shutdown_background();
    result
}

/// Runs the work unless a signal ends it first; for commands other than `run`.
pub(crate) fn until_signalled<T>(
    inherited: &Inherited,
    work: impl AsyncFnOnce(Processes) -> Result<T, Failure>,
) -> Result<T, Failure> {
    until_signalled_then(inherited, work, async || {})
}

/// The same; where a signal ended the work, `then` follows.
pub(crate) fn until_signalled_then<T>(
    inherited: &Inherited,
    work: impl AsyncFnOnce(Processes) -> Result<T, Failure>,
    then: impl AsyncFnOnce(),
) -> Result<T, Failure> {
    block_on(inherited, async |processes, mut signals| {
        let result = tokio::select! {
            biased;
            signal = signals.next() => Err(Failure::Interrupted { signal, doing: "while the command ran".into() }),
            result = work(processes.clone()) => result,
        };
        if let Err(Failure::Interrupted { .. }) = result {
            then().await;
        }
        // What the work had started got TERM when it was dropped.
        processes.finish(GRACE, false).await;
        result
    })
}
