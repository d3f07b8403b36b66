//! Reads the structures of many schemas: a digest of each, then the structure of one schema per digest.
//!
//! Digests are compared only within one inspection. Equal digests mean equal structures; equal structures may have
//! different digests, for example after a column was dropped. A structure counts for the schemas of its digest only if the
//! digest is the same after it was read.

use std::{collections::BTreeMap, sync::Arc};

use super::{super::error::QueryError, object, statements};
use crate::{
    database::{
        DatabaseError,
        postgres::{
            chunks::{self, ReadOptions, SchemaQuery},
            connect,
            connection::Row,
            quote::{array, literal},
            read_only::Reading,
        },
    },
    tenants::structure::{Object, ObjectKind, Structure},
};

const DIGEST: &str = include_str!("digest.sql");
/// The parts of the kinds of objects that few schemas have.
const RARE: &str = include_str!("digest_rare.sql");

/// Whether the only schema has anything that `RARE` reads. It may be true of a schema without such an object.
const HAS_RARE: &str = "EXISTS (SELECT FROM inside WHERE classid <> 'pg_class'::regclass) \
    OR EXISTS (SELECT FROM relation WHERE relispartition OR reloftype <> 0 OR relhasrules OR relkind NOT IN ('r', 'S')) \
    OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = ANY (ARRAY(SELECT oid FROM relation))) \
    OR EXISTS (SELECT FROM pg_policy WHERE polrelid = ANY (ARRAY(SELECT oid FROM relation))) \
    OR EXISTS (SELECT FROM pg_trigger WHERE (NOT tgisinternal OR tgenabled <> 'O') \
        AND tgrelid = ANY (ARRAY(SELECT oid FROM relation WHERE relhastriggers)))";

/// The kinds of objects that a digest covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::database::postgres) enum DigestKinds {
    All,
    /// Tables with columns, constraints, indexes and sequences, for one schema. It takes half the time. The digest of a
    /// schema with an object of another kind is null; every other digest is that of `All`.
    Common,
}

/// Up to this number of schemas, views cannot fill the lock table.
const FEW: usize = 20;
/// An estimate, because a schema's views are known only after they were read. If the lock table is full nevertheless, the
/// message is sent again in halves.
const LOCKS_PER_VIEW: u64 = 4;

/// The number of times that a structure may change while it is read.
const ATTEMPTS: usize = 20;

/// Without statistics, nested loops over many schemas take minutes. Compiling the query takes longer than running it.
pub(in crate::database::postgres) const PLAN: &str = "SET LOCAL enable_nestloop = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; \
    SET LOCAL max_parallel_workers_per_gather = 0";

/// Selects the number and the digest of each schema of an array, without the ledger's table.
pub(in crate::database::postgres) fn digest(
    version: u32,
    schemas: &str,
    ledger: &str,
    kinds: DigestKinds,
) -> String {
    let since = |since, text| if version >= since { text } else { "" };
    let (rare, has_rare) = match kinds {
        DigestKinds::All => (RARE, "false"),
        DigestKinds::Common => ("", HAS_RARE),
    };
    DIGEST
        .replace("$rare", rare)
        .replace("$has_rare", has_rare)
        .replace("$index", since(150_000, " + 32 * x.indnullsnotdistinct::int"))
        .replace("$constraint", since(180_000, " + 64 * k.conenforced::int"))
        .replace("$ledger", &literal(ledger))
        .replace("$schemas", schemas)
}

/// By schema: the structure or the error.
pub(in crate::database::postgres) type Structures = BTreeMap<String, Result<Arc<Structure>, QueryError>>;

/// The structure of each schema without its ledger.
pub(in crate::database::postgres) async fn structures(
    reading: &mut Reading,
    options: ReadOptions<'_>,
    schemas: Vec<String>,
    ledger: &str,
) -> Result<Structures, DatabaseError> {
    let mut digests = Digests { version: reading.server_version(), ledger, locks: 1 };
    if schemas.len() > FEW
        && let Some(first) = schemas.first()
        // An error of this schema is reported below.
        && let Ok((example, _)) = one(reading, &digests, first).await
    {
        let views = example.objects().iter().filter(|object| is_view(object)).count();
        digests.locks = LOCKS_PER_VIEW * u64::try_from(views).unwrap_or(u64::MAX);
    }
    let mut structures = Structures::new();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (schema, digest) in chunks::query(reading, options, &digests, schemas).await? {
        match digest {
            Ok(digest) => groups.entry(digest).or_default().push(schema),
            Err(error) => drop(structures.insert(schema, Err(error))),
        }
    }
    let mut changes = 0;
    while let Some((digest, mut schemas)) = groups.pop_first() {
        let Some(schema) = schemas.pop() else { continue };
        match one(reading, &digests, &schema).await {
            Ok((structure, after)) if after == digest => {
                let structure = Arc::new(structure.without_table(ledger));
                structures.insert(schema, Ok(Arc::clone(&structure)));
                structures.extend(schemas.into_iter().map(|schema| (schema, Ok(Arc::clone(&structure)))));
                continue;
            }
            Ok((_, after)) => {
                changes += 1;
                if changes < ATTEMPTS {
                    groups.entry(after).or_default().push(schema);
                } else {
                    let why = "its structure changes while it is read".into();
                    structures.insert(schema, Err(QueryError::Protocol(why)));
                }
            }
            Err(error) if error.is_lost() => return Err(error.into()),
            Err(error) => drop(structures.insert(schema, Err(error))),
        }
        if !schemas.is_empty() {
            groups.entry(digest).or_default().append(&mut schemas);
        }
    }
    Ok(structures)
}

/// The structure of one schema, and its digest afterwards.
async fn one(
    reading: &mut Reading,
    digests: &Digests<'_>,
    schema: &str,
) -> Result<(Structure, String), QueryError> {
    let [path, objects] = statements(schema);
    let (digest, _) = digests.message(&[schema.to_owned()]);
    let messages = [path, objects, "SET LOCAL search_path = pg_catalog".to_owned(), digest];
    let (mut found, mut after) = (Vec::new(), String::new());
    let take = &mut |statement, row: Row| {
        if statement == 1 {
            found.push(object(&row, schema)?);
        } else {
            digests.take(&mut after, &row)?;
        }
        Ok(())
    };
    reading.each(&messages, take).await.1?;
    Ok((Structure::new(found), after))
}

/// The server locks the tables that a view or a rule reads.
fn is_view(object: &Object) -> bool {
    matches!(object.kind, ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Rule)
}

struct Digests<'a> {
    version: u32,
    ledger: &'a str,
    locks: u64,
}

impl SchemaQuery for Digests<'_> {
    type Answer = String;
    /// Planning the query takes as long as the digests of a hundred schemas.
    const MAX_CHUNK: u64 = 500;

    fn message(&self, schemas: &[String]) -> (String, Vec<usize>) {
        let schemas = array(schemas.iter().map(|schema| Some(schema.as_str())));
        (format!("{PLAN}; {}", digest(self.version, &schemas, self.ledger, DigestKinds::All)), Vec::new())
    }

    fn locks(&self) -> u64 {
        self.locks
    }

    fn take(&self, answer: &mut String, row: &Row) -> Result<(), QueryError> {
        *answer = connect::text(row, 1)?.unwrap_or_default();
        Ok(())
    }
}
