//! The parameters of database operations: the inspection, the schema and the limits.

use std::time::Duration;

use super::{Creation, notices::NoticeSender, outcome::DatabaseError};
use crate::{
    cause::{Cause, Kind},
    config::Selection,
    deadline::Deadline,
    tenants::{
        inspection::{Inspection, SchemaState},
        ledger::LedgerLayout,
        manifest::{Expected, Manifest},
    },
};

/// The parameters of one inspection.
#[derive(Clone, Copy)]
pub(crate) struct InspectRequest<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) shared: bool,
    /// None inspects no tenant.
    pub(crate) tenants: Option<&'a Selection>,
    /// For the entire inspection.
    pub(crate) timeout: Duration,
    pub(crate) allow_standby: bool,
    /// Whether to read the structures.
    pub(crate) structure: bool,
    /// Called with the number of inspected schemas and their total.
    pub(crate) on_progress: &'a dyn Fn(usize, usize),
}

/// For callers that do not report progress.
pub(crate) const NO_PROGRESS: &dyn Fn(usize, usize) = &|_, _| {};

/// The schema to which a migration is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schema {
    Shared,
    Tenant(String),
}

/// The limits of one migration.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// For one statement's wait for a lock.
    pub(crate) lock_timeout: Duration,
    /// For one statement; None leaves the server's setting unchanged. SQLite has no such limit.
    pub(crate) statement_timeout: Option<Duration>,
    /// Schemas in which names are resolved after the schema itself.
    pub(crate) search_path: Vec<String>,
    /// All pending files of a schema run in one transaction instead of one transaction per file.
    pub(crate) all_in_one: bool,
    /// Fail at once if another run is migrating the schema.
    pub(crate) nowait: bool,
    /// Receives the server's messages of the files or statements.
    pub(crate) notices: Option<NoticeSender>,
    /// For the entire operation.
    pub(crate) deadline: Deadline,
}

/// The creation of one complete tenant.
#[derive(Clone, Copy)]
pub(crate) struct ProvisionRequest<'a> {
    pub(crate) new: &'a Creation,
    pub(crate) expected: &'a Expected,
    pub(crate) layout: LedgerLayout<'a>,
    pub(crate) limits: &'a Limits,
    /// The gate's verdict before other sessions can see the tenant.
    pub(crate) verify: &'a dyn Fn(&SchemaState) -> Result<(), String>,
}

impl InspectRequest<'_> {
    /// A missing registry counts as empty only if the inspection of the shared schema reports that something is missing.
    /// Otherwise a lost registry would look like "all tenants complete".
    pub(super) fn without_registry(&self, table: &str, found: &Inspection) -> Result<(), DatabaseError> {
        let reported = match &found.shared {
            Some(SchemaState::Read(_)) => self.manifest.shared.tables.contains_key(table),
            Some(SchemaState::NoLedger { .. }) => self.manifest.shared != Expected::default(),
            Some(_) => true,
            None => false,
        };
        if reported || matches!(self.tenants, Some(Selection::Named(_))) {
            return Ok(());
        }
        Err(DatabaseError::Failed(Cause::new(
            Kind::Missing,
            format!("the registry's table `{table}` does not exist"),
        )))
    }
}
