//! Creates, deletes and recovers tenants' databases. CREATE DATABASE cannot run in a transaction, so the journal connects
//! the steps.

use std::{collections::BTreeSet, future::ready};

use super::{
    Router,
    journal::{self, Entry, Kind},
    server::{Found, Server},
};
use crate::{
    config,
    database::{
        ApplyError, Creation, DatabaseError, Limits, MigrationFile, ProvisionError, ProvisionRequest,
        ProvisionState, Recovered, RecoveryResult, RegistryRow, Schema, nonce,
        postgres::{
            connect,
            connection::Connection,
            lock,
            quote::literal,
            recover::{end_programs, is_committed},
            run_migration,
        },
        template::Template,
    },
    ordered::Ordered,
    tenants::{inspection::Deleted, manifest::Domains},
};

/// PostgreSQL truncates longer names without an error.
const MAX_NAME: usize = 63;

/// A lock that ends with the session.
const SESSION_LOCK: &str = "pg_try_advisory_lock";
const TRANSACTION_LOCK: &str = "pg_try_advisory_xact_lock";

impl Router {
    pub(crate) async fn provision(
        &self,
        request: &ProvisionRequest<'_>,
        files: &[MigrationFile],
    ) -> Result<(), ProvisionError> {
        let ProvisionRequest { new, expected, layout, limits, verify } = *request;
        self.create(new, limits).await?;
        self.apply(&Schema::Tenant(new.schema.clone()), files, limits).await?;
        verify(&self.inspect_schema(&new.schema, expected, layout).await?).map_err(ApplyError::of)?;
        self.finish(new, limits).await
    }

    /// Creates the empty database, its comment and the journal's entry.
    pub(crate) async fn begin(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        self.create(new, limits).await
    }

    /// The check of the configuration rejects a template.
    #[expect(clippy::unused_self, reason = "it replaces the operation of `[database]`")]
    pub(crate) fn copy(
        &self,
        _: &ProvisionRequest<'_>,
        _: &Template,
    ) -> impl Future<Output = Result<(), ProvisionError>> + use<> {
        ready(Err(ProvisionError::refusing("a template is a schema, and each tenant has its own database")))
    }

    async fn create(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        let location = self.of_creation(new).map_err(ProvisionError::refusing)?;
        let database = self.at(&location).map_err(ProvisionError::refusing)?;
        let name = database.config.name.clone();
        if new.schema.is_empty() || new.schema.contains('\0') || name.len() > MAX_NAME {
            let why = format!(
                "the name `{}` is empty, or that of its database is longer than {MAX_NAME} bytes",
                new.schema.escape_debug()
            );
            return Err(ProvisionError::refusing(why));
        }
        let mut server = Server::open(&self.home.config, database).await?;
        let mut home = self.prepared(limits).await?;
        home.rows(&run_migration::begin(limits)).await?;
        lock::schema(&mut home, &new.schema, TRANSACTION_LOCK, false).await?;
        let condition = format!("{} AND tenant = {}", self.own_entries(), literal(&new.schema));
        if let Some(entry) = journal::entries(&mut home, &condition).await?.first() {
            let why = format!("`{}` still exists incompletely from {}", new.schema, entry.started_by);
            return Err(ProvisionError::later(why));
        }
        let registered = self.home.is_registered(&mut home, &self.registry, &new.schema).await?;
        let existing = format!("the database `{name}`");
        let existing = server.exists().await?.then_some(existing.as_str());
        ProvisionError::if_exists(&new.schema, registered, existing)?;
        match new.rows {
            RegistryRow::BeforeMigrations => self.home.write_rows(&mut home, &self.registry, new).await?,
            RegistryRow::AfterMigrations => {
                // Checks before the long migrations that the rows can be written.
                home.rows("SAVEPOINT rows").await?;
                self.home.write_rows(&mut home, &self.registry, new).await?;
                home.rows("ROLLBACK TO SAVEPOINT rows").await?;
            }
            RegistryRow::Never => {}
        }
        let entry = Entry {
            nonce: new.nonce.clone(),
            run: new.run.clone(),
            tenant: new.schema.clone(),
            location: location.clone(),
            kind: Kind::Making,
            rows: new.rows == RegistryRow::BeforeMigrations,
            started_by: String::new(),
        };
        home.rows(&format!("{}; COMMIT", journal::insert(&entry, &self.home.registry_name()))).await?;
        self.home.release(home).await;
        self.locations.borrow_mut().insert(new.schema.clone(), location);
        server.create(&new.nonce, limits.deadline).await?;
        server.close().await;
        Ok(())
    }

    /// Writes the rows and deletes the journal's entry in one transaction.
    pub(crate) async fn finish(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        let mut home = self.prepared(limits).await?;
        home.rows(&run_migration::begin(limits)).await?;
        lock::schema(&mut home, &new.schema, TRANSACTION_LOCK, false).await?;
        let registers = new.rows == RegistryRow::AfterMigrations;
        // Another session may have registered the tenant during the migrations, and not every registry's column is unique.
        if registers && self.home.is_registered(&mut home, &self.registry, &new.schema).await? {
            let why = format!("another session registered `{}` during its creation", new.schema);
            return Err(ApplyError::of(why).into());
        }
        let rows = home.rows(&journal::delete(&new.nonce)).await?;
        if rows.is_empty() {
            let gone = "the journal's entry no longer exists: another run has taken over";
            return Err(ApplyError::of(gone).into());
        }
        new.commit_marker.note(connect::number(&rows, 0)?);
        if registers {
            self.home.write_rows(&mut home, &self.registry, new).await?;
        }
        home.run("COMMIT", limits.deadline).await?;
        self.home.release(home).await;
        // Without an entry, the comment means nothing.
        if let Ok(database) = self.tenant(&new.schema).await
            && let Ok(mut server) = Server::open(&self.home.config, database).await
        {
            let _ = server.tag(None).await;
            server.close().await;
        }
        Ok(())
    }

    pub(crate) async fn roll_back(
        &self,
        new: &Creation,
        limits: &Limits,
    ) -> Result<ProvisionState, DatabaseError> {
        let mut home = self.home.writer_for(limits).await?;
        lock::schema(&mut home, &new.schema, SESSION_LOCK, false).await.map_err(ApplyError::into_failed)?;
        let condition = format!("nonce = {}", literal(&new.nonce));
        let entries = journal::entries(&mut home, &condition).await?;
        let domains = new.domain.as_ref().map(|domain| &domain.table);
        let state = match entries.first() {
            Some(entry) => {
                let removed = self.remove(&mut home, entry, domains, limits).await;
                removed.map_err(ApplyError::into_failed)?
            }
            None if is_committed(&mut home, &new.commit_marker).await? => ProvisionState::Complete,
            None => ProvisionState::Absent,
        };
        self.home.release(home).await;
        Ok(state)
    }

    /// Rolls back the unfinished work of killed runs. Only the holder of the lock may call it.
    pub(crate) async fn recover(
        &self,
        domains: Option<&Domains>,
        limits: &Limits,
    ) -> Result<Vec<Recovered>, DatabaseError> {
        let mut home = self.home.writer_for(limits).await?;
        let mut all = Vec::new();
        for entry in journal::entries(&mut home, &self.own_entries()).await? {
            let removed = async {
                lock::schema(&mut home, &entry.tenant, SESSION_LOCK, false).await?;
                let condition = format!("nonce = {}", literal(&entry.nonce));
                // Another run that shares the lock may have been faster.
                if journal::entries(&mut home, &condition).await?.is_empty() {
                    return Ok(None);
                }
                self.remove(&mut home, &entry, domains, limits).await.map(Some)
            };
            let result = match removed.await {
                Ok(None) => continue,
                Ok(Some(state)) => state.into(),
                // A failure does not stop the recovery of the other entries.
                Err(error) => {
                    home.roll_back().await;
                    RecoveryResult::Failed(error.why.text)
                }
            };
            let Entry { tenant, started_by, .. } = entry;
            all.push(Recovered { tenant, started_by, result });
        }
        self.home.release(home).await;
        all.extend(self.home.recover(domains, limits).await?);
        Ok(all)
    }

    /// Removes the database, the rows and the entry, if the entry proves that its run created them.
    async fn remove(
        &self,
        home: &mut Connection,
        entry: &Entry,
        domains: Option<&Domains>,
        limits: &Limits,
    ) -> Result<ProvisionState, ApplyError> {
        let Entry { tenant, started_by, .. } = entry;
        let registered = self.home.is_registered(home, &self.registry, tenant).await?;
        if registered && !entry.rows {
            return Ok(ProvisionState::Unproven(format!(
                "the registry contains `{tenant}`, but {started_by}, which created the database, did not write that row"
            )));
        }
        let database = self.at(&entry.location).map_err(ApplyError::of)?;
        let mut server = Server::open(&self.home.config, database).await?;
        server.remove_unnamed(&entry.nonce, limits.deadline).await?;
        match server.find(&entry.nonce).await? {
            Found::Absent => {}
            Found::Proved => {
                let mut inside = connect::connect(server.database.direct()).await?;
                let ended = end_programs(&mut inside, &entry.run).await;
                inside.close().await;
                ended?;
                server.remove(limits).await?;
            }
            Found::Unproved => {
                return Ok(ProvisionState::Unproven(format!(
                    "the database of `{tenant}` does not have the comment of {started_by}, which started to create it"
                )));
            }
        }
        server.close().await;
        home.rows(&run_migration::begin(limits)).await?;
        if registered {
            self.home.delete_rows(home, &self.registry, domains, tenant).await?;
        }
        home.run(&format!("{}; COMMIT", journal::delete(&entry.nonce)), limits.deadline).await?;
        Ok(ProvisionState::Absent)
    }

    /// Deletes a tenant: its rows, then its database.
    pub(crate) async fn delete(
        &self,
        tenant: &str,
        domains: Option<&Domains>,
        run: &str,
        limits: &Limits,
    ) -> Result<Deleted, DatabaseError> {
        let refuse = |why: String| Err(DatabaseError::Failed(why.into()));
        let mut home = self.home.writer_for(limits).await?;
        lock::schema(&mut home, tenant, SESSION_LOCK, false).await.map_err(ApplyError::into_failed)?;
        if !self.home.is_registered(&mut home, &self.registry, tenant).await? {
            return refuse(
                "the registry does not contain it, so its database is unknown: drop it by hand".into(),
            );
        }
        let location = self.read_location(tenant).await?;
        let database = self.at(&location).map_err(DatabaseError::Failed)?;
        let mut server = Server::open(&self.home.config, database).await?;
        let exists = server.exists().await?;
        let mut deleted = Deleted { rows: 0, domains: 0, tables: None, transactions: 1 };
        if exists {
            if server.database.config.name == self.home.config.name {
                return refuse("its database is that of `[database]`".into());
            }
            for (other, location) in self.all_locations().await? {
                let is_same = |config: config::Postgres| {
                    config.hosts == server.database.config.hosts && config.name == server.database.config.name
                };
                if other != tenant && self.home.config.of_tenant(&location).is_ok_and(is_same) {
                    return refuse(format!("its database is also that of `{other}`"));
                }
            }
            deleted.tables = Some(server.tables().await?);
            if server.is_used(limits).await? {
                return refuse("other sessions use its database: end them first".into());
            }
        }
        let entry = Entry {
            nonce: nonce(),
            run: run.to_owned(),
            tenant: tenant.to_owned(),
            location,
            kind: Kind::Removing,
            rows: false,
            started_by: String::new(),
        };
        journal::ensure(&mut home).await?;
        if exists {
            server.tag(Some(&entry.nonce)).await?;
        }
        let removed = async {
            home.rows(&run_migration::begin(limits)).await?;
            (deleted.rows, deleted.domains) =
                self.home.delete_rows(&mut home, &self.registry, domains, tenant).await?;
            home.rows(&format!("{}; COMMIT", journal::insert(&entry, &self.home.registry_name()))).await?;
            server.remove(limits).await?;
            home.rows(&journal::delete(&entry.nonce)).await?;
            Ok::<_, ApplyError>(())
        };
        let removed = removed.await;
        server.close().await;
        home.close().await;
        removed.map_err(ApplyError::into_failed)?;
        deleted.transactions += usize::from(exists);
        Ok(deleted)
    }

    /// The tenants that this run is creating or deleting.
    pub(crate) async fn in_progress(&self, run: &str) -> Result<BTreeSet<String>, DatabaseError> {
        let own = self.unfinished().await?.into_iter().filter(|entry| entry.run == run);
        let mut tenants: BTreeSet<String> = own.map(|entry| entry.tenant).into_set();
        tenants.extend(self.home.in_progress(run).await?);
        Ok(tenants)
    }

    /// A connection to `[database]`, in which the journal exists.
    async fn prepared(&self, limits: &Limits) -> Result<Connection, ProvisionError> {
        let mut home = self.home.writer_for(limits).await?;
        journal::ensure(&mut home).await.map_err(|error| {
            let why = error.cause();
            let text = format!("cannot create the journal in the schema `portcullis`: {why}");
            ProvisionError::refusing(why.with_text(text))
        })?;
        Ok(home)
    }
}
