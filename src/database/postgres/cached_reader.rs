//! The connection of the last look, kept for the next one: steps look one after another, and a login costs more than the
//! look at a hundred tenants. Whoever only waits keeps none.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::connection::Connection;
use tokio::{task::AbortHandle, time};

/// Shorter than the pause between two looks of one that waits.
const KEEP: Duration = Duration::from_millis(500);

/// None while none is kept; else with the task that ends it.
#[derive(Debug, Clone, Default)]
pub(super) struct CachedReader(Arc<Mutex<Option<(Connection, AbortHandle)>>>);

impl CachedReader {
    /// The one that is kept, if it still answers.
    pub(super) async fn take(&self) -> Option<Connection> {
        let (mut connection, end) = self.replace(None)?;
        end.abort();
        connection.is_alive().await.then_some(connection)
    }

    /// Keeps one on which nothing was done that could stay.
    pub(super) fn keep(&self, connection: Connection) {
        let place = self.clone();
        let end = tokio::spawn(async move {
            time::sleep(KEEP).await;
            if let Some((connection, _)) = place.replace(None) {
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
