//! What this run has begun to make and not brought to its end, so that a failure, a time-out or a signal can take it back.

use std::{cell::RefCell, collections::BTreeSet};

use tokio::time::{self, Duration, Instant};

use super::{command, wanted::domains};
use crate::{
    actions::Work,
    database::{Became, Creation, DatabaseError, Undone},
    failure::Failure,
};

/// How long a server that restarts is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Unfinished {
    /// One thing at a time is being made.
    begun: RefCell<Option<Begun>>,
    /// What killed runs had left, and this one has removed.
    removed: RefCell<BTreeSet<String>>,
}

/// What is being made.
#[derive(Debug, Clone)]
pub(super) enum Begun {
    Creation(Creation),
    /// By the framework's own command: tenants that were absent before, each with its note's nonce.
    Command(Vec<(String, String)>),
}

/// What became of it.
pub(super) enum TakenBack {
    Nothing,
    Whole,
    Unproved(String),
    /// It could not be taken back now, and the journal proves it to whoever comes next.
    Later(String),
}

impl Unfinished {
    pub(super) fn note(&self, begun: Begun) {
        self.begun.replace(Some(begun));
    }

    pub(super) fn forget(&self) {
        self.begun.replace(None);
    }

    pub(crate) fn has_removed(&self, tenant: &str) -> bool {
        self.removed.borrow().contains(tenant)
    }
}

/// Takes back what is begun.
pub(super) async fn take_back(work: &Work) -> TakenBack {
    let begun = work.begun.begun.borrow().clone();
    match begun {
        Some(begun) => take_back_only(work, &begun).await,
        None => TakenBack::Nothing,
    }
}

/// Takes this back, as long as the lock is ours: otherwise somebody else may be doing that.
pub(super) async fn take_back_only(work: &Work, begun: &Begun) -> TakenBack {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Err(failure) = work.lock.still_held().await {
            return TakenBack::Later(failure.to_string());
        }
        match once(work, begun).await {
            Ok(Undone::Nothing) => return TakenBack::Nothing,
            Ok(Undone::Whole) => return TakenBack::Whole,
            Ok(Undone::Unproved(why)) => return TakenBack::Unproved(why),
            Err(DatabaseError::NotYet(_)) if Instant::now() < deadline => time::sleep(PAUSE).await,
            Err(error) => return TakenBack::Later(error.to_string()),
        }
    }
}

/// What a signal interrupted, taken back; in words, if there was anything.
pub(crate) async fn after_signal(work: &Work) -> Option<String> {
    let is_command = matches!(work.begun.begun.borrow().as_ref()?, Begun::Command(_));
    if let (true, Ok(processes)) = (is_command, work.processes()) {
        // It would go on making what is removed here.
        processes.finish(false).await;
    }
    end(work).await
}

/// What is begun, taken back; in words, if there was anything.
pub(super) async fn end(work: &Work) -> Option<String> {
    let (what, later) = match work.begun.begun.borrow().as_ref()? {
        Begun::Creation(new) => (format!("`{}`", new.schema), "the next run that takes the lock does it"),
        Begun::Command(tenants) => {
            let names: Vec<String> = tenants.iter().map(|(name, _)| format!("`{name}`")).collect();
            (names.join(", "), "nothing proves to the next run what it made")
        }
    };
    let became = match take_back(work).await {
        TakenBack::Nothing => "rolled back".into(),
        TakenBack::Whole => "whole".into(),
        TakenBack::Unproved(why) => format!("not rolled back: authorship unproved: {why}"),
        TakenBack::Later(why) => format!("not rolled back: {why}; {later}"),
    };
    work.begun.forget();
    Some(format!("{what} was being created: {became}"))
}

/// Takes back what killed runs have left; whoever takes the lock does it first.
pub(crate) async fn recover(work: &Work, say: &dyn Fn(String)) {
    let (Ok(database), Ok(limits)) = (work.database(), work.limits()) else { return };
    match database.recover(domains(work).await, &limits).await {
        Ok(leftovers) => {
            for left in leftovers {
                let (tenant, begun) = (&left.tenant, &left.begun);
                if matches!(left.became, Became::Unproved(_)) && command::settle(work, tenant).await {
                    continue;
                }
                say(match left.became {
                    Became::Removed => {
                        work.begun.removed.borrow_mut().insert(tenant.clone());
                        format!("`{tenant}`, which {begun} left unfinished: removed")
                    }
                    Became::Unproved(why) => format!("`{tenant}` was left as it is: {why}"),
                    Became::Failed(why) => {
                        format!("`{tenant}`, which {begun} left unfinished, could not be removed yet: {why}")
                    }
                });
            }
        }
        Err(error) => say(format!("cannot look for what killed runs have left: {error}")),
    }
}

async fn once(work: &Work, begun: &Begun) -> Result<Undone, DatabaseError> {
    let internal = |failure: Failure| DatabaseError::Failed(failure.to_string());
    let (database, limits) = (work.database().map_err(internal)?, work.limits().map_err(internal)?);
    match begun {
        Begun::Creation(new) => database.undo(new, &limits).await,
        Begun::Command(tenants) => {
            command::remove(work, tenants).await?;
            Ok(Undone::Nothing)
        }
    }
}
