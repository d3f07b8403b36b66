//! The handle of one PostgreSQL database: its configuration, its connections and its known properties.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{cached_reader::CachedReader, connection_pool::WriterPool};
use crate::{config, frameworks::sql, tenants::ledger::LedgerLayout};

/// The ledger that Portcullis writes; it only reads the ledgers of other frameworks.
pub(super) const LEDGER: LedgerLayout<'static> = sql::SHAPE;

/// The SQLSTATE of a statement that timed out.
pub(super) const QUERY_CANCELED: &str = "57014";

/// The server, the login and the registry.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(super) config: config::Postgres,
    pub(super) registry: Option<config::Registry>,
    /// The id of the run that makes changes; empty if no run does.
    pub(super) run: String,
    /// Whether a pooler in transaction mode is in front of the server; known after the first lock session.
    pub(super) pooled: Arc<AtomicBool>,
    /// Whether [`super::lock`] has a record of this run's programs.
    pub(super) programs: Arc<AtomicBool>,
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
            programs: Arc::default(),
            writer_pool: WriterPool::default(),
            cached_reader: CachedReader::default(),
        }
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    pub(super) fn set_pooled(&self, pooled: bool) {
        self.pooled.store(pooled, Ordering::Relaxed);
    }

    /// The configuration that bypasses a pooler, for all changes.
    pub(super) fn direct(&self) -> &config::Postgres {
        self.config.direct.as_deref().unwrap_or(&self.config)
    }

    /// The configuration of the read-only role, if one is configured.
    pub(super) fn reader(&self) -> &config::Postgres {
        self.config.reader.as_deref().unwrap_or(&self.config)
    }
}
