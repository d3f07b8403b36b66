//! The pool of connections for changes. It is open while the run holds the lock: a login costs more than most operations.

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;

/// A server process never frees its cache of each schema's tables: a connection is closed when the released ones together
/// have this much in their caches. The unit is the part that the changes of one replayed migration need.
pub(super) const CACHED_PER_CLOSE: u32 = 200;
pub(super) const CACHED_BY_REPLAY: u32 = 1;
/// By every other use, which may create a schema.
pub(super) const CACHED_BY_USE: u32 = 4;

/// None while the pool is closed.
#[derive(Debug, Clone, Default)]
pub(super) struct WriterPool(Arc<Mutex<Option<IdleConnections>>>);

/// The connections that are not in use.
#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    pub(super) connections: Vec<Connection>,
    /// Since a connection was closed.
    pub(super) cached: u32,
}

impl WriterPool {
    /// Opens the pool.
    pub(super) fn open(&self) {
        self.with(|idle| *idle = Some(IdleConnections::default()));
    }

    /// Closes the pool and its idle connections.
    pub(super) async fn close(&self) {
        for connection in self.with(Option::take).unwrap_or_default().connections {
            connection.close().await;
        }
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Option<IdleConnections>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
