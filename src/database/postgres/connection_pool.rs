//! The pool of connections for changes. It is open while the run holds the lock: a login costs more than most operations.

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;

/// Every 50th released connection is closed, because a server process never frees its cache of each schema's tables.
pub(super) const RELEASES_PER_CLOSE: u32 = 50;

/// None while the pool is closed.
#[derive(Debug, Clone, Default)]
pub(super) struct WriterPool(Arc<Mutex<Option<IdleConnections>>>);

/// The connections that are not in use.
#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    pub(super) connections: Vec<Connection>,
    pub(super) released: u32,
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
