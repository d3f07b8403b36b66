//! The handle of one PostgreSQL database: where the server and its registry are, and what is known of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{cached_reader::CachedReader, connection_pool::WriterPool};
use crate::{config, frameworks::sql, tenants::ledger::LedgerLayout};

/// The ledger that this program writes; another framework's is only read.
pub(super) const LEDGER: LedgerLayout = sql::SHAPE;

/// The SQLSTATE of a statement that ran longer than its time-out.
pub(super) const QUERY_CANCELED: &str = "57014";

/// Where the server is and how to log in, and where the registry stands.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(super) config: config::Postgres,
    pub(super) registry: Option<config::Registry>,
    /// The id of the run that changes something; empty if there is none.
    pub(super) run: String,
    /// Whether there is a pooler in transaction mode before the server; known once the lock was asked for.
    pub(super) pooled: Arc<AtomicBool>,
    pub(super) writer_pool: WriterPool,
    pub(super) cached_reader: CachedReader,
}

impl Postgres {
    pub(crate) fn new(config: &config::Postgres, registry: Option<&config::Registry>, run: &str) -> Self {
        Self {
            config: config.clone(),
            registry: registry.cloned(),
            run: run.to_owned(),
            pooled: Arc::default(),
            writer_pool: WriterPool::default(),
            cached_reader: CachedReader::default(),
        }
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    pub(super) fn found_pooled(&self, pooled: bool) {
        self.pooled.store(pooled, Ordering::Relaxed);
    }

    /// Past a pooler: for everything that changes something.
    pub(super) fn direct(&self) -> &config::Postgres {
        self.config.direct.as_deref().unwrap_or(&self.config)
    }

    /// As the role that may only read, if there is one.
    pub(super) fn reader(&self) -> &config::Postgres {
        self.config.reader.as_deref().unwrap_or(&self.config)
    }
}
