//! Connections for changes, kept from one operation to the next for as long as the run holds the lock: a login costs more than
//! most of what is done after it.

use std::sync::{Arc, Mutex, PoisonError};

use super::connection::Connection;

/// A server process never gives back what it caches of each schema's tables, so every so manieth that is given back ends.
pub(super) const USES: u32 = 50;

/// None while none is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct WriterPool(Arc<Mutex<Option<IdleConnections>>>);

/// Those that nobody uses just now.
#[derive(Debug, Default)]
pub(super) struct IdleConnections {
    pub(super) connections: Vec<Connection>,
    pub(super) released: u32,
}

impl WriterPool {
    /// From now on they are kept.
    pub(super) fn begin(&self) {
        self.with(|writer_pool| *writer_pool = Some(IdleConnections::default()));
    }

    /// From now on none is, and those that there are end.
    pub(super) async fn end(&self) {
        for connection in self.with(Option::take).unwrap_or_default().connections {
            connection.close().await;
        }
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Option<IdleConnections>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
