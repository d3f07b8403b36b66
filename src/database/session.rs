//! The session that holds a run's lock. The lock ends with the session at the latest. The table below declares each
//! operation once, as in `engine`.
//!
//! Every operation has a time limit: the caller's or the database's.

#![expect(
    clippy::elidable_lifetime_names,
    reason = "one table makes methods with and without borrowed arguments"
)]

use std::{
    fmt,
    future::{pending, ready},
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures_util::future::LocalBoxFuture;

use super::{DatabaseError, LockHolder, LockMode, LockState, OrphanedBackend, postgres, sqlite};
use crate::deadline::Deadline;

/// Proof that this run has acquired the lock. Only the session that acquired the lock returns it.
#[derive(Debug)]
pub(crate) struct LockProof(());

/// Acquires and holds the lock. It dereferences to the engine's session.
#[derive(Debug)]
pub(crate) struct LockSession(Box<dyn Session>);

impl LockSession {
    pub(super) fn new(session: impl Session + 'static) -> Self {
        Self(Box::new(session))
    }

    /// Tries once. Returns the proof, or the current holder.
    pub(crate) async fn try_acquire(
        &mut self,
        mode: LockMode,
        limit: Duration,
    ) -> Result<Result<LockProof, LockHolder>, DatabaseError> {
        let holder = self.0.try_acquire(mode, limit).await?;
        Ok(holder.map_or(Ok(LockProof(())), Err))
    }
}

impl Deref for LockSession {
    type Target = dyn Session;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl DerefMut for LockSession {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_mut()
    }
}

/// Operations of `server` name the result of an engine whose lock is the operating system's lock on a file.
macro_rules! session {
    (
        every { $($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)* }
        server { $($(#[$server_doc:meta])* fn $server_name:ident($($server_arg:ident: $server_type:ty),*) -> $server_answer:ty = $none:expr;)* }
    ) => {
        pub(crate) trait Session: fmt::Debug {
            $($(#[$doc])* fn $name<'a>(&'a mut self, $($arg: $type),*) -> LocalBoxFuture<'a, $answer>;)*
            $($(#[$server_doc])* fn $server_name<'a>(&'a mut self, $($server_arg: $server_type),*) -> LocalBoxFuture<'a, $server_answer> {
                Box::pin(async move {
                    $(let _ = $server_arg;)*
                    $none
                })
            })*
            /// The same check over another connection while this session does not respond. The operating system's lock
            /// on an open file ends with this process, even while the file system does not respond.
            fn witness(&self, _: Duration) -> LocalBoxFuture<'static, Result<LockState, DatabaseError>> {
                Box::pin(ready(Ok(LockState::Held)))
            }
        }

        impl Session for postgres::lock::Session {
            $(fn $name<'a>(&'a mut self, $($arg: $type),*) -> LocalBoxFuture<'a, $answer> { Box::pin(self.$name($($arg),*)) })*
            $(fn $server_name<'a>(&'a mut self, $($server_arg: $server_type),*) -> LocalBoxFuture<'a, $server_answer> { Box::pin(self.$server_name($($server_arg),*)) })*
            fn witness(&self, limit: Duration) -> LocalBoxFuture<'static, Result<LockState, DatabaseError>> { Box::pin(self.witness(limit)) }
        }

        impl Session for postgres::DatabasesSession {
            $(fn $name<'a>(&'a mut self, $($arg: $type),*) -> LocalBoxFuture<'a, $answer> { Box::pin(self.0.$name($($arg),*)) })*
            $(fn $server_name<'a>(&'a mut self, $($server_arg: $server_type),*) -> LocalBoxFuture<'a, $server_answer> { Box::pin(self.0.$server_name($($server_arg),*)) })*
            fn witness(&self, limit: Duration) -> LocalBoxFuture<'static, Result<LockState, DatabaseError>> { Box::pin(self.0.witness(limit)) }
        }

        impl Session for sqlite::lock::Session {
            $(fn $name<'a>(&'a mut self, $($arg: $type),*) -> LocalBoxFuture<'a, $answer> { Box::pin(self.$name($($arg),*)) })*
        }
    };
}

session! {
    every {
        /// Tries once. Returns the current holder; None if this session now holds the lock.
        fn try_acquire(mode: LockMode, limit: Duration) -> Result<Option<LockHolder>, DatabaseError>;
        /// Whether this session still holds the lock. An error leaves that open.
        fn check(limit: Duration) -> Result<LockState, DatabaseError>;
        /// Releases all locks that it holds. `programs_ended`: no program that ran under the lock is alive.
        fn release_lock(limit: Duration, programs_ended: bool) -> Result<(), DatabaseError>;
    }
    server {
        /// Waits until a holder releases the lock or the time is up.
        fn until_free(at_most: Duration) -> Result<(), DatabaseError> = {
            Deadline::after(at_most).passed().await;
            Ok(())
        };
        /// Stays pending until the session is known to have failed, then returns the reason. Cancel safe.
        fn ended() -> String = pending().await;
        /// Ends and returns the orphaned backends of runs that no longer hold the lock.
        fn end_orphaned_backends(limit: Duration) -> Result<Vec<OrphanedBackend>, DatabaseError> = Ok(Vec::new());
        /// The runs that vanished without releasing the lock while their programs could have sessions.
        fn vanished_runs(limit: Duration) -> Result<Vec<String>, DatabaseError> = Ok(Vec::new());
        /// Deletes the records of these runs.
        fn forget_runs(runs: &'a [String], limit: Duration) -> Result<(), DatabaseError> = Ok(());
        /// Tries to acquire tenants' own locks and returns for each whether it was free.
        fn acquire_tenants(names: &'a [String], limit: Duration) -> Result<Vec<bool>, DatabaseError> =
            Err(DatabaseError::Failed("only PostgreSQL has a lock per tenant".into()));
        /// Releases tenants' own locks.
        fn release_tenants(names: &'a [String], limit: Duration) -> Result<(), DatabaseError> = Ok(());
    }
}
