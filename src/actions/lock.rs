//! Holds the run's lock, from the first step that changes something to the last.

use std::{cell::RefCell, ops::Deref, rc::Rc};

use tokio::sync::{Mutex, watch};

use super::{
    context::RunContext,
    history,
    lock_acquisition::{CHECK_PAUSE, PAUSES, end_orphaned_backends, wait_for_lock},
    lock_heartbeat::LockHeartbeat,
};
use crate::{
    config::Source,
    database::{LockMode, LockProof},
    deadline::Deadline,
    failure::Failure,
    retry::{Pauses, Retry},
};

/// The lock, if this run holds it.
pub(crate) struct RunLock {
    held: RefCell<Option<Rc<Held>>>,
    /// One step at a time waits for the lock.
    acquiring: Mutex<()>,
    lost: watch::Sender<Option<String>>,
}

struct Held {
    mode: LockMode,
    heartbeat: LockHeartbeat,
    proof: LockProof,
}

/// Proves that this run has acquired the lock; every function that changes a schema requires it. While a guard
/// exists, the lock is not released. It may still be lost: [`Locked::check`] queries the server.
#[derive(Clone)]
pub(crate) struct Locked<'a> {
    lock: &'a RunLock,
    held: Rc<Held>,
    /// This run waited for the lock, so that earlier inspections may be outdated.
    pub(crate) waited: bool,
}

impl Default for RunLock {
    fn default() -> Self {
        Self { held: RefCell::default(), acquiring: Mutex::default(), lost: watch::Sender::new(None) }
    }
}

impl RunLock {
    /// Returns once this run holds the lock in this mode; releases it first if this run holds it in the other mode.
    /// `on_note` receives messages about the current holder; `first` runs before anything else under the new lock.
    pub(super) async fn acquire(
        &self,
        context: &RunContext,
        mode: LockMode,
        deadline: Deadline,
        on_note: &dyn Fn(String),
        first: impl AsyncFnOnce(&Locked<'_>),
    ) -> Result<Locked<'_>, Failure> {
        let _turn = self.acquiring.lock().await;
        self.not_lost()?;
        if let Some(locked) = self.guard() {
            if locked.held.mode == mode {
                return Ok(locked);
            }
            drop(locked);
            self.release_when_unused(context, deadline).await?;
        }
        let (mut session, proof, waited) = wait_for_lock(mode, context, deadline, on_note).await?;
        // The next change needs a connection, and logging in takes about as long.
        let (ended, ()) =
            tokio::join!(end_orphaned_backends(&mut session, context, deadline, on_note), log_in(context));
        if let Err(failure) = ended {
            let _ = session.release_lock(PAUSES.longest, false).await;
            return Err(failure);
        }
        let silence = context.config.lock_silence_timeout;
        let heartbeat = LockHeartbeat::start(session, silence, context.processes.clone(), self.lost.clone());
        let held = Rc::new(Held { mode, heartbeat, proof });
        self.held.replace(Some(Rc::clone(&held)));
        let locked = Locked { lock: self, held, waited };
        first(&locked).await;
        Ok(locked)
    }

    /// The guard, if this run holds the lock.
    pub(super) fn guard(&self) -> Option<Locked<'_>> {
        let held = self.held.borrow().clone()?;
        Some(Locked { lock: self, held, waited: false })
    }

    /// Returns the work's result. If the lock is lost first, the work is dropped, after all programs were killed.
    pub(crate) async fn fenced<T, E: From<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut lost = self.lost.subscribe();
        tokio::select! {
            biased;
            _ = lost.wait_for(Option::is_some) => {}
            done = work => return done,
        }
        // Only the loss of the lock ends the wait.
        self.not_lost().and_then(|()| Err(not_held())).map_err(E::from)
    }

    /// Describes the holder if another run holds the lock. None also if the holder cannot be read.
    pub(crate) async fn held_by_another(&self, context: &RunContext) -> Option<String> {
        if self.held.borrow().is_some() {
            return None;
        }
        let holder = context.database().ok()?.lock_holder().await.ok().flatten()?;
        if holder.run.as_ref() == Some(&context.run) {
            // Its release is not over.
            return None;
        }
        Some(history::with_progress(context, holder).await)
    }

    /// Releases the lock, unless it is not held or a guard still exists.
    pub(crate) async fn release(&self) {
        let released = self.held.borrow_mut().take_if(|held| Rc::strong_count(held) == 1);
        if let Some(held) = released {
            held.heartbeat.release().await;
        }
    }

    /// Releases the lock once no other step holds its guard.
    async fn release_when_unused(&self, context: &RunContext, deadline: Deadline) -> Result<(), Failure> {
        self.release().await;
        let mut retry = Retry::new(Pauses::even(CHECK_PAUSE)).until(deadline);
        while self.held.borrow().is_some() {
            if !retry.pause().await {
                let holder = "another step of this run holds it".into();
                return Err(Failure::LockTimedOut { after: context.config.lock_timeout, holder });
            }
            self.not_lost()?;
            self.release().await;
        }
        Ok(())
    }

    /// Fails if the lock is known to be lost.
    fn not_lost(&self) -> Result<(), Failure> {
        match self.lost.borrow().as_ref() {
            Some(why) => Err(Failure::LockLost { why: why.clone() }),
            None => Ok(()),
        }
    }
}

impl Deref for Locked<'_> {
    type Target = LockProof;

    fn deref(&self) -> &LockProof {
        &self.held.proof
    }
}

impl Locked<'_> {
    pub(super) fn mode(&self) -> LockMode {
        self.held.mode
    }

    /// Fails unless the server confirms that this run still holds the lock.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        let held = self.held.heartbeat.check().await;
        self.lock.not_lost()?;
        if held { Ok(()) } else { Err(not_held()) }
    }

    /// Records, before it starts, that a program may change the database. Returns once the server has confirmed the
    /// lock after that: a holder that vanishes later leaves the record.
    pub(crate) async fn record_programs(&self, context: &RunContext) -> Result<(), Failure> {
        let recorded = context.database()?.record_programs(self, &context.run).await;
        recorded.map_err(|error| error.into_failure("recording that a program runs under the lock"))?;
        self.check().await
    }

    /// The same before programs of the framework, which also refuse any database except for the configured one.
    pub(super) async fn prepare_framework(&self, context: &RunContext) -> Result<(), Failure> {
        if let Source::External(_) = context.migrations()?.source {
            context.program_sessions().await?;
            self.record_programs(context).await?;
        }
        Ok(())
    }

    /// Fails if the lock is known to be lost; queries nothing.
    pub(super) fn not_lost(&self) -> Result<(), Failure> {
        self.lock.not_lost()
    }

    /// Acquires the tenants' own locks in addition to the run's lock, and returns for each whether it was free.
    pub(super) async fn acquire_tenants(&self, tenants: Vec<String>) -> Result<Vec<bool>, Failure> {
        let acquired = self.held.heartbeat.acquire_tenants(tenants).await;
        self.lock.not_lost()?;
        acquired.ok_or_else(not_held)?.map_err(|error| error.into_failure("acquiring a tenant's lock"))
    }

    pub(super) fn release_tenants(&self, tenants: Vec<String>) {
        self.held.heartbeat.release_tenants(tenants);
    }
}

async fn log_in(context: &RunContext) {
    if let Ok(database) = context.database() {
        database.log_in().await;
    }
}

fn not_held() -> Failure {
    Failure::LockLost { why: "this run no longer holds it".into() }
}
