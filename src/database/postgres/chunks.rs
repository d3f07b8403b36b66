//! Asks the same of many schemas: chunks of them, each chunk one message, over a few connections.
//!
//! A chunk holds the locks of all its schemas until its transaction ends, so it is kept small. Each schema has a
//! statement of its own, so that an error is known to be the schema's at which it came. The further connections
//! are fresh and closed at once, because a server process never gives back what it caches for each table.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::{join_all, try_join};
use sqlx::postgres::PgRow;

use super::{connect, reading::Reading, server::Server};
use crate::{config, database::DatabaseError};

/// Where and how to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) config: &'a config::Postgres,
    pub(super) timeout: Duration,
    pub(super) server: Server,
}

/// The statement for one schema, and what its rows come to.
pub(super) trait Ask {
    type Answer: Default;

    fn statement(&self, schema: &str) -> String;
    fn take(&self, answer: &mut Self::Answer, row: &PgRow) -> Result<(), sqlx::Error>;
}

/// By schema: the answer, or why there is none.
pub(super) type Answers<T> = BTreeMap<String, Result<T, sqlx::Error>>;

/// An answer for each of the schemas.
pub(super) async fn ask<A: Ask>(
    reading: &mut Reading,
    work: Work<'_>,
    ask: &A,
    schemas: Vec<String>,
) -> Result<Answers<A::Answer>, DatabaseError> {
    let connections = work.server.connections(schemas.len());
    let chunk = work.server.chunk(connections, schemas.len());
    let queue = Mutex::new(schemas.chunks(chunk).map(<[String]>::to_vec).collect());
    let others = (1..connections).map(async |_| {
        let mut reading = match Reading::open(work.config, work.timeout).await {
            Ok(reading) => reading,
            Err(why) => {
                // The first connection does it alone.
                tracing::debug!(%why, "no further connection");
                return Ok(Answers::new());
            }
        };
        let answers = one_connection(&mut reading, ask, &queue).await;
        reading.close().await;
        answers
    });
    let others = async { join_all(others).await.into_iter().collect::<Result<Vec<_>, _>>() };
    let (mut answers, others) = try_join(one_connection(reading, ask, &queue), others).await?;
    answers.extend(others.into_iter().flatten());
    Ok(answers)
}

type Queue = Mutex<Vec<Vec<String>>>;

async fn one_connection<A: Ask>(
    reading: &mut Reading,
    ask: &A,
    queue: &Queue,
) -> Result<Answers<A::Answer>, DatabaseError> {
    let mut found = Answers::new();
    while let Some(mut schemas) = take(queue) {
        let statements: Vec<String> = schemas.iter().map(|schema| ask.statement(schema)).collect();
        let mut answers: Vec<A::Answer> = schemas.iter().map(|_| A::Answer::default()).collect();
        let mut note = |index, row: PgRow| match answers.get_mut(index) {
            Some(answer) => ask.take(answer, &row),
            None => Err(sqlx::Error::Protocol("more answers than questions".into())),
        };
        let (done, outcome) = reading.each(&statements, &mut note).await;
        let mut rest = schemas.split_off(done);
        found.extend(schemas.into_iter().zip(answers.into_iter().map(Ok)));
        match outcome {
            Ok(()) if rest.is_empty() => {}
            Ok(()) => return Err(DatabaseError::Failed("fewer answers than questions".into())),
            Err(error) if connect::is_lost(&error) => return Err(connect::failed(&error)),
            // Only alone is it certainly to blame, and not the locks or the time that the others took.
            Err(error) if done == 0 && !rest.is_empty() => {
                found.insert(rest.remove(0), Err(error));
            }
            Err(_) => tracing::debug!(schema = rest.first(), "asked once more"),
        }
        if !rest.is_empty() {
            put(queue, rest);
        }
    }
    Ok(found)
}

fn take(queue: &Queue) -> Option<Vec<String>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn put(queue: &Queue, schemas: Vec<String>) {
    queue.lock().unwrap_or_else(PoisonError::into_inner).push(schemas);
}
