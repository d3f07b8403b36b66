//! What an operation on a database is asked: which look, which schema, and within which limits.

use std::time::Duration;

use super::outcome::DatabaseError;
use crate::{
    cause::{Cause, Kind},
    config::Selection,
    deadline::Deadline,
    tenants::{
        inspection::{Inspection, SchemaState},
        manifest::{Expected, Manifest},
    },
};

/// What the gate asks of one look.
#[derive(Clone, Copy)]
pub(crate) struct InspectRequest<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) shared: bool,
    /// None asks for no tenant.
    pub(crate) tenants: Option<&'a Selection>,
    /// For the whole look.
    pub(crate) timeout: Duration,
    pub(crate) allow_standby: bool,
    /// Hears how many schemas of how many the look has been at.
    pub(crate) on_progress: &'a dyn Fn(usize, usize),
}

/// For whoever does not want to know how far a look is.
pub(crate) const NO_PROGRESS: &dyn Fn(usize, usize) = &|_, _| {};

/// Which schema a migration is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schema {
    Shared,
    Tenant(String),
}

/// How long one migration may wait and run.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// For one statement's wait for a lock.
    pub(crate) lock_timeout: Duration,
    /// For one statement; None leaves the server's setting alone. SQLite has no such limit.
    pub(crate) statement_timeout: Option<Duration>,
    /// Schemas in which names are looked up after the schema's own.
    pub(crate) search_path: Vec<String>,
    /// All pending files of a schema run in one transaction, not each in its own.
    pub(crate) all_in_one: bool,
    /// Where another run is at work on the schema: give up at once, because there is other work.
    pub(crate) nowait: bool,
    /// For all of it together.
    pub(crate) deadline: Deadline,
}

impl InspectRequest<'_> {
    /// A registry that is not there has no tenants only where the shared schema's own look says that
    /// something is missing: no tenant at all must never look like all tenants complete.
    pub(super) fn without_registry(&self, table: &str, found: &Inspection) -> Result<(), DatabaseError> {
        let told = match &found.shared {
            Some(SchemaState::Read(_)) => self.manifest.shared.tables.contains_key(table),
            Some(SchemaState::NoLedger { .. }) => self.manifest.shared != Expected::default(),
            Some(_) => true,
            None => false,
        };
        if told || matches!(self.tenants, Some(Selection::Named(_))) {
            return Ok(());
        }
        Err(DatabaseError::Failed(Cause::new(
            Kind::Missing,
            format!("the registry's table `{table}` is not there"),
        )))
    }
}
