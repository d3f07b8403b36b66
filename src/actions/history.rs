//! Records what this run changes, step by step. The record starts with the first change: a run that changes nothing
//! writes nothing. Only `once_per_release` and the override depend on it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use tokio::time::Instant;

use super::context::RunContext;
use crate::{
    database::{
        LockHolder,
        history::{At, Author, Change, Deed, Entry, Exception, Run, Step, Times},
    },
    failure::Failure,
};

/// The interval at which progress and changes are written.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// The change that is recorded for a created tenant.
pub(super) const CREATED: &str = "created";

/// The entries that are not written yet, and the state of the record.
#[derive(Default)]
pub(crate) struct RunHistory {
    started: Cell<bool>,
    /// A write failed: only the end of the run is still tried.
    gave_up: Cell<bool>,
    entries: RefCell<Vec<Entry>>,
    /// By migrations. In one order, so that the writes of several runs do not block each other in a circle.
    times: RefCell<BTreeMap<Vec<String>, Times>>,
    /// The current step.
    step: RefCell<String>,
    /// The progress that was last written, and when.
    written: Cell<Option<(usize, Instant)>>,
    record_error: RefCell<Option<String>>,
}

impl RunHistory {
    /// Starts the record before the first change.
    pub(crate) async fn start(&self, context: &RunContext) {
        if self.started.replace(true) {
            return;
        }
        let began = Entry::Began {
            release: release(context).await,
            version: env!("CARGO_PKG_VERSION").into(),
            role: context.config.role.clone(),
            host: host(),
        };
        self.entries.borrow_mut().insert(0, began);
        self.write(context).await;
    }

    /// Like `start`, but fails if the record cannot be written.
    pub(crate) async fn start_or_fail(&self, context: &RunContext) -> Result<(), Failure> {
        self.start(context).await;
        match self.record_error.borrow().as_ref() {
            Some(why) => {
                Err(Failure::Database { what: "recording the run".into(), why: why.as_str().into() })
            }
            None if self.gave_up.get() => {
                let why = "an earlier attempt failed".into();
                Err(Failure::Database { what: "recording the run".into(), why })
            }
            None => Ok(()),
        }
    }

    /// Sets the current step.
    pub(crate) fn start_step(&self, step: &str) {
        step.clone_into(&mut self.step.borrow_mut());
        self.written.set(None);
    }

    /// Records what was applied to a schema.
    pub(crate) fn record_change(&self, tenant: Option<&str>, what: &[String]) {
        let change = Change { tenant: tenant.map(str::to_owned), what: what.to_vec() };
        self.entries.borrow_mut().push(Entry::Change(change));
    }

    /// Records the migrations that were applied to a schema, and for a tenant how long they took.
    pub(crate) fn record_migrated(&self, tenant: Option<&str>, migrations: &[String], took: Duration) {
        self.record_change(tenant, migrations);
        if tenant.is_some() {
            let mut times = self.times.borrow_mut();
            let times = times.entry(migrations.to_vec()).or_default();
            times.tenants += 1;
            times.total += took;
        }
    }

    /// Records the progress of the step, at most once per interval.
    pub(crate) async fn record_progress(&self, context: &RunContext, done: usize, total: usize) {
        if self.written.get().is_some_and(|(written, at)| written == done || at.elapsed() < EVERY) {
            return;
        }
        self.written.set(Some((done, Instant::now())));
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let at = At { step: self.step.borrow().clone(), done: count(done), total: count(total) };
        self.entries.borrow_mut().push(Entry::At(at));
        self.write(context).await;
    }

    /// Records the end of a step.
    pub(crate) async fn record_step(&self, context: &RunContext, step: Step) {
        self.entries.borrow_mut().push(Entry::Step(step));
        self.write(context).await;
    }

    /// Records that a step with `once_per_release = true` is done; fails if the record cannot be written.
    pub(crate) async fn record_once(
        &self,
        context: &RunContext,
        step: &str,
        what: &str,
    ) -> Result<(), Failure> {
        let entry = Entry::Once { release: release(context).await, step: step.into(), what: what.into() };
        let written = if self.gave_up.get() {
            Err("an earlier attempt failed".into())
        } else {
            context
                .database()?
                .write_history(&context.run, &[entry])
                .await
                .map_err(crate::database::DatabaseError::into_cause)
        };
        written.map_err(|why| Failure::Database {
            what: format!("recording that `{step}` is done (the next start would repeat it)"),
            why,
        })
    }

    /// Records that the gate was opened despite findings.
    pub(super) fn add_exception(&self, exception: Exception) {
        self.entries.borrow_mut().push(Entry::Exception(exception));
    }

    /// Like `add_exception`, but fails if the record cannot be written.
    pub(super) async fn record_exception(
        &self,
        context: &RunContext,
        exception: Exception,
    ) -> Result<(), Failure> {
        self.start_or_fail(context).await?;
        let entry = Entry::Exception(exception);
        let written = context.database()?.write_history(&context.run, &[entry]).await;
        written.map_err(|error| error.into_failure("recording the override"))
    }

    /// Records the end of the run.
    pub(crate) async fn end(&self, context: &RunContext, result: Result<(), &Failure>) {
        if !self.started.get() {
            return;
        }
        let (outcome, exit_code) =
            result.map_or_else(|failure| (failure.id(), failure.code()), |()| ("ok", 0));
        let ended = Entry::Ended { outcome: outcome.into(), exit_code };
        if self.gave_up.replace(false) {
            // A reader must not take this run for one that is still active.
            self.entries.replace(vec![ended]);
            self.times.take();
        } else {
            self.entries.borrow_mut().push(ended);
        }
        self.write(context).await;
    }

    /// Why the run could not be recorded; returned once.
    pub(crate) fn record_error(&self) -> Option<String> {
        self.record_error
            .take()
            .map(|why| format!("this run is not recorded, and `portcullis history` will not show it: {why}"))
    }

    async fn write(&self, context: &RunContext) {
        if !self.started.get() || self.gave_up.get() {
            return;
        }
        let mut entries = self.entries.take();
        let times = self.times.take().into_iter();
        entries.extend(times.map(|(migrations, times)| Entry::Times { migrations, times }));
        let written = match context.database() {
            Ok(database) => {
                database.write_history(&context.run, &entries).await.map_err(|error| error.to_string())
            }
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(why) = written {
            self.gave_up.set(true);
            self.record_error.replace(Some(why));
        }
    }
}

/// The description of the lock's holder, with the progress that its run has recorded.
pub(super) async fn with_progress(context: &RunContext, holder: LockHolder) -> String {
    let LockHolder { words, run } = holder;
    let Ok(database) = context.database() else { return words };
    let runs = database.read_history(1, false).await.unwrap_or_default();
    let holding = |found: &Run| found.ended.is_none() && run.as_ref() == Some(&found.id);
    match runs.into_iter().find(holding).and_then(|run| run.at) {
        Some(At { step, done, total }) => format!("{words}; in `{step}`: {done} of {total} tenants"),
        None => words,
    }
}

/// The run that completed this step for this release, if one did.
pub(crate) async fn run_that_did(
    context: &RunContext,
    step: &str,
    what: &str,
) -> Result<Option<Author>, Failure> {
    let deed = Deed::Step { release: &release(context).await, step, what };
    let found = context.database()?.author(deed).await;
    found.map_err(|error| error.into_failure("reading the history of runs"))
}

/// The first run that overrode this release's gate with this reason, if one did.
pub(super) async fn run_that_overrode(context: &RunContext, reason: &str) -> Result<Option<Author>, Failure> {
    let deed = Deed::Override { release: &release(context).await, reason };
    let found = context.database()?.author(deed).await;
    found.map_err(|error| error.into_failure("reading the history of runs"))
}

/// The latest runs, newest first.
pub(crate) async fn recent(context: &RunContext, limit: u32) -> Result<Vec<Run>, Failure> {
    let runs = context.database()?.read_history(limit, true).await;
    runs.map_err(|error| error.into_failure("reading the history of runs"))
}

/// The release (the manifest's digest). Empty without a manifest.
async fn release(context: &RunContext) -> String {
    match context.expectation().await {
        Ok(expectation) => expectation.manifest.release(),
        Err(_) => String::new(),
    }
}

/// The host name of this machine or container.
fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
