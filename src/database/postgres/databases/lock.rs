//! The session with the run's lock: that of `[database]`, which also ends orphaned backends in tenants' databases.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    time::Duration,
};

use super::Router;
use crate::{
    config,
    database::{
        DatabaseError, OrphanedBackend,
        postgres::{
            connect,
            lock::{self, orphaned_backends},
            read_only::Reading,
        },
        registry_rows::RegistryRows,
    },
    deadline::Deadline,
    tenants::manifest::Kind,
};

/// For the registry.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The lock session of a registry whose tenants have their own databases.
#[derive(Debug)]
pub(crate) struct Session(pub(crate) HomeSession);

/// It dereferences to the session of `[database]` for everything else.
#[derive(Debug)]
pub(crate) struct HomeSession {
    home: lock::Session,
    /// Each server with a connection to one of its databases, and the tenants' databases on it.
    servers: BTreeMap<String, (config::Postgres, Vec<String>)>,
}

impl Deref for HomeSession {
    type Target = lock::Session;

    fn deref(&self) -> &lock::Session {
        &self.home
    }
}

impl DerefMut for HomeSession {
    fn deref_mut(&mut self) -> &mut lock::Session {
        &mut self.home
    }
}

impl HomeSession {
    /// Ends and returns the orphaned backends of runs that no longer hold the lock, in every database.
    pub(crate) async fn end_orphaned_backends(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        let mut all = self.home.end_orphaned_backends(limit).await?;
        let holders = self.home.holders(limit).await?;
        for (server, (config, databases)) in &self.servers {
            let ended = async {
                let mut connection = connect::connect(config).await?;
                let ended = orphaned_backends::end_elsewhere(&mut connection, databases, &holders).await;
                connection.close().await;
                Ok::<_, DatabaseError>(ended?)
            };
            match Deadline::after(limit).limit(ended).await.unwrap_or(Err(DatabaseError::TimedOut)) {
                Ok(ended) => all.extend(ended),
                // This run cannot change its tenants either, and does not hold up those of other servers.
                Err(why) => tracing::debug!(%server, %why, "cannot end orphaned backends"),
            }
        }
        Ok(all)
    }
}

impl Router {
    pub(crate) async fn lock_session(&self, run: &str, silence: Duration) -> Result<Session, DatabaseError> {
        let home = self.home.lock_session(run, silence).await?;
        Ok(Session(HomeSession { home, servers: self.servers().await? }))
    }

    /// Ends the sessions that a run's programs have left open, in every database.
    pub(crate) async fn end_programs(&self, run: &str) -> Result<(), DatabaseError> {
        self.home.end_programs(run).await?;
        for (config, databases) in self.servers().await?.into_values() {
            let mut connection = connect::connect(&config).await?;
            let ended = orphaned_backends::end_programs(&mut connection, &databases, run).await;
            connection.close().await;
            ended?;
        }
        Ok(())
    }

    /// Every tenant's location; none before the registry exists.
    pub(super) async fn all_locations(&self) -> Result<BTreeMap<String, String>, DatabaseError> {
        let mut reading = Reading::open(self.home.direct(), TIMEOUT).await?;
        let exists = !reading.rows(&self.home.registry_exists(&self.registry)).await?.is_empty();
        let rows = if exists {
            self.home.read_registry(&mut reading, &self.registry, Kind::Table, None).await
        } else {
            Ok(RegistryRows::default())
        };
        reading.close().await;
        Ok(rows?.locations)
    }

    /// The servers of the registry's tenants.
    async fn servers(&self) -> Result<BTreeMap<String, (config::Postgres, Vec<String>)>, DatabaseError> {
        let mut servers: BTreeMap<String, (config::Postgres, Vec<String>)> = BTreeMap::new();
        for location in self.all_locations().await?.into_values() {
            // The gate reports a location that is not valid.
            let Ok(config) = self.home.config.of_tenant(&location) else { continue };
            let direct = config.direct.as_deref().unwrap_or(&config).clone();
            let name = direct.name.clone();
            servers.entry(direct.address()).or_insert_with(|| (direct, Vec::new())).1.push(name);
        }
        Ok(servers)
    }
}
