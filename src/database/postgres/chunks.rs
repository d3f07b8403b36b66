//! Runs the same query on many schemas: in chunks, one message per chunk, over a few connections.
//!
//! A chunk holds the locks of all its schemas until its transaction ends, so chunks are small. A chunk that fails runs
//! again without the schema at which the server's error points, or in halves until one schema is left. The additional
//! connections are new and are closed afterwards, because a server process never frees its cache of each table.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{join_all, try_join};

use super::{connect, connection::Row, error::QueryError, read_only::Reading, server::Server};
use crate::{config, database::DatabaseError};

const UNION: &str = " UNION ALL ";

/// The lock table is full (SQLSTATE 53200); the schema in the error is not the cause.
const OUT_OF_MEMORY: &str = "53200";

/// The server and the limits of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadOptions<'a> {
    pub(super) config: &'a config::Postgres,
    pub(super) timeout: Duration,
    pub(super) server: Server,
}

/// The query for one schema and the result of its rows.
pub(super) trait SchemaQuery {
    type Answer: Default;
    /// The number of schemas in a message. Larger messages are slower and need more of the server's memory.
    const MAX_CHUNK: u64 = 50;

    /// One statement for all schemas, and the end position of each schema's part if it has parts. The first column is the
    /// schema's number.
    fn message(&self, schemas: &[String]) -> (String, Vec<usize>);
    /// The number of locks per schema: a ledger's table and its primary key.
    fn locks(&self) -> u64 {
        2
    }

    fn take(&self, answer: &mut Self::Answer, row: &Row) -> Result<(), QueryError>;

    /// Called when this many more schemas have a result.
    fn on_done(&self, _schemas: usize) {}
}

/// By schema: the answer or the error.
pub(super) type Results<T> = BTreeMap<String, Result<T, QueryError>>;

/// The answer for each schema.
pub(super) async fn query<A: SchemaQuery>(
    reading: &mut Reading,
    options: ReadOptions<'_>,
    query: &A,
    schemas: Vec<String>,
) -> Result<Results<A::Answer>, DatabaseError> {
    let connections = options.server.connections(schemas.len());
    let chunk = options.server.chunk(connections, schemas.len(), query.locks(), A::MAX_CHUNK);
    let queue = Mutex::new(schemas.chunks(chunk).map(<[String]>::to_vec).collect());
    let others = (1..connections).map(async |_| {
        let mut reading = match Reading::open(options.config, options.timeout).await {
            Ok(reading) => reading,
            Err(why) => {
                // The first connection reads the remaining schemas.
                tracing::debug!(%why, "cannot open an additional connection");
                return Ok(Results::new());
            }
        };
        let answers = one_connection(&mut reading, query, &queue).await;
        reading.close().await;
        answers
    });
    let others = async { join_all(others).await.into_iter().collect::<Result<Vec<_>, _>>() };
    let (mut answers, others) = try_join(one_connection(reading, query, &queue), others).await?;
    answers.extend(others.into_iter().flatten());
    Ok(answers)
}

type Queue = Mutex<Vec<Vec<String>>>;

async fn one_connection<A: SchemaQuery>(
    reading: &mut Reading,
    query: &A,
    queue: &Queue,
) -> Result<Results<A::Answer>, DatabaseError> {
    let mut found = Results::new();
    while let Some(mut schemas) = take(queue) {
        let (message, ends) = query.message(&schemas);
        let mut answers: Vec<A::Answer> = schemas.iter().map(|_| A::Answer::default()).collect();
        let mut note = |_, row: Row| {
            let number = connect::number_at(&row, 0)?;
            match answers.get_mut(number) {
                Some(answer) => query.take(answer, &row),
                None => Err(QueryError::Protocol("the server returned a row for an unknown schema".into())),
            }
        };
        let (_, outcome) = reading.each(&[message], &mut note).await;
        let error = match outcome {
            Ok(()) => {
                query.on_done(schemas.len());
                found.extend(schemas.into_iter().zip(answers.into_iter().map(Ok)));
                continue;
            }
            Err(error) if error.is_lost() => return Err(error.into()),
            Err(error) => error,
        };
        if let Some(position) = reading.position(&error)
            && !ends.is_empty()
            && error.code() != Some(OUT_OF_MEMORY)
        {
            let schema = schemas.remove(ends.partition_point(|end| *end < position).min(schemas.len() - 1));
            found.insert(schema, Err(error));
            query.on_done(1);
            put(queue, schemas);
        } else if schemas.len() > 1 {
            let half = schemas.split_off(schemas.len() / 2);
            put(queue, schemas);
            put(queue, half);
        } else {
            query.on_done(1);
            found.extend(schemas.pop().map(|schema| (schema, Err(error))));
        }
    }
    Ok(found)
}

/// A message with one SELECT for each schema.
pub(super) fn union(schemas: &[String], select: impl Fn(usize, &str) -> String) -> (String, Vec<usize>) {
    let (mut message, mut length, mut ends) = (String::new(), 0, Vec::with_capacity(schemas.len()));
    for (number, schema) in schemas.iter().enumerate() {
        let between = if number == 0 { "" } else { UNION };
        let select = select(number, schema);
        length += between.len() + select.chars().count();
        message += between;
        message += &select;
        ends.push(length);
    }
    (message, ends)
}

fn take(queue: &Queue) -> Option<Vec<String>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn put(queue: &Queue, schemas: Vec<String>) {
    if schemas.is_empty() {
        return;
    }
    queue.lock().unwrap_or_else(PoisonError::into_inner).push(schemas);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named;

    impl SchemaQuery for Named {
        type Answer = ();

        fn message(&self, schemas: &[String]) -> (String, Vec<usize>) {
            union(schemas, |number, schema| format!("SELECT {number} FROM {schema}"))
        }

        fn take(&self, (): &mut (), _: &Row) -> Result<(), QueryError> {
            Ok(())
        }
    }

    #[test]
    fn an_error_position_identifies_its_schema() {
        let schemas = ["ä", "bcd", "ü"].map(str::to_owned);
        let (text, ends) = Named.message(&schemas);
        assert_eq!(text, "SELECT 0 FROM ä UNION ALL SELECT 1 FROM bcd UNION ALL SELECT 2 FROM ü");
        for (number, schema) in schemas.iter().enumerate() {
            // The server counts characters, from one.
            let position = 1 + text.chars().count()
                - text
                    .split_once(&format!("{number} FROM {schema}"))
                    .map_or(0, |(_, after)| after.chars().count() + schema.chars().count());
            assert_eq!(ends.partition_point(|end| *end < position), number);
        }
    }
}
