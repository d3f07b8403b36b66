//! Rolls back unfinished creations and deletions of this run and of killed runs.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Postgres, apply, connect,
    connection::Connection,
    error::QueryError,
    journal::{self, Entry},
    lock,
    quote::literal,
    read_only::Reading,
};
use crate::{
    config,
    database::{
        ApplyError, Column, CommitMarker, Creation, DatabaseError, Intent, Limits, ProvisionState, Recovered,
        RecoveryResult,
    },
    ordered::Ordered,
    retry::{Pauses, Retry},
    tenants::manifest::{Domains, Kind},
};

/// Between two checks whether a run's programs still have sessions.
const PAUSES: Pauses = Pauses::even(Duration::from_millis(250));
/// The number of checks.
const ATTEMPTS: u32 = 40;

/// For reading the registry.
const REGISTRY_TIMEOUT: Duration = Duration::from_mins(2);

impl Postgres {
    /// Rolls back an attempt of this run that failed, timed out or was interrupted.
    pub(crate) async fn roll_back(
        &self,
        new: &Creation,
        limits: &Limits,
    ) -> Result<ProvisionState, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(ProvisionState::Absent) };
        let mut connection = self.writer_for(limits).await?;
        // The abandoned session may still hold the schema's lock. The outcome is certain only after that session has ended.
        lock::schema(&mut connection, &new.schema, "pg_try_advisory_lock", false)
            .await
            .map_err(into_error)?;
        let condition = format!("nonce = {}", literal(&new.nonce));
        let entries = journal::entries(&mut connection, &condition).await;
        let entries = entries?;
        let state = if let Some(entry) = entries.first() {
            end_programs(&mut connection, &entry.run).await.map_err(into_error)?;
            let domains = new.domain.as_ref().map(|domain| &domain.table);
            self.remove_recorded(&mut connection, registry, domains, entry, limits)
                .await
                .map_err(into_error)?
        } else {
            let schema_exists = apply::exists(&mut connection, &new.schema).await.map_err(into_error)?;
            let registered = self.is_registered(&mut connection, registry, &new.schema).await;
            let registered = registered?;
            let committed = is_committed(&mut connection, &new.commit_marker).await;
            match (schema_exists, registered) {
                (true, true) if committed? => ProvisionState::Complete,
                // If both exist, another session created them first.
                (false, false) | (true, true) => ProvisionState::Absent,
                (true, false) => ProvisionState::Unproven(format!(
                    "another session created the schema `{}` at the same time",
                    new.schema
                )),
                (false, true) => ProvisionState::Unproven(format!(
                    "another session registered `{}` at the same time",
                    new.schema
                )),
            }
        };
        self.release(connection).await;
        Ok(state)
    }

    /// Rolls back the unfinished work of killed runs. Only the holder of the lock may call it.
    pub(crate) async fn recover(
        &self,
        domains: Option<&Domains>,
        limits: &Limits,
    ) -> Result<Vec<Recovered>, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(Vec::new()) };
        let mut connection = self.writer_for(limits).await?;
        // Another registry's runs recover their own entries.
        let condition = format!("registry = {}", literal(&self.registry_name()));
        let entries = journal::entries(&mut connection, &condition).await;
        let mut all = Vec::new();
        for entry in entries? {
            let result = match self.recover_entry(&mut connection, registry, domains, &entry, limits).await {
                Ok(None) => continue,
                Ok(Some(state)) => state.into(),
                // A failure does not stop the recovery of the other entries.
                Err(error) => {
                    connection.roll_back().await;
                    RecoveryResult::Failed(error.why.text)
                }
            };
            let Entry { tenant, started_by, .. } = entry;
            all.push(Recovered { tenant, started_by, result });
        }
        self.release(connection).await;
        Ok(all)
    }

    /// Recovers one entry; None if another run that shares the lock was faster.
    async fn recover_entry(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        domains: Option<&Domains>,
        entry: &Entry,
        limits: &Limits,
    ) -> Result<Option<ProvisionState>, ApplyError> {
        lock::schema(connection, &entry.tenant, "pg_try_advisory_lock", false).await?;
        let condition = format!("nonce = {}", literal(&entry.nonce));
        if journal::entries(connection, &condition).await?.is_empty() {
            return Ok(None);
        }
        end_programs(connection, &entry.run).await?;
        self.remove_recorded(connection, registry, domains, entry, limits).await.map(Some)
    }

    /// Records that these tenants are absent, before a framework's own command creates them.
    pub(crate) async fn record_intent(
        &self,
        run: &str,
        absent: &[(String, String)],
    ) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        journal::ensure(&mut connection).await?;
        let mut sql = String::from("BEGIN");
        for (tenant, nonce) in absent {
            sql += &format!("; {}", journal::record_intent(nonce, run, &self.registry_name(), tenant));
        }
        connection.rows(&(sql + "; COMMIT")).await?;
        self.release(connection).await;
        Ok(())
    }

    /// Records that the command has created these tenants.
    pub(crate) async fn record_success(&self, nonces: &[String]) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        let sql: Vec<String> = nonces.iter().map(|nonce| journal::record_success(nonce)).collect();
        connection.rows(&sql.join("; ")).await?;
        self.release(connection).await;
        Ok(())
    }

    /// Deletes these journal entries.
    pub(crate) async fn delete_entries(&self, nonces: &[String]) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        let sql: Vec<String> = nonces.iter().map(|nonce| journal::delete_entries(nonce)).collect();
        connection.rows(&sql.join("; ")).await?;
        self.release(connection).await;
        Ok(())
    }

    pub(crate) async fn end_programs(&self, run: &str) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        let ended = end_programs(&mut connection, run).await;
        self.release(connection).await;
        ended.map_err(into_error)
    }

    pub(crate) async fn registered(&self) -> Result<BTreeSet<String>, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(BTreeSet::new()) };
        let mut reading = Reading::open(self.direct(), REGISTRY_TIMEOUT).await?;
        let rows = self.read_registry(&mut reading, registry, Kind::Table, None).await;
        reading.close().await;
        Ok(rows?.names())
    }

    pub(crate) async fn columns(&self, name: &str) -> Result<Vec<Column>, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(Vec::new()) };
        let mut reading = Reading::open(self.direct(), REGISTRY_TIMEOUT).await?;
        let columns = self.read_columns(&mut reading, registry, name).await;
        reading.close().await;
        columns.map_err(DatabaseError::from)
    }

    /// The tenants that this run is creating or deleting according to the journal.
    pub(crate) async fn in_progress(&self, run: &str) -> Result<BTreeSet<String>, DatabaseError> {
        let mut connection = self.writer().await?;
        let condition = format!("run = {} AND registry = {}", literal(run), literal(&self.registry_name()));
        let entries = journal::entries(&mut connection, &condition).await;
        self.release(connection).await;
        let entries = entries?;
        Ok(entries.into_iter().map(|entry| entry.tenant).into_set())
    }

    /// The intents of killed runs for these tenants.
    pub(crate) async fn intents(&self, tenants: &[String]) -> Result<Vec<Intent>, DatabaseError> {
        let mut connection = self.writer().await?;
        let condition = format!("registry = {}", literal(&self.registry_name()));
        let entries = journal::entries(&mut connection, &condition).await;
        self.release(connection).await;
        let named = entries?.into_iter();
        let intent = |entry: Entry| {
            let Entry { nonce, tenant, started_by, kind, .. } = entry;
            let succeeded = kind == journal::Kind::Created;
            let is_intent = succeeded || kind == journal::Kind::Command;
            (is_intent && tenants.contains(&tenant)).then_some(Intent {
                nonce,
                tenant,
                started_by,
                succeeded,
            })
        };
        Ok(named.filter_map(intent).collect())
    }
}

/// Ends the sessions of a run's programs. A statement continues without its client, and after the schema is dropped it
/// could change another schema.
pub(super) async fn end_programs(connection: &mut Connection, run: &str) -> Result<(), ApplyError> {
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid)::text FROM pg_catalog.pg_stat_activity \
         WHERE datname = current_database() AND application_name = {} AND pid <> pg_catalog.pg_backend_pid()",
        literal(&format!("portcullis:{run}"))
    );
    let mut quiet = false;
    let mut retry = Retry::new(PAUSES).at_most(ATTEMPTS);
    loop {
        let ended = !connection.rows(&sql).await?.is_empty();
        if !ended && quiet {
            return Ok(());
        }
        quiet = !ended;
        if !retry.pause().await {
            let why =
                "a program of that run reconnects whenever its session is ended: kill the program first";
            return Err(ApplyError::of(why));
        }
    }
}

/// Whether the transaction that completes the tenant was committed.
pub(super) async fn is_committed(
    connection: &mut Connection,
    commit_marker: &CommitMarker,
) -> Result<bool, QueryError> {
    let Some(transaction) = commit_marker.transaction() else { return Ok(false) };
    let sql = format!("SELECT coalesce(pg_catalog.txid_status({transaction}) = 'committed', false)::text");
    let rows = connection.rows(&sql).await?;
    rows.first().map_or(Ok(false), |row| connect::flag(row, 0))
}

fn into_error(error: ApplyError) -> DatabaseError {
    error.into_failed()
}
