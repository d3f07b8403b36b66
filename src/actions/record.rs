//! The record of this run: what it changed, step by step. It begins with the first change, so that a run that
//! changes nothing writes nothing; and only `once` and the override depend on it.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::Work;
use crate::{
    database::record::{At, Author, Change, Entry, Exception, Run, Step},
    failure::Failure,
};

/// How often progress and changes are written down.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// What a tenant that was made is recorded with.
pub(crate) const CREATED: &str = "created whole";

/// What is not written down yet, and whether it will be.
#[derive(Default)]
pub(crate) struct Record {
    begun: Cell<bool>,
    /// It could not be written: nothing more is tried, but for the end.
    given_up: Cell<bool>,
    entries: RefCell<Vec<Entry>>,
    /// The step that is under way.
    step: RefCell<String>,
    /// How far it was when that was last written down, and when.
    told: Cell<Option<(usize, Instant)>>,
    complaint: RefCell<Option<String>>,
}

impl Record {
    /// This run is about to change something.
    pub(crate) async fn begin(&self, work: &Work) {
        if self.begun.replace(true) {
            return;
        }
        let began = Entry::Began {
            release: release(work).await,
            version: env!("CARGO_PKG_VERSION").into(),
            role: work.config.role.clone(),
            host: host(),
        };
        self.entries.borrow_mut().insert(0, began);
        self.write(work).await;
    }

    /// As `begin`, for what must not happen unless it is recorded.
    pub(crate) async fn must_begin(&self, work: &Work) -> Result<(), Failure> {
        self.begin(work).await;
        match self.complaint.borrow().as_ref() {
            Some(why) => {
                Err(Failure::Database { what: "recording the run".into(), why: why.as_str().into() })
            }
            None if self.given_up.get() => {
                let why = "an earlier attempt failed".into();
                Err(Failure::Database { what: "recording the run".into(), why })
            }
            None => Ok(()),
        }
    }

    /// A step begins.
    pub(crate) fn at(&self, step: &str) {
        step.clone_into(&mut self.step.borrow_mut());
        self.told.set(None);
    }

    /// What was applied to a schema.
    pub(crate) fn changed(&self, tenant: Option<&str>, what: &[String]) {
        let change = Change { tenant: tenant.map(str::to_owned), what: what.to_vec() };
        self.entries.borrow_mut().push(Entry::Change(change));
    }

    /// How far the step has come; written down now and then.
    pub(crate) async fn progress(&self, work: &Work, done: usize, total: usize) {
        if self.told.get().is_some_and(|(told, at)| told == done || at.elapsed() < EVERY) {
            return;
        }
        self.told.set(Some((done, Instant::now())));
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        let at = At { step: self.step.borrow().clone(), done: count(done), total: count(total) };
        self.entries.borrow_mut().push(Entry::At(at));
        self.write(work).await;
    }

    /// A step has ended.
    pub(crate) async fn step(&self, work: &Work, step: Step) {
        self.entries.borrow_mut().push(Entry::Step(step));
        self.write(work).await;
    }

    /// A step with `once = true` was done; fails if that could not be written down.
    pub(crate) async fn once(&self, work: &Work, step: &str, what: &str) -> Result<(), Failure> {
        let entry = Entry::Once { release: release(work).await, step: step.into(), what: what.into() };
        let written = if self.given_up.get() {
            Err("an earlier attempt failed".into())
        } else {
            work.database()?.write_record(&work.run, &[entry]).await.map_err(|error| error.to_string())
        };
        written.map_err(|why| Failure::Database {
            what: format!("recording that `{step}` was done, so that the next start would do it again,"),
            why: why.into(),
        })
    }

    /// A gate was opened though not everything is complete.
    pub(crate) fn exception(&self, exception: Exception) {
        self.entries.borrow_mut().push(Entry::Exception(exception));
    }

    /// As `exception`; fails if it could not be written down.
    pub(crate) async fn must_note(&self, work: &Work, exception: Exception) -> Result<(), Failure> {
        self.must_begin(work).await?;
        let entry = Entry::Exception(exception);
        let written = work.database()?.write_record(&work.run, &[entry]).await;
        written.map_err(|error| error.into_failure("recording the override"))
    }

    /// The run has ended.
    pub(crate) async fn end(&self, work: &Work, result: Result<(), &Failure>) {
        if !self.begun.get() {
            return;
        }
        let (outcome, exit_code) =
            result.map_or_else(|failure| (failure.id(), failure.code()), |()| ("ok", 0));
        let ended = Entry::Ended { outcome: outcome.into(), exit_code };
        if self.given_up.replace(false) {
            // Whoever reads the record should not take the run for one that is still under way.
            self.entries.replace(vec![ended]);
        } else {
            self.entries.borrow_mut().push(ended);
        }
        self.write(work).await;
    }

    /// Why the run could not be recorded, once.
    pub(crate) fn complaint(&self) -> Option<String> {
        self.complaint
            .take()
            .map(|why| format!("this run is not recorded, and `portcullis history` will not show it: {why}"))
    }

    async fn write(&self, work: &Work) {
        if !self.begun.get() || self.given_up.get() {
            return;
        }
        let entries = self.entries.take();
        let written = match work.database() {
            Ok(database) => {
                database.write_record(&work.run, &entries).await.map_err(|error| error.to_string())
            }
            Err(failure) => Err(failure.to_string()),
        };
        if let Err(why) = written {
            self.given_up.set(true);
            self.complaint.replace(Some(why));
        }
    }
}

impl Work {
    /// Who holds the lock, in words, and how far that run says that it has come.
    pub(crate) async fn how_far(&self, holder: String) -> String {
        let Ok(database) = self.database() else { return holder };
        let runs = database.read_record(1, false).await.unwrap_or_default();
        let at = runs
            .into_iter()
            .find(|run| run.ended.is_none() && holder.contains(&run.id))
            .and_then(|run| run.at);
        match at {
            Some(At { step, done, total }) => format!("{holder}; in `{step}`: {done} of {total} tenants"),
            None => holder,
        }
    }

    /// Who did this step of this release, if the record knows.
    pub(crate) async fn who_did(&self, step: &str, what: &str) -> Result<Option<Author>, Failure> {
        let release = release(self).await;
        let found = self.database()?.who_did(&release, step, what).await;
        found.map_err(|error| error.into_failure("reading the record of runs"))
    }

    /// Who opened this release's gate for this reason in this container, if the record knows.
    pub(crate) async fn who_overrode(&self, reason: &str) -> Result<Option<Author>, Failure> {
        let release = release(self).await;
        let found = self.database()?.who_overrode(&release, &host(), reason).await;
        found.map_err(|error| error.into_failure("reading the record of runs"))
    }

    /// The end of a command that may have changed something: it is recorded, and the lock given back.
    pub(crate) async fn finish(&self, result: Result<(), &Failure>) {
        self.record.end(self, result).await;
        self.lock.release().await;
    }

    /// The newest runs first.
    pub(crate) async fn history(&self, limit: u32) -> Result<Vec<Run>, Failure> {
        let runs = self.database()?.read_record(limit, true).await;
        runs.map_err(|error| error.into_failure("reading the record of runs"))
    }
}

/// The release: the manifest's digest. Empty for a run without one.
async fn release(work: &Work) -> String {
    match work.expectation().await {
        Ok(expectation) => expectation.manifest.release(),
        Err(_) => String::new(),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// What this machine or container calls itself.
fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
