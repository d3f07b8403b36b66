//! Migrates schemas and summarizes the results.

pub(crate) mod apply;
pub(crate) mod approval;
mod plan;
mod pool;
mod replay;
mod results;
pub(super) mod schema;
mod waves;

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::LocalBoxFuture;
use tokio::sync::watch;

use crate::{
    config::Selection,
    failure::Failure,
    frameworks,
    outcome::{FailureDetails, SchemaFailure},
    tenants::recording::Difference,
    words::count,
};

/// The result of applying migrations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The number of inspected schemas.
    pub(crate) schemas: usize,
    /// The applied migrations by schema: a tenant's name, or None for the shared schema.
    pub(crate) migrations: BTreeMap<Option<String>, Vec<String>>,
    /// The times of schemas that a framework has migrated.
    times: BTreeMap<Option<String>, Duration>,
    /// The tenants among them that a replay has proved to equal another one, with that one.
    replayed: BTreeMap<String, String>,
}

impl Applied {
    /// The migrated tenants without the replayed ones, if there are any.
    fn unproved(&self) -> Option<Selection> {
        let is_unproved = |tenant: &&String| !self.replayed.contains_key(*tenant);
        let unproved = self.migrations.keys().flatten().filter(is_unproved);
        (!self.replayed.is_empty()).then(|| Selection::Named(unproved.cloned().collect()))
    }

    pub(crate) fn summary(&self) -> String {
        let applied: usize = self.migrations.values().map(Vec::len).sum();
        match (applied, self.schemas) {
            (0, 0) => "no schema to migrate".into(),
            (0, 1) => "nothing pending".into(),
            (0, schemas) => format!("nothing pending in {schemas} schemas"),
            (applied, _) if self.migrations.len() == 1 => format!("{} applied", count(applied, "migration")),
            (applied, _) => format!("{applied} migrations applied to {} schemas", self.migrations.len()),
        }
    }
}

/// Decides under the lock, if anything is pending, whether the schemas may be changed.
pub(crate) type BeforeChange<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Result<(), FailureDetails>>;

/// The limits of what a run migrates.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limit<'a> {
    /// Only the tenants of the first waves.
    pub(crate) waves: Option<usize>,
    /// Exactly these migrations of these schemas.
    pub(crate) approved: Option<&'a BTreeMap<Option<String>, Vec<String>>>,
    pub(crate) before_change: Option<BeforeChange<'a>>,
}

/// Why one schema was not migrated.
#[derive(Debug)]
pub(crate) enum MigrateError {
    /// The schema's failure, with the last lines of output.
    Schema(SchemaFailure, Vec<String>),
    /// Another run holds the schema's lock.
    LockedByOther,
    /// The replay was rolled back; the framework migrates the schema.
    Differs(Difference),
    /// A failure that ends this run.
    Run(Failure),
}

impl From<frameworks::MigrateError> for MigrateError {
    fn from(error: frameworks::MigrateError) -> Self {
        match error {
            frameworks::MigrateError::Schema(failure, lines) => Self::Schema(failure, lines),
            frameworks::MigrateError::Run(failure) => Self::Run(failure),
        }
    }
}

/// Tells the workers to start no further schema and to finish those in progress.
#[derive(Debug)]
pub(crate) struct StopRequest(watch::Sender<bool>);

impl Default for StopRequest {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl StopRequest {
    pub(super) fn request(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Pends until the stop is requested.
    pub(super) async fn requested(&self) {
        // The sender lives as long as this future.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
