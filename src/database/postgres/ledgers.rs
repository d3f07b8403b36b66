//! Reads many ledgers: a digest of each, then the rows of one of each kind.
//!
//! Ten thousand tenants of one release have the same ledger, or a few: to read it once is enough. A digest is what
//! the judgement depends on of every row, hashed and summed, and how many rows there are. It is computed by one
//! server in one look and compared with nothing else, for the hash may differ between versions.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::postgres::PgRow;

use super::{
    chunks::{self, Ask, Work},
    connect::{flag, text},
    quote::{identifier, qualified},
    reading::Reading,
};
use crate::{
    database::DatabaseError,
    tenants::{found::Recorded, ledger::Shape},
};

/// Of so few the rows are asked for at once.
const FEW: usize = 4;

/// By schema: the ledger's rows, or why they could not be read.
pub(super) type Ledgers = BTreeMap<String, Result<Arc<[Recorded]>, sqlx::Error>>;

/// The rows of each schema's ledger.
pub(super) async fn read(
    reading: &mut Reading,
    work: Work<'_>,
    shape: Shape,
    schemas: Vec<String>,
) -> Result<Ledgers, DatabaseError> {
    let mut ledgers = Ledgers::new();
    let mut kinds: Vec<(Option<Digest>, Vec<String>)> = Vec::new();
    if schemas.len() <= FEW {
        kinds.extend(schemas.into_iter().map(|schema| (None, vec![schema])));
    } else {
        let mut same: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        for (schema, answer) in chunks::ask(reading, work, &Digests(shape), schemas).await? {
            match answer {
                Ok(digest) => same.entry(digest).or_default().push(schema),
                Err(error) => drop(ledgers.insert(schema, Err(error))),
            }
        }
        kinds.extend(same.into_iter().map(|(digest, schemas)| (Some(digest), schemas)));
    }
    // Each turn settles at least one schema of each kind.
    while !kinds.is_empty() {
        let first = kinds.iter().filter_map(|(_, schemas)| schemas.last().cloned()).collect();
        let mut rows = chunks::ask(reading, work, &Rows(shape), first).await?;
        kinds.retain_mut(|(digest, schemas)| {
            let Some(first) = schemas.pop() else { return false };
            match rows.remove(&first) {
                Some(Ok(answer)) => {
                    let ledger: Arc<[Recorded]> = answer.recorded.into();
                    // Where it has changed since, it says nothing of the others.
                    if *digest == Some(answer.digest) {
                        ledgers.extend(schemas.drain(..).map(|schema| (schema, Ok(Arc::clone(&ledger)))));
                    }
                    ledgers.insert(first, Ok(ledger));
                }
                Some(Err(error)) => drop(ledgers.insert(first, Err(error))),
                None => {}
            }
            !schemas.is_empty()
        });
    }
    Ok(ledgers)
}

/// The rows of one ledger.
pub(super) fn select(shape: Shape, schema: &str) -> String {
    format!(
        "SELECT (count(*) OVER ())::text, (sum({hash}) OVER ())::text, {id}, coalesce({name}::text, ''), \
         {checksum}, {succeeded} FROM {table}",
        hash = hash(shape),
        id = id(shape),
        name = identifier(shape.name),
        checksum = shape.checksum.map_or_else(
            || "NULL::text".to_owned(),
            |column| format!("pg_catalog.encode({}, 'hex')", identifier(column))
        ),
        succeeded = shape.succeeded.map_or_else(
            || "'true'::text".to_owned(),
            |column| format!("{}::boolean::text", identifier(column))
        ),
        table = qualified(schema, shape.table),
    )
}

/// A row that [`select`] reads.
pub(super) fn recorded(row: &PgRow) -> Result<Recorded, sqlx::Error> {
    Ok(Recorded {
        id: text(row, 2)?.unwrap_or_default(),
        name: text(row, 3)?.unwrap_or_default(),
        checksum: text(row, 4)?,
        succeeded: flag(row, 5)?,
    })
}

/// How many rows, and the sum of their hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Digest {
    count: String,
    sum: Option<String>,
}

impl Digest {
    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { count: text(row, 0)?.unwrap_or_default(), sum: text(row, 1)? })
    }
}

/// What a digest and a window over all rows have in common; no row must be lost to a null.
fn hash(shape: Shape) -> String {
    let part = |name: Option<&str>, sql: fn(String) -> String| {
        name.map_or_else(String::new, |name| format!(" || ':' || coalesce({}, '?')", sql(identifier(name))))
    };
    format!(
        "pg_catalog.hashtextextended(({id}{checksum}{succeeded}) COLLATE \"C\", 0)",
        id = id(shape),
        checksum = part(shape.checksum, |column| format!("pg_catalog.encode({column}, 'hex')")),
        succeeded = part(shape.succeeded, |column| format!("{column}::boolean::text")),
    )
}

fn id(shape: Shape) -> String {
    let id = format!("coalesce({}::text, '')", identifier(shape.id));
    shape
        .app
        .map_or_else(|| id.clone(), |app| format!("coalesce({}::text, '') || '.' || {id}", identifier(app)))
}

struct Digests(Shape);

impl Ask for Digests {
    type Answer = Digest;

    fn statement(&self, schema: &str) -> String {
        let table = qualified(schema, self.0.table);
        format!("SELECT count(*)::text, sum({})::text FROM {table}", hash(self.0))
    }

    fn take(&self, answer: &mut Digest, row: &PgRow) -> Result<(), sqlx::Error> {
        *answer = Digest::of(row)?;
        Ok(())
    }
}

struct Rows(Shape);

/// Of an empty one no row says what its digest is.
struct Ledger {
    digest: Digest,
    recorded: Vec<Recorded>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { digest: Digest { count: "0".into(), sum: None }, recorded: Vec::new() }
    }
}

impl Ask for Rows {
    type Answer = Ledger;

    fn statement(&self, schema: &str) -> String {
        select(self.0, schema)
    }

    fn take(&self, answer: &mut Ledger, row: &PgRow) -> Result<(), sqlx::Error> {
        if answer.recorded.is_empty() {
            answer.digest = Digest::of(row)?;
        }
        answer.recorded.push(recorded(row)?);
        Ok(())
    }
}
