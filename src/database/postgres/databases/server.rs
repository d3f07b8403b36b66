//! What is asked of a server about a tenant's database, over a connection to another database of it.

use crate::{
    config,
    database::{
        ApplyError, DatabaseError, Limits,
        postgres::{
            Postgres, connect,
            connection::Connection,
            error::QueryError,
            quote::{identifier, literal},
        },
    },
    deadline::Deadline,
    retry::{Pauses, Retry},
};

/// The database of every server that is not the configured one.
pub(super) const MAINTENANCE: &str = "postgres";

/// The comment of a database before the nonce, until the database is complete.
const TAG: &str = "portcullis: not whole, ";

/// The SQLSTATE of a database that other sessions use.
const IN_USE: &str = "55006";
const PAUSES: Pauses = Pauses::even(std::time::Duration::from_millis(100));

/// A tenant's database on its server.
pub(super) struct Server {
    connection: Connection,
    name: String,
    /// The handle of the tenant's database.
    pub(super) database: Postgres,
}

/// The quoted name of a database that is being created.
fn first_name(nonce: &str) -> String {
    identifier(&format!("portcullis_{nonce}"))
}

/// Whether the database exists, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Absent,
    /// Its comment contains the nonce.
    Proved,
    Unproved,
}

impl Server {
    /// Connects to `[database]`, or, on another server, to its database `postgres`.
    pub(super) async fn open(home: &config::Postgres, database: Postgres) -> Result<Self, DatabaseError> {
        let config = database.direct();
        let is_home = config.hosts == home.direct.as_deref().unwrap_or(home).hosts;
        let name = if is_home { home.name.clone() } else { MAINTENANCE.into() };
        let asked = config::Postgres { name, ..config.clone() };
        let connection = connect::connect(&asked).await?;
        Ok(Self { connection, name: config.name.clone(), database })
    }

    pub(super) async fn close(self) {
        self.connection.close().await;
    }

    pub(super) async fn exists(&mut self) -> Result<bool, QueryError> {
        let sql = format!(
            "SELECT 1::text FROM pg_catalog.pg_database WHERE datname::text = {}",
            literal(&self.name)
        );
        Ok(!self.connection.rows(&sql).await?.is_empty())
    }

    pub(super) async fn find(&mut self, nonce: &str) -> Result<Found, DatabaseError> {
        let sql = format!(
            "SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database') = {}, false)::text \
             FROM pg_catalog.pg_database WHERE datname::text = {}",
            literal(&format!("{TAG}{nonce}")),
            literal(&self.name),
        );
        let rows = self.connection.rows(&sql).await?;
        let Some(row) = rows.first() else { return Ok(Found::Absent) };
        Ok(if connect::flag(row, 0)? { Found::Proved } else { Found::Unproved })
    }

    /// The number of relations outside the system's schemas.
    pub(super) async fn tables(&self) -> Result<usize, DatabaseError> {
        let mut connection = connect::connect(self.database.direct()).await?;
        let sql = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
                   ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
                   AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')";
        let rows = connection.rows(sql).await;
        connection.close().await;
        let count = connect::number(&rows?, 0)?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Creates the database under a name with the nonce, so that a kill at any moment leaves a proof of its owner.
    pub(super) async fn create(&mut self, nonce: &str, deadline: Deadline) -> Result<(), QueryError> {
        let first = first_name(nonce);
        self.connection.run(&format!("CREATE DATABASE {first}"), deadline).await?;
        let comment = literal(&format!("{TAG}{nonce}"));
        self.connection.rows(&format!("COMMENT ON DATABASE {first} IS {comment}")).await?;
        let rename = format!("ALTER DATABASE {first} RENAME TO {}", identifier(&self.name));
        self.connection.rows(&rename).await.map(drop)
    }

    /// Drops the database if it does not have its name yet.
    pub(super) async fn remove_unnamed(&mut self, nonce: &str, deadline: Deadline) -> Result<(), QueryError> {
        let sql = format!("DROP DATABASE IF EXISTS {}", first_name(nonce));
        self.connection.run(&sql, deadline).await
    }

    /// Sets the comment, or removes it from a complete database.
    pub(super) async fn tag(&mut self, nonce: Option<&str>) -> Result<(), QueryError> {
        let comment = nonce.map_or_else(|| "NULL".to_owned(), |nonce| literal(&format!("{TAG}{nonce}")));
        let sql = format!("COMMENT ON DATABASE {} IS {comment}", identifier(&self.name));
        self.connection.rows(&sql).await.map(drop)
    }

    /// Whether sessions still use the database after the time for a lock.
    pub(super) async fn is_used(&mut self, limits: &Limits) -> Result<bool, QueryError> {
        let sql = format!(
            "SELECT 1::text FROM pg_catalog.pg_stat_activity WHERE datname::text = {} LIMIT 1",
            literal(&self.name)
        );
        let mut retry = Retry::new(PAUSES).until(Deadline::after(limits.lock_timeout));
        while !self.connection.rows(&sql).await?.is_empty() {
            if !retry.pause().await {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops the database once no session uses it, within the time for a lock.
    pub(super) async fn remove(&mut self, limits: &Limits) -> Result<(), ApplyError> {
        let sql = format!("DROP DATABASE IF EXISTS {}", identifier(&self.name));
        let mut retry = Retry::new(PAUSES).until(Deadline::after(limits.lock_timeout));
        loop {
            match self.connection.run(&sql, limits.deadline).await {
                Err(error) if error.code() == Some(IN_USE) && retry.pause().await => {}
                other => return Ok(other?),
            }
        }
    }
}
