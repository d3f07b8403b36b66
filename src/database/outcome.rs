//! The results of database operations: values with their reasons as text.

use super::MigrationFile;
use crate::{
    cause::{Cause, Kind, Unavailable},
    config::{CloudService, Password},
    failure::{Cleanup, Failure},
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

impl From<ProvisionState> for RecoveryResult {
    fn from(state: ProvisionState) -> Self {
        match state {
            ProvisionState::Absent | ProvisionState::Complete => Self::Removed,
            ProvisionState::Unproven(why) => Self::Unproven(why),
        }
    }
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

    /// With the first line of the statement.
    pub(super) fn at_statement(self, statement: &str) -> Self {
        let text = format!("{}, at `{}`", self.why, statement.lines().next().unwrap_or_default());
        Self { why: self.why.with_text(text), ..self }
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

    /// The server has refused the password; a pooler's code is that of a protocol error.
    pub(super) fn is_refused_password(&self) -> bool {
        let Self::Never(why) = self else { return false };
        why.kind == Kind::Authentication && matches!(why.sqlstate(), Some("28P01" | "28000" | "08P01"))
    }

    /// The same error; a refused token of a cloud has its own kind.
    pub(super) fn of_token(mut self, password: &Password) -> Self {
        if let (true, Self::Never(why), Password::Cloud(cloud)) =
            (self.is_refused_password(), &mut self, password)
        {
            why.kind = match cloud.service {
                CloudService::AwsRds { .. } => Kind::RdsToken,
                CloudService::GcpCloudSql => Kind::CloudSqlToken,
                CloudService::Azure { .. } => Kind::AzureToken,
            };
        }
        self
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

impl From<Unavailable> for DatabaseError {
    fn from(why: Unavailable) -> Self {
        match why {
            Unavailable::Temporary(why) => Self::NotYet(why),
            Unavailable::Permanent(why) => Self::Never(why),
        }
    }
}

impl From<Unavailable> for Attempt {
    fn from(why: Unavailable) -> Self {
        match why {
            Unavailable::Temporary(why) => Self::NotYet(why),
            Unavailable::Permanent(why) => Self::Never(why),
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

    /// No registry is configured.
    pub(super) fn unregistrable() -> Self {
        Self::refusing("no registry is configured: the tenant has no table to be registered in")
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
