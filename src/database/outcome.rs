//! What operations on a database come to, as values with their reasons in words.

use crate::{
    failure::Left,
    tenants::manifest::{Kind, Kinds, Tables},
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
    NotYet(String),
    /// Could not connect, and no later attempt will.
    #[error("{0}")]
    Never(String),
    #[error("{0}")]
    Failed(String),
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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that a caller asks for")]
pub(crate) struct ApplyError {
    /// The migration that failed; None if none was begun.
    pub(crate) migration: Option<String>,
    /// `file:line`, or the file alone.
    pub(crate) place: Option<String>,
    pub(crate) why: String,
    /// The ledger now says that a migration is half done.
    pub(crate) dirty: bool,
    /// Authentication, a missing database and their like: trying again will not help.
    pub(crate) refused: bool,
    /// The connection broke, and it is not known what became of the transaction.
    pub(crate) lost: bool,
    /// A lock was not had in time, at each of several attempts.
    pub(crate) locked: bool,
    /// The lock was the schema's own: another run is at work on it.
    pub(crate) taken: bool,
    /// Applied and kept before the failure.
    pub(crate) applied: Vec<String>,
}

/// Why a tenant was not provisioned.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct ProvisionError {
    pub(crate) why: String,
    pub(crate) migration: Option<String>,
    pub(crate) place: Option<String>,
    /// None if that is to be asked: see `Database::undo`.
    pub(crate) left: Option<Left>,
    pub(crate) refused: bool,
}

/// What an attempt to make a tenant came to, looked at afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Nothing is left of it.
    Nothing,
    /// The tenant is whole: only the answer was lost.
    Whole,
    /// In words.
    Unproved(String),
}

/// One thing that a killed run had left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) tenant: String,
    /// When and by which run it was begun.
    pub(crate) begun: String,
    pub(crate) became: Became,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Became {
    Removed,
    /// Nothing proves whose it is.
    Unproved(String),
    /// It could not be removed now, and is tried again by whoever comes next.
    Failed(String),
}

/// The tables that migrations make, each with its columns, and what of them is something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) tables: Tables,
    pub(crate) kinds: Kinds,
}

impl Made {
    /// One column of one of them, if it has any.
    pub(super) fn note(&mut self, table: String, kind: Kind, column: Option<String>) {
        if kind != Kind::Table {
            self.kinds.insert(table.clone(), kind);
        }
        self.tables.entry(table).or_default().extend(column);
    }
}

/// What the migrations make where nothing was before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) shared: Made,
    pub(crate) tenant: Made,
}

impl ApplyError {
    /// An error that belongs to no file.
    pub(super) fn saying(why: &str) -> Self {
        Self { why: why.to_owned(), ..Self::default() }
    }

    /// In words that hold the place.
    pub(super) fn into_failed(self) -> DatabaseError {
        DatabaseError::Failed(match self.place {
            Some(place) => format!("{place}: {}", self.why),
            None => self.why,
        })
    }
}

impl ProvisionError {
    /// Nothing was begun.
    pub(super) fn refusing(why: impl Into<String>) -> Self {
        Self { why: why.into(), left: Some(Left::AsItWas), ..Self::default() }
    }

    /// What stands there is a killed run's, and could not be removed yet.
    pub(super) fn later(why: impl Into<String>) -> Self {
        Self { why: why.into(), left: Some(Left::Later), ..Self::default() }
    }

    /// What stands there may be anybody's.
    pub(super) fn unproved(why: impl Into<String>) -> Self {
        Self { why: why.into(), left: Some(Left::Unproved), ..Self::default() }
    }
}

impl From<DatabaseError> for ApplyError {
    fn from(error: DatabaseError) -> Self {
        Self { refused: matches!(error, DatabaseError::Never(_)), why: error.to_string(), ..Self::default() }
    }
}

impl From<ApplyError> for ProvisionError {
    fn from(error: ApplyError) -> Self {
        Self {
            why: error.why,
            migration: error.migration,
            place: error.place,
            left: None,
            refused: error.refused,
        }
    }
}

/// Whether a run shares the lock with others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    Alone,
    WithOthers,
}

/// A session that a run has left behind which no longer holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stray {
    pub(crate) name: String,
    /// It is our own, and changes nothing without its schema's lock.
    pub(crate) fenced: bool,
}
