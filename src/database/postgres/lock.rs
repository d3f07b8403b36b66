//! The lock for a whole run, and the lock on one schema: PostgreSQL's advisory locks.
//!
//! Nobody ever blocks inside `pg_advisory_lock`: such a session holds a snapshot, and CREATE INDEX
//! CONCURRENTLY waits for it for ever.

use std::time::Duration;

use sqlx::{Connection, postgres::PgConnection};
use tokio::time::Instant;

use super::{
    Postgres, connect,
    quote::literal,
    registry,
    run::{self, bare},
};
use crate::database::{ApplyError, DatabaseError};

/// The first key of the lock on a run; the second is the registry's table.
const RUN: i32 = 0x504f_5254;
/// The first key of the lock on a schema; the second is its name.
const SCHEMA: i32 = 0x504f_5253;
/// sqlx's own number (sqlx-postgres, `generate_lock_id`): its tool takes this times the CRC-32 of the
/// database's name.
const SQLX: i64 = 0x3d32_ad9e;

/// How long another run may be at work on a schema before it counts as locked.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(5);

/// Held as long as its session lives.
pub(crate) struct Lock {
    connection: PgConnection,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

impl Lock {
    pub(in super::super) async fn held(&mut self) -> Result<(), String> {
        match connect::rows(&mut self.connection, "SELECT 1").await {
            Ok(_) => Ok(()),
            Err(error) => Err(connect::words(&error)),
        }
    }

    pub(in super::super) async fn release(self) {
        let _ = self.connection.close().await;
    }
}

impl Postgres {
    pub(in super::super) async fn try_lock(&self, run: &str) -> Result<Result<Lock, String>, DatabaseError> {
        let key = self.run_key();
        let mut connection = run::writer(self.direct()).await?;
        let sqlx = SQLX * i64::from(crc32fast::hash(self.direct().name.as_bytes()));
        let sql = format!(
            "SELECT pg_catalog.set_config('application_name', {}, false); \
             SELECT pg_catalog.pg_try_advisory_lock({RUN}, {key})::text; \
             SELECT pg_catalog.pg_try_advisory_lock_shared({sqlx})::text",
            literal(&format!("portcullis {run}")),
        );
        let rows = connect::rows(&mut connection, &sql).await.map_err(|error| connect::failed(&error))?;
        let had = |index: usize| rows.get(index).is_some_and(|row| connect::flag(row, 0).unwrap_or(false));
        if had(1) && had(2) {
            return Ok(Ok(Lock { connection }));
        }
        let holder = if had(1) {
            let who = holder(&mut connection, &held_by(sqlx)).await;
            who.map(|who| format!("sqlx's own tool: {}", who.unwrap_or_else(just_ended)))
        } else {
            holder(&mut connection, &run_held(key)).await.map(|who| who.unwrap_or_else(just_ended))
        };
        let _ = connection.close().await;
        Ok(Err(holder.map_err(|error| connect::failed(&error))?))
    }

    pub(in super::super) async fn lock_holder(&self) -> Result<Option<String>, DatabaseError> {
        let mut connection = connect::connect(self.direct()).await?;
        let holder = holder(&mut connection, &run_held(self.run_key())).await;
        let _ = connection.close().await;
        holder.map_err(|error| connect::failed(&error))
    }

    fn run_key(&self) -> i32 {
        crc(&self.registry.as_ref().map_or_else(String::new, |registry| {
            let (schema, table) = registry::table(registry, &self.config.shared_schema);
            format!("{schema}.{table}")
        }))
    }
}

/// Takes the lock on one schema, with one of the `pg_try_...` functions, again and again for a while.
pub(super) async fn schema(
    connection: &mut PgConnection,
    schema: &str,
    function: &str,
) -> Result<(), ApplyError> {
    let key = crc(schema);
    let sql = format!("SELECT pg_catalog.{function}({SCHEMA}, {key})::text");
    let deadline = Instant::now() + SCHEMA_PATIENCE;
    loop {
        let rows = connect::rows(connection, &sql).await.map_err(|error| bare(&error))?;
        if rows.first().is_some_and(|row| connect::flag(row, 0).unwrap_or(false)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(ApplyError {
                why: format!("another session is changing the schema `{schema}`"),
                locked: true,
                ..ApplyError::default()
            });
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(50..=150))).await;
    }
}

/// Who holds a lock, since when; None if nobody does.
async fn holder(connection: &mut PgConnection, which: &str) -> Result<Option<String>, sqlx::Error> {
    let sql = format!(
        "SELECT coalesce(nullif(a.application_name, ''), 'a session') || coalesce(' from ' || host(a.client_addr), '') \
         || ', process ' || l.pid || coalesce(', connected since ' || to_char(a.backend_start AT TIME ZONE 'UTC', \
         'YYYY-MM-DD HH24:MI:SS') || ' UTC', '') FROM pg_catalog.pg_locks l \
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() \
         AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
         AND {which} LIMIT 1",
    );
    let rows = connect::rows(connection, &sql).await?;
    Ok(rows.first().map(|row| connect::text(row, 0)).transpose()?.flatten())
}

fn just_ended() -> String {
    "a session that has just ended".into()
}

fn run_held(key: i32) -> String {
    format!("classid::int8 = {RUN} AND objid::int8 = {} AND objsubid = 2", unsigned(key))
}

fn held_by(key: i64) -> String {
    let (high, low) = (key >> 32, key & 0xffff_ffff);
    format!("l.classid::int8 = {high} AND l.objid::int8 = {low} AND l.objsubid = 1")
}

/// A key for a name, in the signed form that the functions take.
fn crc(name: &str) -> i32 {
    crc32fast::hash(name.as_bytes()).cast_signed()
}

fn unsigned(key: i32) -> u32 {
    key.cast_unsigned()
}
