//! The session with the run's lock: that of `[database]`, which also ends orphaned backends in tenants' databases.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    time::Duration,
};

use super::{Router, inspect::NO_DATABASE, of_database, server::MAINTENANCE};
use crate::{
    config,
    database::{
        ApplyError, DatabaseError, DatabaseLock, OrphanedBackend, Schema,
        postgres::{
            apply::TRANSACTION,
            connect,
            connection::Connection,
            lock::{self, orphaned_backends},
            read_only::Reading,
            run_migration::{self, Lifetime},
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

/// By address.
pub(super) type Servers = BTreeMap<String, TenantServer>;

/// A server with databases of tenants.
#[derive(Debug)]
pub(super) struct TenantServer {
    /// The configuration of its first database.
    pub(super) config: config::Postgres,
    /// By role: the configuration of one of its databases.
    roles: BTreeMap<String, config::Postgres>,
    pub(super) databases: Vec<String>,
}

/// It dereferences to the session of `[database]` for everything else.
#[derive(Debug)]
pub(crate) struct HomeSession {
    home: lock::Session,
    servers: Servers,
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
    /// Ends and returns the orphaned backends of runs that no longer hold the lock, in every database. A run that this
    /// database does not record may hold the lock of another registry with the same tenant: its sessions are not ended,
    /// and the lock of the tenant's database excludes them.
    pub(crate) async fn end_orphaned_backends(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        let mut all = self.home.end_orphaned_backends(limit).await?;
        let holders = self.home.holders(limit).await?;
        for (address, server) in &self.servers {
            let ended = server.end_orphaned_backends(&mut self.home, &holders, limit);
            match Deadline::after(limit).limit(ended).await.unwrap_or(Err(DatabaseError::TimedOut)) {
                Ok(ended) => all.extend(ended),
                // This run cannot change its tenants either, and does not hold up those of other servers.
                Err(why) => tracing::debug!(%address, %why, "cannot end orphaned backends"),
            }
        }
        Ok(all)
    }
}

impl TenantServer {
    /// A role may end its own sessions, so each role is asked while sessions are left.
    async fn end_orphaned_backends(
        &self,
        home: &mut lock::Session,
        holders: &[String],
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        let mut all = Vec::new();
        for config in self.roles.values() {
            let mut connection = to_server(config).await?;
            let runs = orphaned_backends::runs_elsewhere(&mut connection, &self.databases, holders).await?;
            let runs = home.recorded(&runs, limit).await?;
            if runs.is_empty() {
                connection.close().await;
                break;
            }
            let ended = orphaned_backends::end_elsewhere(&mut connection, &self.databases, &runs).await?;
            connection.close().await;
            let new: Vec<_> = ended.into_iter().filter(|one| !all.contains(one)).collect();
            all.extend(new);
        }
        Ok(all)
    }
}

/// A connection to the server of tenants' databases, one of which may not exist.
async fn to_server(config: &config::Postgres) -> Result<Connection, DatabaseError> {
    let direct = config.direct.as_deref().unwrap_or(config);
    match connect::connect(direct).await {
        Err(DatabaseError::Never(why)) if why.sqlstate() == Some(NO_DATABASE) => {
            connect::connect(&direct.renamed(MAINTENANCE)).await
        }
        connection => connection,
    }
}

impl Router {
    /// Locks a tenant's database for a program, which has its own sessions. The transaction is that of a session without
    /// a snapshot, so the lock ends with it behind a pooler, too.
    pub(crate) async fn lock_database(&self, tenant: &str) -> Result<DatabaseLock, ApplyError> {
        let database = self.tenant(tenant).await?;
        let name = format!("portcullis {}", self.home.run);
        let mut connection = run_migration::primary(database.direct(), &name).await?;
        let settings = run_migration::session(&connection, Lifetime::Transaction);
        connection.rows(&format!("{}; {settings}", run_migration::BEGIN)).await?;
        let locked = lock::schema(&mut connection, &database.config.shared_schema, TRANSACTION, false).await;
        match locked {
            Ok(()) => Ok(DatabaseLock::new(connection)),
            Err(error) => {
                connection.close().await;
                Err(of_database(error, &Schema::Tenant(tenant.to_owned())))
            }
        }
    }

    pub(crate) async fn lock_session(&self, run: &str, silence: Duration) -> Result<Session, DatabaseError> {
        let home = self.home.lock_session(run, silence).await?;
        Ok(Session(HomeSession { home, servers: self.servers().await? }))
    }

    /// Of the registry's database: only there may a program create tenants.
    pub(crate) async fn end_programs(&self, run: &str) -> Result<(), DatabaseError> {
        self.home.end_programs(run).await
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
    pub(super) async fn servers(&self) -> Result<Servers, DatabaseError> {
        let mut servers = Servers::new();
        for location in self.all_locations().await?.into_values() {
            // The gate reports a location that is not valid.
            let Ok(config) = self.home.config.of_tenant(&location) else { continue };
            let server = servers.entry(config.address()).or_insert_with(|| TenantServer {
                config: config.clone(),
                roles: BTreeMap::new(),
                databases: Vec::new(),
            });
            server.databases.push(config.name.clone());
            server.roles.entry(config.user.clone()).or_insert(config);
        }
        Ok(servers)
    }
}
