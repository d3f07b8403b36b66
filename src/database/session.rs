//! The session that holds a run's lock, on either engine. The lock ends with the session at the latest.
//!
//! Every operation has a time limit: the caller's or the database's.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::{DatabaseError, LockMode, LockState, OrphanedBackend, postgres, sqlite};
use crate::deadline::Deadline;

/// Proof that this run has acquired the lock. Only the session that acquired the lock returns it.
#[derive(Debug)]
pub(crate) struct LockProof(());

/// Acquires and holds the lock.
#[derive(Debug)]
pub(crate) enum LockSession {
    Postgres(Box<postgres::lock::Session>),
    Sqlite(sqlite::lock::Session),
}

impl LockSession {
    /// Tries once. Returns the proof, or a description of the current holder.
    pub(crate) async fn try_acquire(
        &mut self,
        mode: LockMode,
        limit: Duration,
    ) -> Result<Result<LockProof, String>, DatabaseError> {
        let holder = match self {
            Self::Postgres(session) => session.try_acquire(mode, limit).await?,
            Self::Sqlite(session) => session.try_acquire(mode, limit).await?,
        };
        Ok(holder.map_or(Ok(LockProof(())), Err))
    }

    /// Waits until a holder releases the lock or the time is up.
    pub(crate) async fn until_free(&mut self, at_most: Duration) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(session) => session.until_free(at_most).await,
            Self::Sqlite(_) => {
                Deadline::after(at_most).passed().await;
                Ok(())
            }
        }
    }

    /// Stays pending until the session is known to have failed, then returns the reason. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        match self {
            Self::Postgres(session) => session.ended().await,
            Self::Sqlite(_) => std::future::pending().await,
        }
    }

    /// Whether this session still holds the lock. An error leaves that open.
    pub(crate) async fn check(&mut self, limit: Duration) -> Result<LockState, DatabaseError> {
        match self {
            Self::Postgres(session) => session.check(limit).await,
            Self::Sqlite(session) => session.check(limit).await,
        }
    }

    /// The same check over another connection while this session does not respond.
    pub(crate) fn witness(
        &self,
        limit: Duration,
    ) -> LocalBoxFuture<'static, Result<LockState, DatabaseError>> {
        match self {
            Self::Postgres(session) => Box::pin(session.witness(limit)),
            // The operating system's lock on an open file ends with this process, even while the file system does not
            // respond.
            Self::Sqlite(_) => Box::pin(std::future::ready(Ok(LockState::Held))),
        }
    }

    /// Ends and returns the orphaned backends of runs that no longer hold the lock.
    pub(crate) async fn end_orphaned_backends(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        match self {
            Self::Postgres(session) => session.end_orphaned_backends(limit).await,
            Self::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// The runs that vanished without releasing the lock while their programs could have sessions.
    pub(crate) async fn vanished_runs(&mut self, limit: Duration) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Postgres(session) => session.vanished_runs(limit).await,
            Self::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// Deletes the records of these runs.
    pub(crate) async fn forget_runs(
        &mut self,
        runs: &[String],
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(session) => session.forget_runs(runs, limit).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Tries to acquire tenants' own locks and returns for each whether it was free.
    pub(crate) async fn acquire_tenants(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<Vec<bool>, DatabaseError> {
        match self {
            Self::Postgres(session) => session.acquire_schemas(names, limit).await,
            Self::Sqlite(_) => Err(DatabaseError::Failed("only PostgreSQL has a lock per tenant".into())),
        }
    }

    /// Releases tenants' own locks.
    pub(crate) async fn release_tenants(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(session) => session.release_schemas(names, limit).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Releases all locks that it holds. `programs_ended`: no program that ran under the lock is alive.
    pub(crate) async fn release_lock(
        &mut self,
        limit: Duration,
        programs_ended: bool,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(session) => session.release_lock(limit, programs_ended).await,
            Self::Sqlite(session) => {
                session.release_lock();
                Ok(())
            }
        }
    }
}
