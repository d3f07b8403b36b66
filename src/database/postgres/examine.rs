//! The doctor's facts about PostgreSQL: privileges, pooler, limits, clock, duplicates, leftovers.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{
    DatabaseError, Postgres,
    catalog::RELATIONS,
    connect,
    connection::Connection,
    error::QueryError,
    journal,
    quote::{array, identifier, literal, qualified},
    read_only::Reading,
    registry, structure,
};
use crate::{
    config,
    database::examined::{Examined, Pooler, Reader, ServerLimits, Writer},
};

/// For each query.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// A pooler may rotate its server processes; this number of attempts is enough to see one again.
const POOLER_ATTEMPTS: usize = 8;

/// Temporary schemas of a derivation.
const LEFTOVERS: &str = "SELECT 'the schema ' || n.nspname FROM pg_namespace n \
    WHERE n.nspname ~ '^portcullis_(shared|tenant)_[0-9a-f]{16}$' ORDER BY 1";

/// The maximum number of names per kind.
const NAMED: usize = 5;

impl Postgres {
    /// Fetches each fact separately, so that a failed query affects only its own fact.
    pub(crate) async fn examine(&self, tenants: &[String]) -> Examined {
        let text = |error: DatabaseError| error.to_string();
        let mut examined = Examined {
            writer: Some(self.writer_facts(tenants).await.map_err(text)),
            reader: match &self.config.reader {
                Some(_) => Some(self.reader_facts(tenants).await.map_err(text)),
                None => None,
            },
            pooler: Some(self.pooler().await.map_err(text)),
            ..Examined::default()
        };
        match Reading::open(self.reader(), TIMEOUT).await {
            Ok(mut reading) => {
                examined.limits = Some(server_limits(&mut reading).await.map_err(text));
                examined.ahead = Some(clock_offset(&mut reading).await.map_err(text));
                let major = texts(&mut reading, structure::VERSION).await.map_err(text);
                examined.major = Some(major.map(|rows| rows.concat()));
                if let Some(registry) = &self.registry {
                    examined.duplicates = Some(self.duplicates(&mut reading, registry).await.map_err(text));
                }
                examined.leftovers = Some(leftovers(&mut reading).await.map_err(text));
                reading.close().await;
            }
            Err(error) => {
                let why = error.to_string();
                examined.limits = Some(Err(why.clone()));
                examined.ahead = Some(Err(why.clone()));
                examined.major = Some(Err(why.clone()));
                examined.duplicates = self.registry.as_ref().map(|_| Err(why.clone()));
                examined.leftovers = Some(Err(why));
            }
        }
        examined
    }

    async fn writer_facts(&self, tenants: &[String]) -> Result<Writer, DatabaseError> {
        let registers = self.registry.as_ref().map_or_else(
            || "true".to_owned(),
            |registry| {
                let (schema, table) = registry::table(registry, &self.config.shared_schema);
                format!(
                    "(SELECT pg_catalog.bool_and(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
                     AND has_table_privilege(c.oid, 'DELETE')) FROM pg_class c JOIN pg_namespace n \
                     ON n.oid = c.relnamespace WHERE n.nspname::text = {} AND c.relname::text = {})",
                    literal(schema),
                    literal(table),
                )
            },
        );
        let sql = format!(
            "SELECT r.rolname::text, r.rolsuper::text, r.rolcreaterole::text, \
             has_database_privilege(current_database(), 'CREATE')::text, \
             coalesce((SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_namespace n \
               WHERE n.nspname::text = {}), true)::text, coalesce({registers}, true)::text, \
             (r.rolsuper OR r.rolcreatedb)::text \
             FROM pg_roles r WHERE r.rolname = current_user",
            literal(&self.config.shared_schema),
        );
        let mut reading = Reading::open(self.direct(), TIMEOUT).await?;
        let rows = reading.rows(&sql).await?;
        let row = rows
            .first()
            .ok_or_else(|| DatabaseError::Failed("the current role does not exist in pg_roles".into()))?;
        let flag = |column| connect::flag(row, column);
        let closed = format!(
            "SELECT n.nspname::text FROM pg_namespace n JOIN unnest({}) AS t(name) ON t.name = n.nspname::text \
             WHERE NOT has_schema_privilege(n.oid, 'CREATE') ORDER BY 1",
            array(tenants.iter().map(|name| Some(name.as_str()))),
        );
        // CREATE on a schema does not allow a role to alter other roles' tables.
        let others = format!(
            "SELECT n.nspname || '.' || c.relname || ' of ' || pg_get_userbyid(c.relowner) FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace JOIN unnest({}) AS t(name) ON t.name = n.nspname::text \
             WHERE c.relkind IN {RELATIONS} AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1 LIMIT {NAMED}",
            array(tenants.iter().map(|name| Some(name.as_str()))),
        );
        let writer = Writer {
            name: connect::text(row, 0)?.unwrap_or_default(),
            superuser: flag(1)?,
            creates_roles: flag(2)?,
            creates_schemas: flag(3)?,
            creates_shared: flag(4)?,
            registers: flag(5)?,
            creates_databases: flag(6)?,
            closed: texts(&mut reading, &closed).await?,
            others: texts(&mut reading, &others).await?,
        };
        reading.close().await;
        Ok(writer)
    }

    async fn reader_facts(&self, tenants: &[String]) -> Result<Reader, DatabaseError> {
        let mut reading = Reading::open(self.reader(), TIMEOUT).await?;
        let role = "SELECT r.rolname::text, r.rolsuper::text, r.rolcreaterole::text FROM pg_roles r WHERE r.rolname = current_user";
        let rows = reading.rows(role).await?;
        let row = rows
            .first()
            .ok_or_else(|| DatabaseError::Failed("the current role does not exist in pg_roles".into()))?;
        let schemas =
            array(tenants.iter().chain([&self.config.shared_schema]).map(|name| Some(name.as_str())));
        let writes = format!(
            "SELECT 'CREATE in the database' WHERE has_database_privilege(current_database(), 'CREATE') \
             UNION ALL (SELECT 'CREATE in the schema ' || n.nspname FROM pg_namespace n \
               JOIN unnest({schemas}) AS t(name) ON t.name = n.nspname::text \
               WHERE has_schema_privilege(n.oid, 'CREATE') ORDER BY 1 LIMIT {NAMED}) \
             UNION ALL (SELECT 'writing to ' || n.nspname || '.' || c.relname FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace \
               JOIN unnest({schemas}) AS t(name) ON t.name = n.nspname::text \
               WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(c.oid, 'USAGE, UPDATE') \
                 WHEN c.relkind IN {RELATIONS} THEN has_table_privilege(c.oid, 'DELETE, TRUNCATE') \
                   OR has_any_column_privilege(c.oid, 'INSERT, UPDATE') END ORDER BY 1 LIMIT {NAMED})",
        );
        let reader = Reader {
            name: connect::text(row, 0)?.unwrap_or_default(),
            superuser: connect::flag(row, 1)?,
            creates_roles: connect::flag(row, 2)?,
            writes: texts(&mut reading, &writes).await?,
        };
        reading.close().await;
        Ok(reader)
    }

    /// A pooler in transaction mode sends a statement to any free server process: two clients get the same process, or
    /// one client gets two.
    async fn pooler(&self) -> Result<Pooler, DatabaseError> {
        if !is_pooled(&self.config).await? {
            return Ok(Pooler::None);
        }
        let bypassed = match &self.config.direct {
            Some(direct) => !is_pooled(direct).await?,
            None => false,
        };
        Ok(Pooler::Transaction { bypassed })
    }

    async fn duplicates(
        &self,
        reading: &mut Reading,
        registry: &config::Registry,
    ) -> Result<Vec<String>, DatabaseError> {
        let (schema, table) = registry::table(registry, &self.config.shared_schema);
        let column = identifier(&registry.schema_column);
        let sql = format!(
            "SELECT {column}::text FROM {} GROUP BY {column} HAVING count(*) > 1 ORDER BY 1",
            qualified(schema, table)
        );
        texts(reading, &sql).await
    }
}

/// Temporary schemas, schemas with an ownership tag, and intents in the journal.
async fn leftovers(reading: &mut Reading) -> Result<Vec<String>, DatabaseError> {
    let mut leftovers = texts(reading, LEFTOVERS).await?;
    let tagged = texts(reading, &journal::tagged_schemas()).await?;
    leftovers.extend(tagged.into_iter().map(|schema| format!("the incomplete schema {schema}")));
    if !texts(reading, &journal::readable()).await?.is_empty() {
        leftovers.extend(texts(reading, &journal::intents()).await?);
    }
    Ok(leftovers)
}

async fn server_limits(reading: &mut Reading) -> Result<ServerLimits, DatabaseError> {
    let sql = "SELECT current_setting('max_connections'), current_setting('superuser_reserved_connections'), \
               (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::text, \
               (current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint \
               + current_setting('max_prepared_transactions')::bigint))::text, \
               (SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)::text, \
               (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)::text";
    let rows = reading.rows(sql).await?;
    let number = |column| connect::number(&rows, column);
    Ok(ServerLimits {
        max_connections: number(0)?,
        reserved: number(1)?,
        used: number(2)?,
        locks: number(3)?,
        role: number(4).ok().map(|limit| Ok::<_, DatabaseError>((limit, number(5)?))).transpose()?,
    })
}

async fn clock_offset(reading: &mut Reading) -> Result<i64, DatabaseError> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text";
    let before = now();
    let rows = reading.rows(sql).await?;
    let after = now();
    let server_time = connect::number(&rows, 0)?;
    Ok(i64::try_from(server_time).unwrap_or(i64::MAX) - i64::midpoint(before, after))
}

/// The first column of every row.
async fn texts(reading: &mut Reading, sql: &str) -> Result<Vec<String>, DatabaseError> {
    let rows = reading.rows(sql).await?;
    rows.iter()
        .filter_map(|row| connect::text(row, 0).transpose())
        .collect::<Result<_, _>>()
        .map_err(Into::into)
}

async fn is_pooled(config: &config::Postgres) -> Result<bool, DatabaseError> {
    let mut one = connect::connect(config).await?;
    let mut other = connect::connect(config).await?;
    let mut pooled = Ok(false);
    for _ in 0..POOLER_ATTEMPTS {
        pooled = share_a_process(&mut one, &mut other).await;
        if !matches!(pooled, Ok(false)) {
            break;
        }
    }
    one.close().await;
    other.close().await;
    pooled.map_err(DatabaseError::from)
}

async fn share_a_process(one: &mut Connection, other: &mut Connection) -> Result<bool, QueryError> {
    const WHO: &str = "SELECT pg_catalog.pg_backend_pid()::text";
    let first = connect::number(&one.rows(WHO).await?, 0)?;
    // The open transaction prevents the pooler from giving this process back to the first client.
    let held = other.rows(&format!("BEGIN READ ONLY; {WHO}")).await?;
    // If the pool has only this process, another query of the first client would wait for it.
    let mut shared = connect::number(&held, 0)? == first;
    if !shared {
        shared = connect::number(&one.rows(WHO).await?, 0)? != first;
    }
    other.rows("COMMIT").await?;
    Ok(shared)
}

/// Milliseconds since 1970 by this machine's clock.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
