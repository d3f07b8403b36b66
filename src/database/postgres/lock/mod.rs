//! The keys and the holders of the run's lock and of the schemas' locks, which are PostgreSQL's advisory locks.
//!
//! No session ever blocks inside `pg_advisory_lock`: a blocked session holds a snapshot, and CREATE INDEX CONCURRENTLY
//! would wait for it forever.

pub(super) mod orphaned_backends;
mod pooler;
mod programs;
mod session;

use std::{sync::atomic::Ordering, time::Duration};

use sha2::{Digest, Sha256};

pub(super) use self::orphaned_backends::{NATIVE_SUFFIX, RUN_PREFIX};
pub(crate) use self::session::Session;
use super::{
    Postgres, connect,
    connection::{Connection, Row},
    error::QueryError,
};
use crate::{
    cause::{Cause, Kind},
    database::{ApplyEnd, ApplyError, DatabaseError, LockHolder},
    deadline::Deadline,
    retry::{Pauses, Retry},
};

/// The first key of the run's lock; the second is derived from the registry's table.
const RUN: i32 = 0x504f_5254;
/// The constant of sqlx-postgres, `generate_lock_id`: sqlx's key is this times the CRC-32 of the database's name.
const SQLX: i64 = 0x3d32_ad9e;

/// The wait for another run's migration of a schema.
const SCHEMA_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const SCHEMA_LOCK_PAUSES: Pauses = Pauses::even(Duration::from_millis(150));

impl Postgres {
    pub(in super::super) async fn lock_holder(&self) -> Result<Option<LockHolder>, DatabaseError> {
        let mut connection = connect::connect(self.direct()).await?;
        let rows = connection.rows(&holder(&run_held(self.run_key()))).await;
        connection.close().await;
        rows.and_then(|rows| read_holder(&rows)).map_err(DatabaseError::from)
    }

    /// Records that programs of this run may change the database until it releases the lock.
    pub(in super::super) async fn record_programs(&self, run: &str) -> Result<(), DatabaseError> {
        if self.programs.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut connection = self.writer().await?;
        let recorded = programs::record(&mut connection, run).await;
        self.release(connection).await;
        recorded?;
        self.programs.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The key of the fully qualified registry name.
    fn run_key(&self) -> i32 {
        crc(&self.registry_name())
    }

    fn sqlx_key(&self) -> i64 {
        SQLX * i64::from(crc32fast::hash(self.direct().name.as_bytes()))
    }
}

/// The statement that tries once to acquire the lock of one schema.
pub(super) fn attempt(schema: &str, function: &str) -> String {
    format!("SELECT pg_catalog.{function}({})::text", schema_key(schema))
}

/// Acquires the lock of one schema with one of the `pg_try_...` functions: retries for a while, or tries once if `nowait`.
pub(super) async fn schema(
    connection: &mut Connection,
    schema: &str,
    function: &str,
    nowait: bool,
) -> Result<(), ApplyError> {
    let sql = attempt(schema, function);
    let mut retry = Retry::new(SCHEMA_LOCK_PAUSES).until(Deadline::after(SCHEMA_LOCK_TIMEOUT));
    loop {
        let rows = connection.rows(&sql).await?;
        if rows.first().is_some_and(|row| connect::flag(row, 0).unwrap_or(false)) {
            return Ok(());
        }
        if nowait || !retry.pause().await {
            let why = Cause::new(Kind::Locked, format!("another session is changing the schema `{schema}`"));
            return Err(ApplyError { end: ApplyEnd::HeldByOther, ..ApplyError::of(why) });
        }
    }
}

/// Selects the holder of a lock and its start. A holder describes itself in its application name, which every role may read.
fn holder(which: &str) -> String {
    format!(
        "SELECT coalesce(nullif(split_part(a.application_name, ' since ', 1), ''), 'a session') \
         || coalesce(' from ' || host(a.client_addr), '') || ', process ' || l.pid \
         || CASE WHEN a.application_name LIKE '% since %' THEN ', since ' || split_part(a.application_name, ' since ', 2) \
         ELSE coalesce(', connected since ' || to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') \
         || ' UTC', '') END, (count(*) OVER () - 1)::text, \
         CASE WHEN a.application_name LIKE 'portcullis % since %' THEN split_part(a.application_name, ' ', 2) END FROM pg_catalog.pg_locks l \
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() \
         AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) \
         AND {which} ORDER BY l.pid LIMIT 1",
    )
}

/// The holder in a row of [`holder`]; None if no session holds the lock.
fn read_holder(rows: &[Row]) -> Result<Option<LockHolder>, QueryError> {
    let Some(row) = rows.first() else { return Ok(None) };
    let (who, others, run) = (connect::text(row, 0)?, connect::text(row, 1)?, connect::text(row, 2)?);
    let words = who.map(|who| match others.as_deref() {
        None | Some("0") => who,
        Some(others) => format!("{who}, and {others} more"),
    });
    Ok(words.map(|words| LockHolder { words, run }))
}

fn just_ended() -> LockHolder {
    "a session that has just ended".into()
}

fn run_held(key: i32) -> String {
    format!("l.classid::int8 = {RUN} AND l.objid::int8 = {} AND l.objsubid = 2", unsigned(key))
}

fn sqlx_held(key: i64) -> String {
    let (high, low) = (key >> 32, key & 0xffff_ffff);
    format!("l.classid::int8 = {high} AND l.objid::int8 = {low} AND l.objsubid = 1")
}

/// The key of a schema's lock: 64 bits, so that 10,000 names do not collide.
fn schema_key(schema: &str) -> i64 {
    let digest = Sha256::digest(format!("portcullis schema {schema}"));
    digest.iter().take(8).fold(0, |key, byte| (key << 8) | i64::from(*byte))
}

/// The key for a name, in the signed form of the lock functions.
fn crc(name: &str) -> i32 {
    crc32fast::hash(name.as_bytes()).cast_signed()
}

fn unsigned(key: i32) -> u32 {
    key.cast_unsigned()
}
