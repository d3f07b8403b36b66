//! Finds a pooler in transaction mode between us and the server: two of our connections meet in one backend.

use sqlx::{
    Acquire,
    postgres::{PgConnection, PgListener},
};

use super::super::connect;

/// Another client of the pooler may come between a question and the next, but not every time.
const ROUNDS: u32 = 3;

/// A session of the server's own has its backend for itself. A pooler in transaction mode hands out the backend
/// that was used last: a transaction on one connection gets that of the other, which then has to take another.
pub(super) async fn between(
    probe: &mut PgConnection,
    listener: &mut PgListener,
) -> Result<bool, sqlx::Error> {
    for _ in 0..ROUNDS {
        let before = backend(listener.acquire().await?, "").await?;
        let inside = backend(probe, "BEGIN; ").await?;
        let after = backend(listener.acquire().await?, "").await?;
        connect::rows(probe, "ROLLBACK").await?;
        if inside == before || before != after {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn backend(connection: &mut PgConnection, first: &str) -> Result<Option<String>, sqlx::Error> {
    let rows = connect::rows(connection, &format!("{first}SELECT pg_catalog.pg_backend_pid()::text")).await?;
    rows.first().map_or(Ok(None), |row| connect::text(row, 0))
}
