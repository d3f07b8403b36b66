//! Reads many ledgers: a digest of each, then the rows of one ledger per digest.
//!
//! Ten thousand tenants of one release have only a few different ledgers, so each is read once. A digest is the number
//! of rows and the sum of their hashes over everything that affects the verdict. Digests are compared only within one
//! inspection, because the hash may differ between server versions.

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use super::{
    chunks::{self, ReadOptions, SchemaQuery},
    connect::{self, flag, text},
    connection::Row,
    error::QueryError,
    quote::{identifier, qualified},
    read_only::Reading,
};
use crate::{
    database::DatabaseError,
    tenants::{
        inspection::LedgerRow,
        ledger::{Checksum, LedgerLayout},
    },
};

/// Up to this number of ledgers, the rows are read without digests.
const FEW: usize = 4;

/// By schema: the ledger's rows or the error.
pub(super) type Ledgers = BTreeMap<String, Result<Arc<[LedgerRow]>, QueryError>>;

/// The rows of each schema's ledger.
pub(super) async fn read(
    reading: &mut Reading,
    options: ReadOptions<'_>,
    shape: LedgerLayout<'_>,
    schemas: Vec<String>,
    on_progress: &dyn Fn(usize, usize),
) -> Result<Ledgers, DatabaseError> {
    let mut ledgers = Ledgers::new();
    let mut kinds: Vec<(Option<Digest>, Vec<String>)> = Vec::new();
    if schemas.len() <= FEW {
        kinds.extend(schemas.into_iter().map(|schema| (None, vec![schema])));
    } else {
        let mut by_digest: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        let digests = Digests { shape, total: schemas.len(), done: Cell::new(0), on_progress };
        on_progress(0, digests.total);
        for (schema, answer) in chunks::query(reading, options, &digests, schemas).await? {
            match answer {
                Ok(digest) => by_digest.entry(digest).or_default().push(schema),
                Err(error) => drop(ledgers.insert(schema, Err(error))),
            }
        }
        kinds.extend(by_digest.into_iter().map(|(digest, schemas)| (Some(digest), schemas)));
    }
    // Each iteration reads at least one schema of each kind.
    while !kinds.is_empty() {
        let first = kinds.iter().filter_map(|(_, schemas)| schemas.last().cloned()).collect();
        let mut rows = chunks::query(reading, options, &Rows(shape), first).await?;
        kinds.retain_mut(|(digest, schemas)| {
            let Some(first) = schemas.pop() else { return false };
            match rows.remove(&first) {
                Some(Ok(answer)) => {
                    let ledger: Arc<[LedgerRow]> = answer.recorded.into();
                    // A ledger that has changed since its digest says nothing about the others.
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

/// The statement that reads one ledger.
pub(super) fn select(shape: LedgerLayout<'_>, number: usize, schema: &str) -> String {
    format!(
        "SELECT {number}, count(*) OVER (), (sum({hash}) OVER ())::text, {id}, {name}, \
         {checksum}, {succeeded} FROM {table}",
        hash = hash(shape),
        id = shape.app.map_or_else(
            || text_of(shape.id),
            |app| format!("{} || '.' || {}", text_of(app), text_of(shape.id))
        ),
        name = shape.name.map_or_else(|| "''::text".to_owned(), text_of),
        checksum = match shape.checksum {
            None => "NULL::text".to_owned(),
            Some(Checksum::Bytes(column)) => format!("pg_catalog.encode({}, 'hex')", identifier(column)),
            Some(Checksum::Text(column)) => format!("{}::text", identifier(column)),
        },
        succeeded = shape
            .succeeded
            .map_or_else(|| "'true'::text".to_owned(), |condition| format!("{}::text", is_met(condition))),
        table = table(shape, schema),
    )
}

/// Parses a row of [`select`].
pub(super) fn recorded(row: &Row) -> Result<LedgerRow, QueryError> {
    Ok(LedgerRow {
        id: text(row, 3)?.unwrap_or_default(),
        name: text(row, 4)?.unwrap_or_default(),
        checksum: text(row, 5)?,
        succeeded: flag(row, 6)?,
    })
}

/// The number of rows and the sum of their hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Digest {
    count: usize,
    sum: Option<String>,
}

impl Digest {
    fn of(row: &Row) -> Result<Self, QueryError> {
        Ok(Self { count: connect::number_at(row, 1)?, sum: connect::raw_text(row, 2)?.map(str::to_owned) })
    }
}

/// The hash of everything in a row that affects the verdict; never null. Each part's hash is the seed of the next,
/// which costs half of a concatenation.
fn hash(shape: LedgerLayout<'_>) -> String {
    let seeded = |text: &str, seed: &str| {
        format!("pg_catalog.hashtextextended({text} COLLATE pg_catalog.\"C\", {seed})")
    };
    let outcome = match (shape.checksum, shape.succeeded) {
        (Some(checksum), None) => Some(text_of(column(checksum))),
        (None, Some(succeeded)) => Some(format!("{}::text", is_met(succeeded))),
        // For a failed row the checksum does not matter.
        (Some(checksum), Some(succeeded)) => {
            Some(format!("CASE WHEN {} THEN {} ELSE '-' END", is_met(succeeded), text_of(column(checksum))))
        }
        (None, None) => None,
    };
    let id = match (shape.app, &outcome) {
        (Some(app), _) => seeded(&text_of(shape.id), &seeded(&text_of(app), "0")),
        (None, Some(_)) if shape.numbered => format!("coalesce({}::int8, -1)", identifier(shape.id)),
        (None, _) => seeded(&text_of(shape.id), "0"),
    };
    outcome.map_or_else(|| id.clone(), |outcome| seeded(&format!("({outcome})"), &id))
}

/// The ledger with the condition for its rows.
fn table(shape: LedgerLayout<'_>, schema: &str) -> String {
    let table = qualified(schema, shape.table);
    match shape.rows {
        None => table,
        Some(condition) => format!("{table} WHERE {}", is_met(condition)),
    }
}

fn is_met(condition: &str) -> String {
    format!("(({condition}) IS TRUE)")
}

fn column(checksum: Checksum<'_>) -> &str {
    match checksum {
        Checksum::Bytes(column) | Checksum::Text(column) => column,
    }
}

fn text_of(column: &str) -> String {
    format!("coalesce({}::text, '')", identifier(column))
}

/// The digest query, which takes most of an inspection's time.
struct Digests<'a> {
    shape: LedgerLayout<'a>,
    total: usize,
    done: Cell<usize>,
    on_progress: &'a dyn Fn(usize, usize),
}

impl SchemaQuery for Digests<'_> {
    type Answer = Digest;

    fn message(&self, schemas: &[String]) -> (String, Vec<usize>) {
        chunks::union(schemas, |number, schema| {
            format!("SELECT {number}, count(*), sum({}) FROM {}", hash(self.shape), table(self.shape, schema))
        })
    }

    fn take(&self, answer: &mut Digest, row: &Row) -> Result<(), QueryError> {
        *answer = Digest::of(row)?;
        Ok(())
    }

    fn on_done(&self, schemas: usize) {
        self.done.set(self.done.get() + schemas);
        (self.on_progress)(self.done.get(), self.total);
    }
}

struct Rows<'a>(LedgerLayout<'a>);

#[derive(Default)]
struct Ledger {
    digest: Digest,
    recorded: Vec<LedgerRow>,
}

impl SchemaQuery for Rows<'_> {
    type Answer = Ledger;

    fn message(&self, schemas: &[String]) -> (String, Vec<usize>) {
        chunks::union(schemas, |number, schema| select(self.0, number, schema))
    }

    fn take(&self, answer: &mut Ledger, row: &Row) -> Result<(), QueryError> {
        if answer.recorded.is_empty() {
            answer.digest = Digest::of(row)?;
        }
        answer.recorded.push(recorded(row)?);
        Ok(())
    }
}
