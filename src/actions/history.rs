//! The history of this run: what it changed, step by step. It starts with the first change, so that a run that
//! changes nothing writes nothing. Only `once_per_release` and the override depend on it.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use tokio::time::Instant;

use super::context::RunContext;
use crate::{
    database::history::{At, Author, Change, Entry, Exception, Run, Step},
    failure::Failure,
};

/// How often progress and changes are written down.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// The change that is recorded for a tenant that was created.
pub(super) const CREATED: &str = "created";

/// What is not written down yet, and whether it will be.
#[derive(Default)]
pub(crate) struct RunHistory {
    started: Cell<bool>,
    /// It could not be written: nothing more is tried, but for the end.
    gave_up: Cell<bool>,
    entries: RefCell<Vec<Entry>>,
    /// The step that is under way.
    step: RefCell<String>,
    /// How far it was when that was last written down, and when.
    written: Cell<Option<(usize, Instant)>>,
    record_error: RefCell<Option<String>>,
}

impl RunHistory {
    /// This run is about to change something.
    pub(crate) async fn begin(&self, context: &RunContext) {
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

    /// As `begin`, for what must not happen unless it is recorded.
    pub(crate) async fn must_begin(&self, context: &RunContext) -> Result<(), Failure> {
        self.begin(context).await;
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

    /// A step begins.
    pub(crate) fn at(&self, step: &str) {
        step.clone_into(&mut self.step.borrow_mut());
        self.written.set(None);
    }

    /// What was applied to a schema.
    pub(crate) fn changed(&self, tenant: Option<&str>, what: &[String]) {
        let change = Change { tenant: tenant.map(str::to_owned), what: what.to_vec() };
        self.entries.borrow_mut().push(Entry::Change(change));
    }

    /// How far the step has come; written down now and then.
    pub(crate) async fn progress(&self, context: &RunContext, done: usize, total: usize) {
        if self.written.get().is_some_and(|(written, at)| written == done || at.elapsed() < EVERY) {
            return;
        }
        self.written.set(Some((done, Instant::now())));
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let at = At { step: self.step.borrow().clone(), done: count(done), total: count(total) };
        self.entries.borrow_mut().push(Entry::At(at));
        self.write(context).await;
    }

    /// A step has ended.
    pub(crate) async fn step(&self, context: &RunContext, step: Step) {
        self.entries.borrow_mut().push(Entry::Step(step));
        self.write(context).await;
    }

    /// A step with `once_per_release = true` was done; fails if that could not be written down.
    pub(crate) async fn once(&self, context: &RunContext, step: &str, what: &str) -> Result<(), Failure> {
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
            what: format!("recording that `{step}` was done, so that the next start would do it again,"),
            why,
        })
    }

    /// The gate was opened although not everything is complete.
    pub(super) fn exception(&self, exception: Exception) {
        self.entries.borrow_mut().push(Entry::Exception(exception));
    }

    /// As `exception`; fails if it could not be written down.
    pub(super) async fn must_note(&self, context: &RunContext, exception: Exception) -> Result<(), Failure> {
        self.must_begin(context).await?;
        let entry = Entry::Exception(exception);
        let written = context.database()?.write_history(&context.run, &[entry]).await;
        written.map_err(|error| error.into_failure("recording the override"))
    }

    /// The run has ended.
    pub(crate) async fn end(&self, context: &RunContext, result: Result<(), &Failure>) {
        if !self.started.get() {
            return;
        }
        let (outcome, exit_code) =
            result.map_or_else(|failure| (failure.id(), failure.code()), |()| ("ok", 0));
        let ended = Entry::Ended { outcome: outcome.into(), exit_code };
        if self.gave_up.replace(false) {
            // Whoever reads the record should not take the run for one that is still under way.
            self.entries.replace(vec![ended]);
        } else {
            self.entries.borrow_mut().push(ended);
        }
        self.write(context).await;
    }

    /// Why the run could not be recorded, once.
    pub(crate) fn record_error(&self) -> Option<String> {
        self.record_error
            .take()
            .map(|why| format!("this run is not recorded, and `portcullis history` will not show it: {why}"))
    }

    async fn write(&self, context: &RunContext) {
        if !self.started.get() || self.gave_up.get() {
            return;
        }
        let entries = self.entries.take();
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

/// The lock's holder in words, with how far that run says it has come.
pub(super) async fn with_progress(context: &RunContext, holder: String) -> String {
    let Ok(database) = context.database() else { return holder };
    let runs = database.read_history(1, false).await.unwrap_or_default();
    let at =
        runs.into_iter().find(|run| run.ended.is_none() && holder.contains(&run.id)).and_then(|run| run.at);
    match at {
        Some(At { step, done, total }) => format!("{holder}; in `{step}`: {done} of {total} tenants"),
        None => holder,
    }
}

/// The run that did this step of this release, if there is one.
pub(crate) async fn who_did(context: &RunContext, step: &str, what: &str) -> Result<Option<Author>, Failure> {
    let found = context.database()?.who_did(&release(context).await, step, what).await;
    found.map_err(|error| error.into_failure("reading the record of runs"))
}

/// The first run that opened this release's gate for this reason, if there is one.
pub(super) async fn who_overrode(context: &RunContext, reason: &str) -> Result<Option<Author>, Failure> {
    let found = context.database()?.who_overrode(&release(context).await, reason).await;
    found.map_err(|error| error.into_failure("reading the record of runs"))
}

/// The newest runs first.
pub(crate) async fn recent(context: &RunContext, limit: u32) -> Result<Vec<Run>, Failure> {
    let runs = context.database()?.read_history(limit, true).await;
    runs.map_err(|error| error.into_failure("reading the record of runs"))
}

/// The release: the manifest's digest. Empty for a run without one.
async fn release(context: &RunContext) -> String {
    match context.expectation().await {
        Ok(expectation) => expectation.manifest.release(),
        Err(_) => String::new(),
    }
}

/// What this machine or container calls itself.
fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
