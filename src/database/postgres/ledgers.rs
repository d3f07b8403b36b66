//! Reads many ledgers: chunks of schemas, each chunk one message, over a few fresh connections.
//!
//! A chunk holds two locks a schema (table and primary key) until its transaction ends, so it is kept
//! small; a chunk that errors is halved until the schema that is to blame stands alone. The connections
//! are fresh and closed at once because a server process never gives back what it caches for each table.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use futures_util::future::try_join_all;

use super::{
    connect::{self, flag, text},
    quote::{identifier, qualified},
    reading::Reading,
};
use crate::{
    config,
    database::DatabaseError,
    tenants::{found::Recorded, ledger::Shape},
};

const MAX_CONNECTIONS: usize = 4;
const MAX_CHUNK: usize = 50;

/// Schemas above this make a second connection worth its while.
const SCHEMAS_A_CONNECTION: usize = 25;

/// How to read.
pub(super) struct Work<'a> {
    pub(super) config: &'a config::Postgres,
    pub(super) shape: Shape,
    pub(super) timeout: Duration,
    /// The size of the server's lock table.
    pub(super) locks: u64,
}

type Answers = BTreeMap<String, Result<Vec<Recorded>, sqlx::Error>>;

/// The rows of each schema's ledger, or why they could not be read.
pub(super) async fn read(work: &Work<'_>, schemas: Vec<String>) -> Result<Answers, DatabaseError> {
    if schemas.is_empty() {
        return Ok(Answers::new());
    }
    let connections = schemas.len().div_ceil(SCHEMAS_A_CONNECTION).min(MAX_CONNECTIONS);
    let chunk = chunk_size(work.locks, connections).min(schemas.len().div_ceil(connections));
    let queue: Vec<Vec<String>> = schemas.chunks(chunk).map(<[String]>::to_vec).collect();
    let queue = Mutex::new(queue);
    let answers = try_join_all((0..connections).map(|_| one_connection(work, &queue))).await?;
    Ok(answers.into_iter().flatten().collect())
}

/// One ledger's rows, as a query whose first column is `index`.
pub(super) fn select(shape: Shape, schema: &str, index: usize) -> String {
    let column = |name: Option<&str>, none: &str| name.map_or_else(|| none.to_owned(), identifier);
    let checksum = shape.checksum.map_or_else(
        || "NULL::text".to_owned(),
        |name| format!("pg_catalog.encode({}, 'hex')", identifier(name)),
    );
    format!(
        "SELECT '{index}'::text, {id}::text, coalesce({name}::text, ''), {checksum}, {succeeded}::boolean::text FROM {table}",
        id = shape.app.map_or_else(
            || identifier(shape.id),
            |app| format!("({} || '.' || {})", identifier(app), identifier(shape.id))
        ),
        name = identifier(shape.name),
        succeeded = column(shape.succeeded, "true"),
        table = qualified(schema, shape.table),
    )
}

/// The row that [`select`] reads.
pub(super) fn recorded(row: &sqlx::postgres::PgRow) -> Result<Recorded, sqlx::Error> {
    Ok(Recorded {
        id: text(row, 1)?.unwrap_or_default(),
        name: text(row, 2)?.unwrap_or_default(),
        checksum: text(row, 3)?,
        succeeded: flag(row, 4)?,
    })
}

/// At most a tenth of the lock table for all connections together.
fn chunk_size(locks: u64, connections: usize) -> usize {
    let tenth = usize::try_from(locks / 10).unwrap_or(usize::MAX);
    (tenth / 2 / connections).clamp(1, MAX_CHUNK)
}

async fn one_connection(work: &Work<'_>, queue: &Mutex<Vec<Vec<String>>>) -> Result<Answers, DatabaseError> {
    let mut reading = Reading::open(work.config, work.timeout).await?;
    let mut answers = Answers::new();
    while let Some(mut schemas) = take(queue) {
        match one_chunk(&mut reading, work.shape, &schemas).await {
            Ok(ledgers) => answers.extend(schemas.into_iter().zip(ledgers.into_iter().map(Ok))),
            Err(error) if connect::is_lost(&error) => return Err(connect::failed(&error)),
            Err(error) if schemas.len() == 1 => {
                answers.extend(schemas.pop().map(|schema| (schema, Err(error))));
            }
            Err(_) => {
                let half = schemas.split_off(schemas.len() / 2);
                put(queue, [schemas, half]);
            }
        }
    }
    reading.close().await;
    Ok(answers)
}

async fn one_chunk(
    reading: &mut Reading,
    shape: Shape,
    schemas: &[String],
) -> Result<Vec<Vec<Recorded>>, sqlx::Error> {
    let selects: Vec<String> =
        schemas.iter().enumerate().map(|(index, schema)| select(shape, schema, index)).collect();
    let mut ledgers = vec![Vec::new(); schemas.len()];
    for row in reading.rows(&selects.join(" UNION ALL ")).await? {
        let index = text(&row, 0)?.and_then(|index| index.parse::<usize>().ok());
        if let Some(ledger) = index.and_then(|index| ledgers.get_mut(index)) {
            ledger.push(recorded(&row)?);
        }
    }
    Ok(ledgers)
}

fn take(queue: &Mutex<Vec<Vec<String>>>) -> Option<Vec<String>> {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
}

fn put(queue: &Mutex<Vec<Vec<String>>>, halves: [Vec<String>; 2]) {
    queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(halves);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_never_holds_more_than_a_tenth_of_the_lock_table() {
        assert_eq!(chunk_size(6_400, 4), 50);
        assert_eq!(chunk_size(64 * 20, 4), 16);
        assert_eq!(chunk_size(10, 4), 1);
    }
}
