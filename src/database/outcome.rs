//! The results of database operations: values with their reasons as text.

use std::collections::{BTreeMap, BTreeSet};

use super::MigrationFile;
use crate::{
    cause::{Cause, Kind},
    failure::{Cleanup, Failure},
    tenants::{
        manifest::{Kind as TableKind, Kinds, Tables},
        structure::Structure,
    },
};

/// The result of one attempt to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Ready,
    /// A later attempt may succeed: refused, unresolvable, starting up, too many connections.
    NotYet(Cause),
    /// No later attempt can succeed: wrong password, missing database, bad certificate.
    Never(Cause),
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// Could not connect; a later attempt may succeed.
    #[error("{0}")]
    NotYet(Cause),
    /// Could not connect; no later attempt can succeed.
    #[error("{0}")]
    Never(Cause),
    #[error("{0}")]
    Failed(Cause),
    #[error("it timed out")]
    TimedOut,
}

/// The applied migrations, by the names that messages use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) migrations: Vec<String>,
}

/// Why one schema's migrations were not all applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ApplyError {
    pub(crate) end: ApplyEnd,
    /// The migration that failed; None if none was started.
    pub(crate) migration: Option<String>,
    /// `file:line`, or the file alone.
    pub(crate) place: Option<String>,
    pub(crate) why: Cause,
    /// Applied and committed before the failure.
    pub(crate) applied: Vec<String>,
}

/// How the attempt ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ApplyEnd {
    /// It was rolled back.
    #[default]
    Failed,
    /// The ledger now records a half-applied migration.
    Dirty,
    /// A permanent error such as authentication or a missing database.
    Refused,
    /// The connection ended or does not respond; the transaction's outcome is unknown.
    Lost,
    /// A lock was not released in time, at each of several attempts.
    LockTimeout,
    /// Another run holds the schema's lock because it is migrating the schema.
    HeldByOther,
}

/// Why a tenant was not provisioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ProvisionError {
    pub(crate) why: Cause,
    pub(crate) migration: Option<String>,
    pub(crate) place: Option<String>,
    /// None if `Database::roll_back` must find it out.
    pub(crate) left: Option<Cleanup>,
    pub(crate) refused: bool,
}

/// The state after an attempt to create a tenant, read afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProvisionState {
    /// Nothing is left of it.
    Absent,
    /// The tenant is complete; only the reply was lost.
    Complete,
    /// With a description.
    Unproven(String),
}

/// A session that blocks one of a run's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blocker {
    /// The schema of the table that the program waits for, if it waits for a table.
    pub(crate) schema: Option<String>,
    pub(crate) pid: String,
    /// Process id, application name, user, and when its query started.
    pub(crate) session: String,
}

/// A tenant that a framework's own command creates, as the journal records it.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) nonce: String,
    pub(crate) tenant: String,
    /// `run 1a2b3c4d at 2026-11-23 20:23:00 UTC`.
    pub(crate) started_by: String,
    /// The command has ended with success.
    pub(crate) succeeded: bool,
}

/// One unfinished creation or deletion of a killed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) tenant: String,
    /// The run that started it, and when.
    pub(crate) started_by: String,
    pub(crate) result: RecoveryResult,
}

/// The result of its recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecoveryResult {
    Removed,
    /// Nothing proves which run created it.
    Unproven(String),
    /// It could not be removed now. The next run tries again.
    Failed(String),
}

/// The tables that migrations create, each with its columns, the kinds of those that are not ordinary tables, and the
/// structure without the ledger's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableSet {
    pub(crate) tables: Tables,
    pub(crate) kinds: Kinds,
    /// By migration: see `Expected::creates`.
    pub(crate) creates: BTreeMap<String, Tables>,
    pub(crate) structure: Structure,
}

impl TableSet {
    /// Adds a table and one of its columns, if it has any.
    pub(super) fn note(&mut self, table: String, kind: TableKind, column: Option<String>) {
        if kind != TableKind::Table {
            self.kinds.insert(table.clone(), kind);
        }
        self.tables.entry(table).or_default().extend(column);
    }

    /// Assigns to the file the objects that did not exist before it. `self` is the state after it.
    pub(super) fn note_created_by(&mut self, file: &MigrationFile, before: Self) {
        let is_new = |table: &String, column: &String| {
            before.tables.get(table).is_none_or(|columns| !columns.contains(column))
        };
        let mut created = Tables::new();
        for (table, columns) in &self.tables {
            let new: BTreeSet<String> =
                columns.iter().filter(|column| is_new(table, column)).cloned().collect();
            if !new.is_empty() || !before.tables.contains_key(table) {
                created.insert(table.clone(), new);
            }
        }
        self.creates = before.creates;
        // A later file dropped these objects, or created them again.
        for tables in self.creates.values_mut() {
            tables.retain(|table, columns| {
                let (now, again) = (self.tables.get(table), created.get(table));
                columns.retain(|column| {
                    now.is_some_and(|now| now.contains(column))
                        && again.is_none_or(|again| !again.contains(column))
                });
                !columns.is_empty()
            });
        }
        if !file.no_transaction {
            self.creates.insert(file.version.to_string(), created);
        }
        self.creates.retain(|_, tables| !tables.is_empty());
    }
}

/// The tables that the migrations create in an empty database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) shared: TableSet,
    pub(crate) tenant: TableSet,
    /// The engine and its major version.
    pub(crate) server: (String, String),
}

impl ApplyError {
    /// An error that belongs to no file.
    pub(super) fn of(why: impl Into<Cause>) -> Self {
        let why = why.into();
        let end = match why.kind {
            Kind::Lost | Kind::Silent | Kind::Protocol => ApplyEnd::Lost,
            Kind::Locked => ApplyEnd::LockTimeout,
            _ => ApplyEnd::Failed,
        };
        Self { end, why, ..Self::default() }
    }

    /// With the file and, if known, the line.
    pub(super) fn at(self, file: &MigrationFile, line: Option<usize>) -> Self {
        let path = file.path.display();
        let place = line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
        Self { migration: Some(file.name()), place: Some(place), ..self }
    }

    pub(super) fn is_locked(&self) -> bool {
        matches!(self.end, ApplyEnd::LockTimeout | ApplyEnd::HeldByOther)
    }

    /// Converts it; the text contains the place.
    pub(super) fn into_failed(self) -> DatabaseError {
        DatabaseError::Failed(match self.place {
            Some(place) => {
                let text = format!("{place}: {}", self.why);
                self.why.with_text(text)
            }
            None => self.why,
        })
    }
}

impl DatabaseError {
    /// The failure of an operation outside the gate.
    pub(crate) fn into_failure(self, doing: &str) -> Failure {
        match self {
            Self::Never(why) => Failure::refused("the database", why),
            other => Failure::Database { what: doing.into(), why: other.into_cause() },
        }
    }

    pub(crate) fn into_cause(self) -> Cause {
        match self {
            Self::NotYet(why) | Self::Never(why) | Self::Failed(why) => why,
            Self::TimedOut => Cause::new(Kind::Silent, Self::TimedOut.to_string()),
        }
    }

    /// The same error with another text.
    pub(super) fn with_text(self, reword: impl FnOnce(&Cause) -> String) -> Self {
        let convert = |why: Cause| {
            let text = reword(&why);
            why.with_text(text)
        };
        match self {
            Self::NotYet(why) => Self::NotYet(convert(why)),
            Self::Never(why) => Self::Never(convert(why)),
            Self::Failed(why) => Self::Failed(convert(why)),
            Self::TimedOut => Self::TimedOut,
        }
    }
}

impl ProvisionError {
    /// Nothing was created.
    pub(super) fn refusing(why: impl Into<Cause>) -> Self {
        Self { why: why.into(), left: Some(Cleanup::NothingCreated), ..Self::default() }
    }

    /// A killed run's schema still exists and could not be removed yet.
    pub(super) fn later(why: impl Into<Cause>) -> Self {
        Self { why: why.into(), left: Some(Cleanup::Deferred), ..Self::default() }
    }

    /// The owner of the existing schema or row is unknown.
    pub(super) fn unproved(why: impl Into<Cause>) -> Self {
        Self { why: why.into(), left: Some(Cleanup::Unproven), ..Self::default() }
    }

    /// Fails if the tenant already exists, even partly; `schema` is its schema or its file.
    pub(super) fn if_exists(tenant: &str, registered: bool, schema: Option<&str>) -> Result<(), Self> {
        match (registered, schema) {
            (false, None) => Ok(()),
            (true, Some(_)) => Err(Self::refusing(format!("`{tenant}` already exists"))),
            (false, Some(schema)) => {
                Err(Self::unproved(format!("{schema} exists, but the registry does not contain `{tenant}`")))
            }
            (true, None) => Err(Self::unproved(format!(
                "the registry already contains `{tenant}`, but its schema does not exist"
            ))),
        }
    }
}

impl From<DatabaseError> for ApplyError {
    fn from(error: DatabaseError) -> Self {
        let refused = matches!(error, DatabaseError::Never(_));
        let of = Self::of(error.into_cause());
        if refused { Self { end: ApplyEnd::Refused, ..of } } else { of }
    }
}

impl From<DatabaseError> for ProvisionError {
    fn from(error: DatabaseError) -> Self {
        ApplyError::from(error).into()
    }
}

impl From<ApplyError> for ProvisionError {
    fn from(error: ApplyError) -> Self {
        let refused = error.end == ApplyEnd::Refused;
        Self { why: error.why, migration: error.migration, place: error.place, left: None, refused }
    }
}

/// The state of the lock that a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockState {
    Held,
    /// With a description.
    Lost(String),
}

/// Whether a run shares the lock with other runs in shared mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockMode {
    Exclusive,
    Shared,
}

/// A session of a run that no longer holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrphanedBackend {
    pub(crate) name: String,
    /// It belongs to Portcullis itself and changes nothing without its schema's lock.
    pub(crate) fenced: bool,
}
