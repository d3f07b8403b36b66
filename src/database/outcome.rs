//! What operations on a database come to, as values with their reasons in words.

use super::MigrationFile;
use crate::{
    cause::{Cause, Kind},
    failure::{Cleanup, Failure},
    tenants::manifest::{Kind as TableKind, Kinds, Tables},
};

/// What became of one attempt to log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    Ready,
    /// May be different in a moment: refused, unresolvable, starting up, too many connections.
    NotYet(String),
    /// Trying again will not help: wrong password, missing database, bad certificate.
    Never(String),
}

/// Why an operation came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// Could not connect, and a later attempt might.
    #[error("{0}")]
    NotYet(Cause),
    /// Could not connect, and no later attempt will.
    #[error("{0}")]
    Never(Cause),
    #[error("{0}")]
    Failed(Cause),
    #[error("it ran out of time")]
    TimedOut,
}

/// What was applied, by the names that people call the migrations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) migrations: Vec<String>,
}

/// Why one schema's migrations were not all applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ApplyError {
    pub(crate) end: ApplyEnd,
    /// The migration that failed; None if none was begun.
    pub(crate) migration: Option<String>,
    /// `file:line`, or the file alone.
    pub(crate) place: Option<String>,
    pub(crate) why: Cause,
    /// Applied and kept before the failure.
    pub(crate) applied: Vec<String>,
}

/// How the attempt ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ApplyEnd {
    /// It was rolled back.
    #[default]
    Failed,
    /// The ledger now says that a migration is half done.
    Dirty,
    /// Authentication, a missing database and their like: trying again will not help.
    Refused,
    /// The connection ended or is silent, and it is not known what became of the transaction.
    Lost,
    /// A lock was not released in time, at each of several attempts.
    LockTimeout,
    /// Another run holds the schema's own lock: it is migrating it.
    HeldByOther,
}

/// Why a tenant was not provisioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ProvisionError {
    pub(crate) why: Cause,
    pub(crate) migration: Option<String>,
    pub(crate) place: Option<String>,
    /// None if that is to be asked: see `Database::undo`.
    pub(crate) left: Option<Cleanup>,
    pub(crate) refused: bool,
}

/// What an attempt to make a tenant came to, looked at afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProvisionState {
    /// Nothing is left of it.
    Absent,
    /// The tenant is whole: only the answer was lost.
    Complete,
    /// In words.
    Unproven(String),
}

/// One thing that a killed run had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recovered {
    pub(crate) tenant: String,
    /// When and by which run it was begun.
    pub(crate) started_by: String,
    pub(crate) result: RecoveryResult,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecoveryResult {
    Removed,
    /// Nothing proves whose it is.
    Unproven(String),
    /// It could not be removed now, and is tried again by whoever comes next.
    Failed(String),
}

/// The tables that migrations make, each with its columns, and what of them is something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableSet {
    pub(crate) tables: Tables,
    pub(crate) kinds: Kinds,
}

impl TableSet {
    /// One column of one of them, if it has any.
    pub(super) fn note(&mut self, table: String, kind: TableKind, column: Option<String>) {
        if kind != TableKind::Table {
            self.kinds.insert(table.clone(), kind);
        }
        self.tables.entry(table).or_default().extend(column);
    }
}

/// What the migrations make where nothing was before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) shared: TableSet,
    pub(crate) tenant: TableSet,
}

impl ApplyError {
    /// An error that belongs to no file.
    pub(super) fn of(why: impl Into<Cause>) -> Self {
        let why = why.into();
        let end = match why.kind {
            Kind::Lost | Kind::Silent => ApplyEnd::Lost,
            Kind::Locked => ApplyEnd::LockTimeout,
            _ => ApplyEnd::Failed,
        };
        Self { end, why, ..Self::default() }
    }

    /// Of a file, at a line of it if that is known.
    pub(super) fn at(self, file: &MigrationFile, line: Option<usize>) -> Self {
        let path = file.path.display();
        let place = line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
        Self { migration: Some(file.name()), place: Some(place), ..self }
    }

    pub(super) fn is_locked(&self) -> bool {
        matches!(self.end, ApplyEnd::LockTimeout | ApplyEnd::HeldByOther)
    }

    /// In words that hold the place.
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
    /// The failure of an operation that is not the gate's.
    pub(crate) fn into_failure(self, doing: &str) -> Failure {
        match self {
            Self::Never(why) => Failure::Refused { what: "the database".into(), why },
            other => Failure::Database { what: doing.into(), why: other.into_cause() },
        }
    }

    pub(crate) fn into_cause(self) -> Cause {
        match self {
            Self::NotYet(why) | Self::Never(why) | Self::Failed(why) => why,
            Self::TimedOut => Cause::new(Kind::Silent, Self::TimedOut.to_string()),
        }
    }

    /// The same error, said in other words.
    pub(super) fn with_text(self, words: impl FnOnce(&Cause) -> String) -> Self {
        let word = |why: Cause| {
            let text = words(&why);
            why.with_text(text)
        };
        match self {
            Self::NotYet(why) => Self::NotYet(word(why)),
            Self::Never(why) => Self::Never(word(why)),
            Self::Failed(why) => Self::Failed(word(why)),
            Self::TimedOut => Self::TimedOut,
        }
    }
}

impl ProvisionError {
    /// Nothing was begun.
    pub(super) fn refusing(why: impl Into<Cause>) -> Self {
        Self { why: why.into(), left: Some(Cleanup::NothingCreated), ..Self::default() }
    }

    /// What stands there is a killed run's, and could not be removed yet.
    pub(super) fn later(why: impl Into<Cause>) -> Self {
        Self { why: why.into(), left: Some(Cleanup::Deferred), ..Self::default() }
    }

    /// What stands there may be anybody's.
    pub(super) fn unproved(why: impl Into<Cause>) -> Self {
        Self { why: why.into(), left: Some(Cleanup::Unproven), ..Self::default() }
    }

    /// Nothing that exists before is adopted: `schema` is the schema or the file of the tenant.
    pub(super) fn if_exists(tenant: &str, registered: bool, schema: Option<&str>) -> Result<(), Self> {
        match (registered, schema) {
            (false, None) => Ok(()),
            (true, Some(_)) => Err(Self::refusing(format!("`{tenant}` exists already"))),
            (false, Some(schema)) => {
                Err(Self::unproved(format!("{schema} exists, and the registry does not name `{tenant}`")))
            }
            (true, None) => Err(Self::unproved(format!(
                "the registry names `{tenant}` already, and its schema is not there"
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

/// What is known of the lock that a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockState {
    Held,
    /// In words.
    Lost(String),
}

/// Whether a run shares the lock with others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockMode {
    Exclusive,
    Shared,
}

/// A session that a run has left behind which no longer holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrphanedBackend {
    pub(crate) name: String,
    /// It is our own, and changes nothing without its schema's lock.
    pub(crate) fenced: bool,
}
