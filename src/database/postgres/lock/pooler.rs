//! Finds a pooler in transaction mode between us and the server: two of our connections meet in one backend.

use sqlx::{
    Acquire,
    postgres::{PgListener, PgRow},
};

use super::super::{
    connect,
    connection::{Connection, rows_by},
};
use crate::deadline::Deadline;

/// Another client of the pooler may come between a question and the next, but not every time.
const ROUNDS: u32 = 3;

const PID: &str = "SELECT pg_catalog.pg_backend_pid()::text";

/// A session of the server's own has its backend for itself. A pooler in transaction mode hands out the backend
/// that was used last: a transaction on one connection gets that of the other, which then has to take another.
pub(super) async fn between(
    probe: &mut Connection,
    listener: &mut PgListener,
    deadline: Deadline,
) -> Result<bool, sqlx::Error> {
    for _ in 0..ROUNDS {
        let before = pid(&rows_by(listener.acquire().await?, PID, deadline).await?)?;
        let inside = pid(&probe.rows(&format!("BEGIN; {PID}")).await?)?;
        let after = pid(&rows_by(listener.acquire().await?, PID, deadline).await?)?;
        probe.rows("ROLLBACK").await?;
        if inside == before || before != after {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pid(rows: &[PgRow]) -> Result<Option<String>, sqlx::Error> {
    rows.first().map_or(Ok(None), |row| connect::text(row, 0))
}
