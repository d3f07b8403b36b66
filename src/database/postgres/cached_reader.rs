//! Caches the connection of the last inspection for the next one: a login costs more than the inspection of a hundred
//! tenants.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::AbortHandle;

use super::connection::Connection;
use crate::deadline::Deadline;

/// Shorter than the pause between two attempts of a wait, so that a wait caches no connection.
const LIFETIME: Duration = Duration::from_millis(500);

/// None without a cached connection; otherwise the connection and the task that closes it.
#[derive(Debug, Clone, Default)]
pub(super) struct CachedReader(Arc<Mutex<Option<(Connection, AbortHandle)>>>);

impl CachedReader {
    /// Removes and returns the cached connection if it still responds.
    pub(super) async fn take(&self) -> Option<Connection> {
        let (mut connection, end) = self.replace(None)?;
        end.abort();
        connection.is_alive().await.then_some(connection)
    }

    /// Caches a connection that carries no session state.
    pub(super) fn put(&self, connection: Connection) {
        let cache = self.clone();
        let end = tokio::spawn(async move {
            Deadline::after(LIFETIME).passed().await;
            if let Some((connection, _)) = cache.replace(None) {
                connection.close().await;
            }
        });
        if let Some((_, end)) = self.replace(Some((connection, end.abort_handle()))) {
            end.abort();
        }
    }

    fn replace(&self, by: Option<(Connection, AbortHandle)>) -> Option<(Connection, AbortHandle)> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), by)
    }
}
