//! Portcullis's own schema. The first run that has something to write there creates it.

use std::time::Duration;

use super::{connect, connection::Connection, error::QueryError, quote::literal};
use crate::{
    deadline::Deadline,
    retry::{Pauses, Retry},
};

pub(super) const SCHEMA: &str = "portcullis";

/// The key of the lock for the creation of the schema and its tables.
const CREATION_LOCK: i64 = 0x706f_7274_6f77_6e73;

/// While another session creates them.
const PAUSES: Pauses = Pauses::even(Duration::from_millis(100));
const ATTEMPTS: u32 = 50;

/// Creates the schema and these tables (`CREATE TABLE IF NOT EXISTS ...`), safely for several sessions at the same time.
pub(super) async fn ensure(connection: &mut Connection, tables: &str) -> Result<(), QueryError> {
    let mut retry = Retry::new(PAUSES).at_most(ATTEMPTS);
    loop {
        // A retry loop, because a session that blocks on the lock holds a snapshot.
        let begin = format!("BEGIN; SELECT pg_catalog.pg_try_advisory_xact_lock({CREATION_LOCK})::text");
        let rows = connection.rows(&begin).await?;
        if rows.first().map(|row| connect::flag(row, 0)).transpose()? == Some(true) {
            break;
        }
        let Some(pause) = retry.next() else { break };
        connection.rows("ROLLBACK").await?;
        Deadline::after(pause).passed().await;
    }
    // `IF NOT EXISTS` needs the privilege to create the schema even if the schema exists.
    let exists =
        format!("SELECT 1::text FROM pg_catalog.pg_namespace WHERE nspname::text = {}", literal(SCHEMA));
    let schema = if connection.rows(&exists).await?.is_empty() {
        format!("CREATE SCHEMA {SCHEMA}; ")
    } else {
        String::new()
    };
    let created = connection.rows(&format!("{schema}{tables}; COMMIT")).await;
    if created.is_err() {
        // The error of the creation is reported.
        connection.roll_back().await;
    }
    created.map(drop)
}
