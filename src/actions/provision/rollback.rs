//! Tracks the provisioning in progress, so that it is rolled back on failure, time-out or signal.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::in_flight::InFlight;
use crate::{
    actions::{
        context::RunContext,
        lock::{Locked, RunLock},
    },
    database::{DatabaseError, ProvisionState},
    deadline::{Deadline, Elapsed},
    retry::{Pauses, Retry},
    words::duration,
};

/// The time to wait for a server that restarts.
const RESTART: Duration = Duration::from_secs(15);
const RESTART_PAUSES: Pauses = Pauses::even(Duration::from_millis(500));

/// The time limit of a rollback outside a shutdown.
pub(crate) const LIMIT: Duration = Duration::from_mins(5);

#[derive(Default)]
pub(crate) struct Rollback {
    /// The current provisioning; only one runs at a time.
    in_flight: RefCell<Option<InFlight>>,
    /// Tenants that killed runs left unfinished and that this run has removed.
    recovered: RefCell<BTreeSet<String>>,
    /// Tenants that a killed run's command left, with the reason why they must not be changed.
    unproved: RefCell<BTreeMap<String, String>>,
}

/// The result of a rollback.
pub(super) enum RollbackOutcome {
    Nothing,
    /// The tenant is complete: the commit succeeded, but its answer was lost.
    Complete,
    Unproven(String),
    /// The rollback is not possible now.
    Later(String),
}

impl Rollback {
    pub(super) fn register(&self, in_flight: InFlight) {
        self.in_flight.replace(Some(in_flight));
    }

    pub(super) fn forget(&self) {
        self.in_flight.replace(None);
    }

    pub(super) fn note_recovered(&self, tenant: String) {
        self.recovered.borrow_mut().insert(tenant);
    }

    pub(super) fn note_unproved(&self, tenant: String, why: String) {
        self.unproved.borrow_mut().insert(tenant, why);
    }

    /// Why the tenant must not be migrated, if nothing proves which run created it.
    pub(crate) fn unproved(&self, tenant: &str) -> Option<String> {
        self.unproved.borrow().get(tenant).cloned()
    }

    /// Whether this run has removed the tenant after a killed run.
    pub(crate) fn recovered(&self, tenant: &str) -> bool {
        self.recovered.borrow().contains(tenant)
    }

    /// Rolls back the provisioning in progress.
    pub(super) async fn roll_back(&self, context: &RunContext, locked: &Locked<'_>) -> RollbackOutcome {
        let in_flight = self.in_flight.borrow().clone();
        match in_flight {
            Some(in_flight) => {
                let outcome = roll_back(context, Some(locked), &in_flight, Deadline::after(LIMIT)).await;
                self.forget();
                outcome
            }
            None => RollbackOutcome::Nothing,
        }
    }

    /// Gives up the rollback because its time is over. Returns a message if a rollback was pending.
    pub(crate) fn abandon(&self) -> Option<String> {
        let in_flight = self.in_flight.take()?;
        let why = "its time limit was reached".to_owned();
        Some(words(&in_flight, RollbackOutcome::Later(why)))
    }

    /// Rolls back what an ended step left in progress, within the deadline. Returns a message if a rollback was
    /// needed.
    pub(crate) async fn roll_back_in_flight(
        &self,
        context: &RunContext,
        lock: &RunLock,
        deadline: Deadline,
    ) -> Option<String> {
        let in_flight = self.in_flight.borrow().clone()?;
        if !in_flight.is_journalled() {
            // The framework's command would continue to create what is removed here.
            let half = Deadline::after(deadline.left() / 2);
            if half.limit(context.processes.finish(false)).await.is_err() {
                // Everything that it creates now is removed anyway.
                context.processes.kill();
                let _ = deadline.limit(context.processes.finish(false)).await;
            }
        }
        let outcome = roll_back(context, lock.guard().as_ref(), &in_flight, deadline).await;
        self.forget();
        Some(words(&in_flight, outcome))
    }
}

fn words(in_flight: &InFlight, outcome: RollbackOutcome) -> String {
    let outcome = match outcome {
        RollbackOutcome::Nothing if in_flight.runs_project() => {
            "rolled back; what the command wrote to other schemas or tables remains".into()
        }
        RollbackOutcome::Nothing => "rolled back".into(),
        RollbackOutcome::Complete => "complete".into(),
        RollbackOutcome::Unproven(why) => {
            format!("not rolled back: cannot prove that this run created it: {why}")
        }
        RollbackOutcome::Later(why) if in_flight.is_journalled() => {
            format!("not rolled back: {why}; the next run that acquires the lock does it")
        }
        RollbackOutcome::Later(why) => {
            format!("not rolled back: {why}; the next run cannot prove what was created")
        }
    };
    format!("{} was being created: {outcome}", in_flight.names())
}

/// Rolls back, and retries while the server restarts.
pub(super) async fn roll_back(
    context: &RunContext,
    locked: Option<&Locked<'_>>,
    in_flight: &InFlight,
    deadline: Deadline,
) -> RollbackOutcome {
    let Some(locked) = locked else {
        return RollbackOutcome::Later("this run no longer holds the lock".into());
    };
    let time_limit = deadline.left();
    let outcome = deadline.limit(undo(context, locked, in_flight, deadline.within(RESTART)));
    outcome.await.unwrap_or_else(|Elapsed| {
        RollbackOutcome::Later(format!("its time limit of {} was reached", duration(time_limit)))
    })
}

async fn undo(
    context: &RunContext,
    locked: &Locked<'_>,
    in_flight: &InFlight,
    restart: Deadline,
) -> RollbackOutcome {
    let mut retry = Retry::new(RESTART_PAUSES).until(restart);
    loop {
        if let Err(failure) = locked.check().await {
            return RollbackOutcome::Later(failure.to_string());
        }
        match in_flight.undo(context, locked).await {
            Ok(ProvisionState::Absent) => return RollbackOutcome::Nothing,
            Ok(ProvisionState::Complete) => return RollbackOutcome::Complete,
            Ok(ProvisionState::Unproven(why)) => return RollbackOutcome::Unproven(why),
            Err(error) => {
                if !matches!(error, DatabaseError::NotYet(_)) || !retry.pause().await {
                    return RollbackOutcome::Later(error.to_string());
                }
            }
        }
    }
}
