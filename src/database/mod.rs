//! All SQL of the product: inspection, the lock, migrations, provisioning. It makes no verdicts.
//!
//! A [`Database`] is a handle. It returns results in the types of `tenants`, and errors as values with a description.

mod creation;
mod derived;
mod engine;
pub(crate) mod examined;
pub(crate) mod file_headers;
pub(crate) mod history;
mod lock_state;
pub(crate) mod migrations;
mod notices;
mod outcome;
mod pending;
mod postgres;
mod registry_rows;
mod request;
pub(crate) mod restorable;
mod segments;
mod session;
mod sql_lexer;
pub(crate) mod sql_locks;
mod sqlite;
pub(crate) mod template;

use std::{ops::Deref, rc::Rc, time::Duration};

#[cfg(any(test, fuzzing))]
pub(crate) use self::postgres::read_checked;
pub(crate) use self::{
    creation::{Column, CommitMarker, Creation, NewDomain, RegistryRow, nonce},
    derived::{Derived, TableSet},
    lock_state::{DatabaseLock, LockHolder, LockMode, LockState, OrphanedBackend},
    migrations::{MigrationFile, resolve},
    notices::{NoticeSender, Notices, channel as notice_channel},
    outcome::{
        Applied, ApplyEnd, ApplyError, Attempt, Blocker, DatabaseError, Intent, ProvisionError,
        ProvisionState, Recovered, RecoveryResult,
    },
    request::{InspectRequest, Limits, NO_PROGRESS, ProvisionRequest, Schema},
    session::{LockProof, LockSession},
};
use self::{
    engine::Engine,
    history::{Author, Deed, Entry, Run},
};
use crate::{config, deadline::Deadline, tenants::inspection::Inspection};

/// For one read or write of the history.
const HISTORY_TIMEOUT: Duration = Duration::from_secs(5);
/// For a read that decides what the run does, which also waits for a free connection.
const DECISION_TIMEOUT: Duration = Duration::from_secs(65);

/// The configured database. It dereferences to its engine; the methods here add a time limit.
#[derive(Debug, Clone)]
pub(crate) struct Database(Rc<dyn Engine>);

impl Deref for Database {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl Database {
    /// Does no I/O. The sessions that make changes carry the run's id.
    pub(crate) fn new(config: &config::Database, registry: Option<&config::Registry>, run: &str) -> Self {
        Self(match config {
            config::Database::Postgres(config) => {
                match registry.and_then(|registry| Some((registry, registry.database.as_ref()?))) {
                    Some((registry, database)) => {
                        Rc::new(postgres::TenantDatabases::new(config, registry, database, run))
                    }
                    None => Rc::new(postgres::Postgres::new(config, registry, run)),
                }
            }
            config::Database::Sqlite(config) => Rc::new(sqlite::Sqlite::new(config, registry)),
        })
    }

    /// One login and one trivial query.
    pub(crate) async fn ping(&self) -> Attempt {
        match self.0.ping().await {
            Ok(()) => Attempt::Ready,
            Err(DatabaseError::Never(why)) => Attempt::Never(why),
            Err(other) => Attempt::NotYet(other.into_cause()),
        }
    }

    pub(crate) async fn inspect(&self, request: &InspectRequest<'_>) -> Result<Inspection, DatabaseError> {
        within(request.timeout, self.0.inspect(request)).await
    }

    pub(crate) async fn run_sql(
        &self,
        sql: &str,
        timeout: Duration,
        locked: Option<&LockProof>,
        notices: NoticeSender,
    ) -> Result<(), DatabaseError> {
        within(timeout, self.0.run_sql(sql, timeout, locked.is_some(), notices)).await
    }

    pub(crate) async fn write_history(&self, run: &str, entries: &[Entry]) -> Result<(), DatabaseError> {
        within(HISTORY_TIMEOUT, self.0.write_history(run, entries)).await
    }

    pub(crate) async fn read_history(&self, limit: u32, with_parts: bool) -> Result<Vec<Run>, DatabaseError> {
        within(HISTORY_TIMEOUT, self.0.read_history(limit, with_parts)).await
    }

    pub(crate) async fn author(&self, deed: Deed<'_>) -> Result<Option<Author>, DatabaseError> {
        within(DECISION_TIMEOUT, self.0.author(deed)).await
    }

    pub(crate) async fn serving(&self) -> Result<Option<history::Serving>, DatabaseError> {
        within(DECISION_TIMEOUT, self.0.serving()).await
    }

    /// The lock's holder, if it has one. On a server, the check acquires the lock for a moment.
    pub(crate) async fn probe_lock(&self, run: &str) -> Result<Option<LockHolder>, DatabaseError> {
        if !self.capabilities().server {
            return self.lock_holder().await;
        }
        let mut session = self.lock_session(run, HISTORY_TIMEOUT).await?;
        let holder = session.try_acquire(LockMode::Exclusive, HISTORY_TIMEOUT).await?.err();
        session.release_lock(HISTORY_TIMEOUT, false).await?;
        Ok(holder)
    }
}

async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    Deadline::after(timeout).limit(work).await.unwrap_or(Err(DatabaseError::TimedOut))
}
