//! PostgreSQL: one schema for what tenants share, and one for each tenant.

mod answer;
pub(crate) mod apply;
mod catalog;
mod chunks;
mod connect;
mod connection;
mod copy;
mod delete;
mod derive;
mod examine;
mod idle;
mod journal;
mod kept;
mod ledgers;
pub(crate) mod lock;
mod look;
mod own;
mod provision;
mod quote;
mod reading;
mod record;
mod recover;
mod registry;
mod remove;
mod rename;
mod rows;
mod run;
mod server;
mod structure;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use self::{idle::Idle, kept::Kept};
use super::DatabaseError;
use crate::{config, deadline::Deadline, frameworks::sql, tenants::ledger::Shape};

/// The ledger that this program writes; another framework's is only read.
const LEDGER: Shape = sql::SHAPE;

/// The SQLSTATE of a statement that ran longer than its time-out.
const QUERY_CANCELED: &str = "57014";

/// Where the server is and how to log in, and where the registry stands.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    config: config::Postgres,
    registry: Option<config::Registry>,
    /// The id of the run that changes something; empty if there is none.
    run: String,
    /// Whether there is a pooler in transaction mode before the server; known once the lock was asked for.
    pooled: Arc<AtomicBool>,
    kept: Kept,
    idle: Idle,
}

impl Postgres {
    pub(super) fn new(config: &config::Postgres, registry: Option<&config::Registry>) -> Self {
        Self {
            config: config.clone(),
            registry: registry.cloned(),
            run: String::new(),
            pooled: Arc::default(),
            kept: Kept::default(),
            idle: Idle::default(),
        }
    }

    pub(super) fn of_run(self, run: &str) -> Self {
        Self { run: run.to_owned(), ..self }
    }

    fn is_pooled(&self) -> bool {
        self.pooled.load(Ordering::Relaxed)
    }

    fn found_pooled(&self, pooled: bool) {
        self.pooled.store(pooled, Ordering::Relaxed);
    }

    /// Past a pooler: for everything that changes something.
    fn direct(&self) -> &config::Postgres {
        self.config.direct.as_deref().unwrap_or(&self.config)
    }

    /// As the role that may only read, if there is one.
    fn reader(&self) -> &config::Postgres {
        self.config.reader.as_deref().unwrap_or(&self.config)
    }

    pub(super) async fn ping(&self) -> Result<(), DatabaseError> {
        let mut connection = connect::connect(&self.config).await?;
        let answer = connection.rows("SELECT 1").await;
        connection.close().await;
        answer.map(drop).map_err(|error| DatabaseError::NotYet(connect::cause(&error)))
    }

    pub(super) async fn run_sql(
        &self,
        sql: &str,
        timeout: Duration,
        locked: bool,
    ) -> Result<(), DatabaseError> {
        // What is done under the lock is ended by its next holder, and nothing else is.
        let name = if locked { format!("{}{}", lock::MARK, self.run) } else { "portcullis".into() };
        let mut connection = run::primary(self.direct(), &name).await?;
        let settings = run::session(&connection, run::Lifetime::Session);
        connection.rows(&settings).await.map_err(|error| connect::failed(&error))?;
        let limit = format!("SET statement_timeout = {}", timeout.as_millis());
        connection.rows(&limit).await.map_err(|error| connect::failed(&error))?;
        if let Err((done, error)) = connection.statements(sql, Deadline::after(timeout)).await {
            if connect::code(&error) == Some(QUERY_CANCELED) {
                return Err(DatabaseError::TimedOut);
            }
            let failed = connect::failed(&error);
            return Err(match run::line(sql, done, &error) {
                Some(line) => failed.worded(|why| format!("line {line}: {why}")),
                None => failed,
            });
        }
        connection.close().await;
        Ok(())
    }
}
