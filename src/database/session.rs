//! The session of the lock on a run, whichever the engine. The lock ends with it at the latest.
//!
//! Every question gets a limit; where none is given, the database has its own.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::{DatabaseError, LockMode, LockState, OrphanedBackend, postgres, sqlite};

/// Proof that this run has acquired the lock. Only a session that took it gives one.
#[derive(Debug)]
pub(crate) struct LockProof(());

/// Waits for the lock, then holds it.
#[derive(Debug)]
pub(crate) enum LockSession {
    Postgres(Box<postgres::lock::Session>),
    Sqlite(sqlite::lock::Session),
}

impl LockSession {
    /// Tries once. The answer is the proof, or the present holder in words.
    pub(crate) async fn try_acquire(
        &mut self,
        share: LockMode,
        limit: Duration,
    ) -> Result<Result<LockProof, String>, DatabaseError> {
        let holder = match self {
            Self::Postgres(it) => it.try_acquire(share, limit).await?,
            Self::Sqlite(it) => it.try_acquire(share, limit).await?,
        };
        Ok(holder.map_or(Ok(LockProof(())), Err))
    }

    /// Until a holder lets go, or the time is up.
    pub(crate) async fn until_free(&mut self, at_most: Duration) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => it.until_free(at_most).await,
            Self::Sqlite(_) => {
                tokio::time::sleep(at_most).await;
                Ok(())
            }
        }
    }

    /// Pends as long as nothing is known to be wrong, and then says what is. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        match self {
            Self::Postgres(it) => it.ended().await,
            Self::Sqlite(_) => std::future::pending().await,
        }
    }

    /// Whether the lock is still held by this very session. An error says nothing of that.
    pub(crate) async fn check(&mut self, limit: Duration) -> Result<LockState, DatabaseError> {
        match self {
            Self::Postgres(it) => it.check(limit).await,
            Self::Sqlite(it) => it.check(limit).await,
        }
    }

    /// The same, asked in another way while the session itself is silent.
    pub(crate) fn witness(
        &self,
        limit: Duration,
    ) -> LocalBoxFuture<'static, Result<LockState, DatabaseError>> {
        match self {
            Self::Postgres(it) => Box::pin(it.witness(limit)),
            // The system's lock on an open file ends with this process, however long its file system says nothing.
            Self::Sqlite(_) => Box::pin(std::future::ready(Ok(LockState::Held))),
        }
    }

    /// Ends what runs that do not hold the lock have left in the database, and says what was there.
    pub(crate) async fn end_orphaned_backends(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.end_orphaned_backends(limit).await,
            Self::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// Takes tenants' own locks, and says for each whether it was free.
    pub(crate) async fn acquire_tenants(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<Vec<bool>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.acquire_schemas(names, limit).await,
            Self::Sqlite(_) => {
                Err(DatabaseError::Failed("tenants have locks of their own on PostgreSQL alone".into()))
            }
        }
    }

    /// Gives tenants' own locks back.
    pub(crate) async fn release_tenants(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => it.release_schemas(names, limit).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Lets go of all that it holds.
    pub(crate) async fn release_lock(&mut self, limit: Duration) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => it.release_lock(limit).await,
            Self::Sqlite(it) => {
                it.release_lock();
                Ok(())
            }
        }
    }
}
