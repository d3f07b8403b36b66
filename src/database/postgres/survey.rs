//! Finds the tables that may be ledgers in every schema, and the table that lists those schemas. It only reads.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Postgres, connect,
    error::QueryError,
    ledgers, metadata_schema,
    outside::TEMPORARY_SCHEMA,
    quote::{array, identifier, literal, qualified},
    read_only::Reading,
};
use crate::{
    database::{DatabaseError, Schema},
    ordered::Ordered,
    tenants::{
        inspection::LedgerRow,
        ledger::LedgerLayout,
        survey::{self, LedgerTable, RegistryTable, Survey},
    },
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// The columns of the shared schema that are compared with the names of the schemas.
const MOST_COLUMNS: usize = 200;

impl Postgres {
    pub(crate) async fn survey(&self, known: &[&str]) -> Result<Survey, DatabaseError> {
        let mut reading = Reading::open(self.reader(), TIMEOUT).await?;
        let survey = read(&mut reading, &self.config.shared_schema, known).await;
        reading.close().await;
        Ok(survey?)
    }

    /// The rows of the ledger in one schema.
    pub(crate) async fn recorded(
        &self,
        schema: &Schema,
        shape: LedgerLayout<'_>,
    ) -> Result<Vec<LedgerRow>, DatabaseError> {
        let mut reading = Reading::open(self.reader(), TIMEOUT).await?;
        let rows = reading.rows(&ledgers::select(shape, 1, self.schema_name(schema))).await;
        reading.close().await;
        Ok(rows?.iter().map(ledgers::recorded).collect::<Result<_, _>>()?)
    }
}

async fn read(reading: &mut Reading, shared: &str, known: &[&str]) -> Result<Survey, QueryError> {
    let tables = format!(
        "SELECT n.nspname::text, c.relname::text, string_agg(a.attname::text, ',' ORDER BY a.attnum), \
         (NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')))::text \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE (c.relname::text = ANY({}) OR c.relname ~* {} AND c.relname !~* {}) AND c.relkind IN ('r', 'p') \
         AND n.nspname !~ '^pg_' AND n.nspname <> {} AND n.nspname !~ {} \
         GROUP BY n.oid, c.oid, n.nspname, c.relname ORDER BY n.nspname, c.relname",
        array(known.iter().map(|table| Some(*table))),
        literal(&survey::like_a_ledger()),
        literal(&format!("{}$", survey::LOCK)),
        literal(metadata_schema::SCHEMA),
        literal(TEMPORARY_SCHEMA),
    );
    let mut ledgers = Vec::new();
    for row in reading.rows(&tables).await? {
        let text = |at| connect::text(&row, at).map(Option::unwrap_or_default);
        let schema = text(0)?;
        let columns = text(2)?.split(',').map(str::to_owned).collect();
        let (shared, denied) = (schema == shared, connect::flag(&row, 3)?);
        ledgers.push(LedgerTable { schema, shared, table: text(1)?, columns, denied });
    }
    let tenants = ledgers.iter().filter(|ledger| !ledger.shared);
    let schemas: BTreeSet<&str> = tenants.map(|ledger| ledger.schema.as_str()).into_set();
    let registry = if schemas.is_empty() { None } else { registry(reading, shared, &schemas).await? };
    Ok(Survey { ledgers, registry })
}

/// The table of the shared schema that lists most of these schemas, and at least half of them.
async fn registry(
    reading: &mut Reading,
    shared: &str,
    schemas: &BTreeSet<&str>,
) -> Result<Option<RegistryTable>, QueryError> {
    let columns = format!(
        "SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE n.nspname = {}::name AND c.relkind IN ('r', 'p') AND a.atttypid IN (19, 25, 1042, 1043) \
         AND has_table_privilege(c.oid, 'SELECT') AND (a.attname ~* 'schema|tenant' OR EXISTS (SELECT FROM pg_index i \
         WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)) \
         ORDER BY a.attname !~* 'schema', c.relname, a.attnum LIMIT {MOST_COLUMNS}",
        literal(shared)
    );
    let listed = array(schemas.iter().map(|schema| Some(*schema)));
    let mut best: Option<RegistryTable> = None;
    for row in reading.rows(&columns).await? {
        let text = |at| connect::text(&row, at).map(Option::unwrap_or_default);
        let (table, column) = (text(0)?, text(1)?);
        let count = format!(
            "SELECT count(DISTINCT {name}::text) FROM {} WHERE {name}::text = ANY({listed})",
            qualified(shared, &table),
            name = identifier(&column),
        );
        for row in reading.rows(&count).await? {
            let unlisted = schemas.len() - connect::number_at(&row, 0)?.min(schemas.len());
            if unlisted <= schemas.len() / 2 && best.as_ref().is_none_or(|best| unlisted < best.unlisted) {
                best = Some(RegistryTable { table: table.clone(), column: column.clone(), unlisted });
            }
        }
    }
    Ok(best)
}
