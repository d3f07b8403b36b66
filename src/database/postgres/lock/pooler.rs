//! Detects a pooler in transaction mode: two connections reach the same backend.

use super::super::{
    connect,
    connection::{Connection, Row},
    error::QueryError,
};
use crate::deadline::Deadline;

/// Another client of the pooler may use the backend between two queries, but not in every round.
const ROUNDS: u32 = 3;

const PID: &str = "SELECT pg_catalog.pg_backend_pid()::text";

/// A direct session always has its own backend. A pooler in transaction mode assigns the last used backend: a
/// transaction on one connection gets the backend of the other, which then gets another one.
pub(super) async fn is_pooled(
    probe: &mut Connection,
    listener: &mut Connection,
    deadline: Deadline,
) -> Result<bool, QueryError> {
    for _ in 0..ROUNDS {
        let before = pid(&listener.rows_until(PID, deadline).await?)?;
        let inside = pid(&probe.rows(&format!("BEGIN; {PID}")).await?)?;
        let after = pid(&listener.rows_until(PID, deadline).await?)?;
        probe.rows("ROLLBACK").await?;
        if inside == before || before != after {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pid(rows: &[Row]) -> Result<Option<String>, QueryError> {
    rows.first().map_or(Ok(None), |row| connect::text(row, 0))
}
