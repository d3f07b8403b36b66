//! Portcullis' own schema: made by the first run that has something to write there, by nobody else.

use std::time::Duration;

use super::{connect, connection::Connection, quote::literal};

pub(super) const SCHEMA: &str = "portcullis";

/// The key under which the schema and its tables are made.
const MAKING: i64 = 0x706f_7274_6f77_6e73;

/// Attempts in all, while another session makes them.
const ATTEMPTS: u32 = 50;

/// Makes the schema and these tables (`CREATE TABLE IF NOT EXISTS ...`), also if two do it at once.
pub(super) async fn ensure(connection: &mut Connection, tables: &str) -> Result<(), sqlx::Error> {
    for attempt in 1..=ATTEMPTS {
        // Asked again and again: whoever blocks in the lock holds a snapshot.
        let begin = format!("BEGIN; SELECT pg_catalog.pg_try_advisory_xact_lock({MAKING})::text");
        let rows = connection.rows(&begin).await?;
        if attempt == ATTEMPTS || rows.first().map(|row| connect::flag(row, 0)).transpose()? == Some(true) {
            break;
        }
        connection.rows("ROLLBACK").await?;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..=100))).await;
    }
    // `IF NOT EXISTS` asks for the privilege to make the schema even where it is there.
    let exists =
        format!("SELECT 1::text FROM pg_catalog.pg_namespace WHERE nspname::text = {}", literal(SCHEMA));
    let schema = if connection.rows(&exists).await?.is_empty() {
        format!("CREATE SCHEMA {SCHEMA}; ")
    } else {
        String::new()
    };
    let made = connection.rows(&format!("{schema}{tables}; COMMIT")).await;
    if made.is_err() {
        // The error of making them is what counts.
        let _ = connection.rows("ROLLBACK").await;
    }
    made.map(drop)
}
