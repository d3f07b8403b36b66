//! Takes back what an attempt to make a tenant has left: this run's own, or a killed run's.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Postgres, apply, connect,
    connection::Connection,
    journal::{self, Entry},
    lock,
    quote::literal,
    read_only::Reading,
    run_migration::apply_error,
};
use crate::{
    config,
    database::{
        ApplyError, CommitMarker, Creation, DatabaseError, Limits, ProvisionState, Recovered, RecoveryResult,
    },
    tenants::manifest::Domains,
};

/// Between two looks at whether a run's programs still have sessions.
const PAUSE: Duration = Duration::from_millis(200);

/// For reading the registry.
const REGISTRY_TIMEOUT: Duration = Duration::from_mins(2);

/// Looks in all.
const ATTEMPTS: u32 = 40;

impl Postgres {
    /// Takes back an attempt of this run that failed, ran out of time or was interrupted.
    pub(crate) async fn undo(
        &self,
        new: &Creation,
        limits: &Limits,
    ) -> Result<ProvisionState, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(ProvisionState::Absent) };
        let mut connection = self.writer_for(limits).await?;
        // The session that was given up may still hold the schema's lock: it is not judged before it has ended.
        lock::schema(&mut connection, &new.schema, "pg_try_advisory_lock", false).await.map_err(words)?;
        let condition = format!("nonce = {}", literal(&new.nonce));
        let entries = journal::entries(&mut connection, &condition).await;
        let entries = entries.map_err(|error| connect::failed(&error))?;
        let state = if let Some(entry) = entries.first() {
            end_programs(&mut connection, &entry.run).await.map_err(words)?;
            let domains = new.domain.as_ref().map(|(domains, _)| domains);
            self.remove_recorded(&mut connection, registry, domains, entry, limits).await.map_err(words)?
        } else {
            let schema_exists = apply::exists(&mut connection, &new.schema).await.map_err(words)?;
            let registered = self.is_registered(&mut connection, registry, &new.schema).await;
            let registered = registered.map_err(|error| connect::failed(&error))?;
            let committed = is_committed(&mut connection, &new.commit_marker).await;
            match (schema_exists, registered) {
                (true, true) if committed.map_err(|error| connect::failed(&error))? => {
                    ProvisionState::Complete
                }
                // What both are is somebody else's, who was quicker.
                (false, false) | (true, true) => ProvisionState::Absent,
                (true, false) => {
                    ProvisionState::Unproven(format!("a schema `{}` appeared meanwhile", new.schema))
                }
                (false, true) => {
                    ProvisionState::Unproven(format!("a row for `{}` appeared meanwhile", new.schema))
                }
            }
        };
        self.release(connection).await;
        Ok(state)
    }

    /// Takes back what killed runs have left. Only the holder of the lock may ask.
    pub(crate) async fn recover(
        &self,
        domains: Option<&Domains>,
        limits: &Limits,
    ) -> Result<Vec<Recovered>, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(Vec::new()) };
        let mut connection = self.writer_for(limits).await?;
        // What another registry's runs are making is theirs to take back.
        let ours = format!("registry = {}", literal(&self.registry_name()));
        let entries = journal::entries(&mut connection, &ours).await;
        let mut left = Vec::new();
        for entry in entries.map_err(|error| connect::failed(&error))? {
            let result = match self.recovered(&mut connection, registry, domains, &entry, limits).await {
                Ok(None) => continue,
                Ok(Some(ProvisionState::Absent | ProvisionState::Complete)) => RecoveryResult::Removed,
                Ok(Some(ProvisionState::Unproven(why))) => RecoveryResult::Unproven(why),
                // One that cannot be removed keeps none of the others from it.
                Err(error) => {
                    let _ = connection.rows("ROLLBACK").await;
                    RecoveryResult::Failed(error.why.text)
                }
            };
            let Entry { tenant, started_by, .. } = entry;
            left.push(Recovered { tenant, started_by, result });
        }
        self.release(connection).await;
        Ok(left)
    }

    /// Takes one of them back; None if another run of those that share the lock was quicker.
    async fn recovered(
        &self,
        connection: &mut Connection,
        registry: &config::Registry,
        domains: Option<&Domains>,
        entry: &Entry,
        limits: &Limits,
    ) -> Result<Option<ProvisionState>, ApplyError> {
        lock::schema(connection, &entry.tenant, "pg_try_advisory_lock", false).await?;
        let condition = format!("nonce = {}", literal(&entry.nonce));
        if journal::entries(connection, &condition).await.map_err(|error| apply_error(&error))?.is_empty() {
            return Ok(None);
        }
        end_programs(connection, &entry.run).await?;
        self.remove_recorded(connection, registry, domains, entry, limits).await.map(Some)
    }

    /// Notes, before a framework's own command makes them, that these tenants are absent.
    pub(crate) async fn record_intent(
        &self,
        run: &str,
        absent: &[(String, String)],
    ) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        journal::ensure(&mut connection).await.map_err(|error| connect::failed(&error))?;
        let mut sql = String::from("BEGIN");
        for (tenant, nonce) in absent {
            sql += &format!("; {}", journal::record_intent(nonce, run, &self.registry_name(), tenant));
        }
        connection.rows(&(sql + "; COMMIT")).await.map_err(|error| connect::failed(&error))?;
        self.release(connection).await;
        Ok(())
    }

    /// Removes those notes.
    pub(crate) async fn delete_entries(&self, nonces: &[String]) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        let sql: Vec<String> = nonces.iter().map(|nonce| journal::delete_entries(nonce)).collect();
        connection.rows(&sql.join("; ")).await.map_err(|error| connect::failed(&error))?;
        self.release(connection).await;
        Ok(())
    }

    pub(crate) async fn end_programs(&self, run: &str) -> Result<(), DatabaseError> {
        let mut connection = self.writer().await?;
        let ended = end_programs(&mut connection, run).await;
        self.release(connection).await;
        ended.map_err(words)
    }

    pub(crate) async fn registered(&self) -> Result<BTreeSet<String>, DatabaseError> {
        let Some(registry) = &self.registry else { return Ok(BTreeSet::new()) };
        let mut reading = Reading::open(self.direct(), REGISTRY_TIMEOUT).await?;
        let rows = self.read_registry(&mut reading, registry, None).await;
        reading.close().await;
        let rows = rows?;
        Ok(rows.tenants.into_iter().chain(rows.others).collect())
    }

    /// The tenants that the journal says this run is making or removing.
    pub(crate) async fn in_progress(&self, run: &str) -> Result<BTreeSet<String>, DatabaseError> {
        let mut connection = self.writer().await?;
        let ours = format!("run = {} AND registry = {}", literal(run), literal(&self.registry_name()));
        let entries = journal::entries(&mut connection, &ours).await;
        self.release(connection).await;
        let entries = entries.map_err(|error| connect::failed(&error))?;
        Ok(entries.into_iter().map(|entry| entry.tenant).collect())
    }

    /// Which of these tenants a killed run had noted: nonce, tenant, and when it was.
    pub(crate) async fn intents(
        &self,
        tenants: &[String],
    ) -> Result<Vec<(String, String, String)>, DatabaseError> {
        let mut connection = self.writer().await?;
        let ours = format!("kind = 'command' AND registry = {}", literal(&self.registry_name()));
        let entries = journal::entries(&mut connection, &ours).await;
        self.release(connection).await;
        let named = entries.map_err(|error| connect::failed(&error))?.into_iter();
        Ok(named
            .filter(|entry| tenants.contains(&entry.tenant))
            .map(|entry| (entry.nonce, entry.tenant, entry.started_by))
            .collect())
    }
}

/// Ends the sessions that a run's programs have left: a statement goes on without whoever asked for it, and one that
/// comes after its schema is gone would land in another.
async fn end_programs(connection: &mut Connection, run: &str) -> Result<(), ApplyError> {
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid)::text FROM pg_catalog.pg_stat_activity \
         WHERE datname = current_database() AND application_name = {} AND pid <> pg_catalog.pg_backend_pid()",
        literal(&format!("portcullis:{run}"))
    );
    let mut quiet = false;
    for _ in 0..ATTEMPTS {
        let ended = !connection.rows(&sql).await.map_err(|error| apply_error(&error))?.is_empty();
        if !ended && quiet {
            return Ok(());
        }
        quiet = !ended;
        tokio::time::sleep(PAUSE).await;
    }
    Err(ApplyError::of("a program of that run comes back as often as its session is ended: kill it first"))
}

/// Whether the transaction that was to make the tenant whole did.
async fn is_committed(
    connection: &mut Connection,
    commit_marker: &CommitMarker,
) -> Result<bool, sqlx::Error> {
    let Some(transaction) = commit_marker.transaction() else { return Ok(false) };
    let sql = format!("SELECT coalesce(pg_catalog.txid_status({transaction}) = 'committed', false)::text");
    let rows = connection.rows(&sql).await?;
    rows.first().map_or(Ok(false), |row| connect::flag(row, 0))
}

fn words(error: ApplyError) -> DatabaseError {
    error.into_failed()
}
