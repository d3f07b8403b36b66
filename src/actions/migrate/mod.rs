//! Migrating schemas, and what that comes to.

pub(crate) mod apply;
mod plan;
mod pool;

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::{failure::Failure, frameworks, outcome::SchemaFailure, words::count};

/// What applying did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// How many schemas were inspected.
    pub(crate) schemas: usize,
    /// What was applied, by schema: a tenant's name, or None for the shared schema.
    pub(crate) migrations: BTreeMap<Option<String>, Vec<String>>,
}

impl Applied {
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

/// Why one schema was not migrated.
#[derive(Debug)]
pub(crate) enum MigrateError {
    /// A failure of its own, with the last lines of output.
    Schema(SchemaFailure, Vec<String>),
    /// Another run is migrating it.
    LockedByOther,
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

/// Asks the workers to begin nothing more, and to finish what they have begun.
#[derive(Debug)]
pub(crate) struct Enough(watch::Sender<bool>);

impl Default for Enough {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Enough {
    pub(super) fn ask(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Pends as long as nobody asks.
    pub(super) async fn asked(&self) {
        // The sender lives as long as this future.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
