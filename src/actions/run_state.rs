//! Holds one execution of Portcullis: the context that its actions read, and the run's lock, history and rollback.

use std::{cell::Cell, time::Duration};

use super::{
    context::RunContext,
    exports::Exports,
    gate_bypass::GateBypasses,
    history::RunHistory,
    lock::{Locked, RunLock},
    provision::{recovery, rollback::Rollback},
};
use crate::{
    config::Config, database::LockMode, deadline::Deadline, failure::Failure,
    outcome::trace_context::TraceContext, process::Processes,
};

/// At this time before the shutdown's end, an unfinished rollback is left to the next run.
pub(crate) const ROLLED_BACK: Duration = Duration::from_millis(600);
/// At this time before the shutdown's end, the run's end must be recorded and the lock released.
pub(crate) const RECORDED: Duration = Duration::from_millis(300);

pub(crate) struct RunState {
    pub(crate) context: RunContext,
    pub(crate) lock: RunLock,
    pub(crate) history: RunHistory,
    pub(crate) rollback: Rollback,
    pub(crate) bypasses: GateBypasses,
    pub(crate) exports: Exports,
    /// The trace of this start-up, if it is recorded.
    pub(crate) trace: Option<TraceContext>,
    /// Whether the release that serves was judged, and does not prevent the migration.
    pub(crate) may_replace: Cell<bool>,
}

impl RunState {
    pub(crate) fn new(config: Config, processes: Processes) -> Self {
        Self {
            context: RunContext::new(config, processes),
            lock: RunLock::default(),
            history: RunHistory::default(),
            rollback: Rollback::default(),
            bypasses: GateBypasses::default(),
            exports: Exports::default(),
            trace: None,
            may_replace: Cell::default(),
        }
    }

    /// Returns once this run holds the lock and has recovered what killed runs left unfinished. `on_note` receives
    /// messages about the current holder.
    pub(crate) async fn acquire(&self, on_note: &dyn Fn(String)) -> Result<Locked<'_>, Failure> {
        self.acquire_as(LockMode::Exclusive, on_note).await
    }

    /// Like `acquire`, in a given mode.
    pub(crate) async fn acquire_as(
        &self,
        mode: LockMode,
        on_note: &dyn Fn(String),
    ) -> Result<Locked<'_>, Failure> {
        let deadline = Deadline::after(self.context.config.lock_timeout);
        let recover = async |locked: &Locked<'_>| {
            recovery::recover(&self.context, locked, &self.rollback, on_note).await;
        };
        self.lock.acquire(&self.context, mode, deadline, on_note, recover).await
    }

    /// Ends a run after a signal, within its time limit. Returns a message about the rollback, if one was needed.
    pub(crate) async fn shut_down(&self, failure: &Failure) -> Option<String> {
        let deadline = self.context.processes.shutdown().deadline();
        let text = self.roll_back(deadline.before(ROLLED_BACK)).await;
        // If the time is over, the lock is released with its session, and the history shows a run without an end.
        let _ = deadline.before(RECORDED).limit(self.close(Err(failure))).await;
        text
    }

    /// Rolls back what an ended step left in progress. Returns a message if a rollback was needed.
    pub(crate) async fn roll_back(&self, deadline: Deadline) -> Option<String> {
        self.rollback.roll_back_in_flight(&self.context, &self.lock, deadline).await
    }

    /// Ends the run: records its result and releases the lock.
    pub(crate) async fn close(&self, result: Result<(), &Failure>) {
        self.history.end(&self.context, result).await;
        self.lock.release().await;
    }
}
