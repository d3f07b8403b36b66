//! Derives the tables that the migrations create in an empty database: in one transaction that is rolled back, or, if a
//! file needs the commit of an earlier one, in temporary schemas.

use std::{collections::BTreeSet, time::Duration};

use super::{
    LEDGER, Postgres, apply, catalog, connect,
    connection::Connection,
    error::QueryError,
    metadata_schema,
    provision::needs_commit,
    quote::{identifier, literal},
    run_migration::{self, Transaction},
    structure::{self, structure, version},
};
use crate::{
    database::{ApplyError, DatabaseError, Derived, Limits, MigrationFile, TableSet, sql_lexer},
    deadline::Deadline,
};

/// For a lock on an object that a migration and another session use.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// For all migrations together.
const TIMEOUT: Duration = Duration::from_mins(30);

/// The names of temporary schemas as a regular expression. The digits are the key of the lock that their creator holds.
pub(super) const TEMPORARY_SCHEMA: &str = "^portcullis_(shared|tenant)_[0-9a-f]{16}$";

/// A visible catalog row of a transaction in progress belongs to this transaction.
const CREATED_HERE: &str = "CASE WHEN pg_catalog.age(o.xmin) <= 0 THEN pg_catalog.txid_status(\
    (pg_catalog.txid_current() >> 32 << 32) + o.xmin::text::int8) = 'in progress' ELSE false END";

impl Postgres {
    pub(crate) async fn tables(&self, schema: &str, ledger: &str) -> Result<TableSet, DatabaseError> {
        let mut connection = run_migration::writer(self.direct()).await?;
        let tables = read_tables(&mut connection, schema, ledger).await;
        connection.close().await;
        tables.map_err(DatabaseError::from)
    }

    pub(crate) async fn derive(
        &self,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
        search_path: &[String],
    ) -> Result<Derived, DatabaseError> {
        let mut connection = run_migration::writer(self.direct()).await?;
        let derivation = Derivation::new(search_path, self.is_pooled());
        let mut derived = derivation.derive_rolled_back(&mut connection, shared, tenant).await;
        if matches!(&derived, Err(DatabaseError::Failed(why)) if needs_commit(why)) {
            derived = derivation.derive_committed(&mut connection, shared, tenant).await;
        }
        connection.close().await;
        derived
    }
}

/// The tables of a schema, without the ledger.
async fn read_tables(
    connection: &mut Connection,
    schema: &str,
    ledger: &str,
) -> Result<TableSet, QueryError> {
    let mut tables = TableSet::default();
    for row in connection.rows(&catalog::tables(schema, ledger)).await? {
        let Some(table) = connect::text(&row, 0)? else { continue };
        let kind = connect::text(&row, 2)?.and_then(|kind| catalog::kind(&kind));
        tables.note(table, kind.unwrap_or_default(), connect::text(&row, 1)?);
    }
    Ok(tables)
}

/// Selects the catalog rows of later transactions.
async fn created_since_now(connection: &mut Connection) -> Result<String, QueryError> {
    let now = "SELECT (pg_catalog.txid_current() % 4294967296)::text";
    let now = connection.rows(now).await?.first().map(|row| connect::text(row, 0)).transpose()?.flatten();
    let now = literal(&now.unwrap_or_default());
    Ok(format!("pg_catalog.age(o.xmin) < pg_catalog.age({now}::pg_catalog.xid)"))
}

async fn reads_roles(connection: &mut Connection) -> Result<bool, QueryError> {
    let sql = "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')::text";
    connection.rows(sql).await?.first().map_or(Ok(false), |row| connect::flag(row, 0))
}

struct Derivation {
    /// A random number, also the key of a lock.
    key: i64,
    /// The shared schema and the tenant's.
    names: [String; 2],
    limits: Limits,
    pooled: bool,
}

impl Derivation {
    fn new(search_path: &[String], pooled: bool) -> Self {
        let nonce = fastrand::u64(..);
        let limits = Limits {
            lock_timeout: LOCK_TIMEOUT,
            statement_timeout: None,
            search_path: search_path.to_vec(),
            all_in_one: false,
            nowait: false,
            notices: None,
            deadline: Deadline::after(TIMEOUT),
        };
        let names = ["shared", "tenant"].map(|which| format!("portcullis_{which}_{nonce:016x}"));
        Self { key: nonce.cast_signed(), names, limits, pooled }
    }

    async fn derive_rolled_back(
        &self,
        connection: &mut Connection,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
    ) -> Result<Derived, DatabaseError> {
        connection.rows("BEGIN").await?;
        let derived = async {
            let shared = self.derived_tables(connection, 0, shared, false).await?;
            let before = Self::objects_outside(connection, CREATED_HERE).await?;
            let tenant = self.derived_tables(connection, 1, tenant, false).await?;
            Self::refuse_outside(connection, &before, CREATED_HERE).await?;
            Ok(Derived { shared, tenant, server: self.server(connection).await? })
        }
        .await;
        let state = connection.rows("ROLLBACK").await;
        if derived.is_err() {
            // A file that contains COMMIT has left the schemas behind. The error of the file is reported.
            self.drop_schemas(connection).await;
        } else {
            state?;
        }
        derived
    }

    /// Runs each file in its own transaction, or in none, as `apply` does.
    async fn derive_committed(
        &self,
        connection: &mut Connection,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
    ) -> Result<Derived, DatabaseError> {
        if !self.pooled {
            self.drop_abandoned(connection).await?;
        }
        let derived = async {
            let created = created_since_now(connection).await?;
            let shared = self.derived_tables(connection, 0, shared, true).await?;
            let before = Self::objects_outside(connection, &created).await?;
            let tenant = self.derived_tables(connection, 1, tenant, true).await?;
            Self::refuse_outside(connection, &before, &created).await.map_err(|error| {
                error.with_text(|why| {
                    format!("{why}; the file has committed it, so it now exists in this database")
                })
            })?;
            Ok(Derived { shared, tenant, server: self.server(connection).await? })
        }
        .await;
        self.drop_schemas(connection).await;
        derived
    }

    async fn derived_tables(
        &self,
        connection: &mut Connection,
        which: usize,
        files: &[MigrationFile],
        commit: bool,
    ) -> Result<TableSet, DatabaseError> {
        let name = &self.names[which];
        let create = format!("CREATE SCHEMA {}; {}", identifier(name), run_migration::create_ledger(name));
        connection.rows(&create).await?;
        let mut tables = TableSet::default();
        for original in files {
            // CONCURRENTLY waits for every other transaction, and on an empty table the index is the same without it.
            let sql = sql_lexer::without_concurrently(&original.sql);
            let file = &MigrationFile { sql, ..original.clone() };
            let one = std::slice::from_ref(file);
            let (connection, limits, applied) = (&mut *connection, &self.limits, &mut Vec::new());
            match (commit, file.no_transaction) {
                (false, _) => run_migration::file(connection, name, file, limits, Transaction::Private).await,
                (true, true) if self.pooled => Err(apply::needs_session(file)),
                (true, true) => {
                    apply::apply_without_transaction(connection, name, one, limits, false, applied).await
                }
                (true, false) => {
                    apply::apply_in_transactions(connection, name, one, limits, false, applied).await
                }
            }
            .map_err(ApplyError::into_failed)?;
            let before = std::mem::take(&mut tables);
            let read = read_tables(connection, name, LEDGER.table).await;
            tables = read?;
            tables.note_created_by(original, before);
        }
        let structure = structure(connection, name).await?;
        tables.structure = structure.without_table(LEDGER.table);
        Ok(tables)
    }

    async fn server(&self, connection: &mut Connection) -> Result<(String, String), DatabaseError> {
        let version = version(connection).await?;
        Ok((structure::ENGINE.into(), version))
    }

    /// The objects outside the two schemas that are `created`.
    async fn objects_outside(
        connection: &mut Connection,
        created: &str,
    ) -> Result<BTreeSet<String>, DatabaseError> {
        // Also without the schemas of another derivation, which may run at the same time.
        let (temporary, metadata) = (literal(TEMPORARY_SCHEMA), literal(metadata_schema::SCHEMA));
        let of_database = |kind: &str, catalog: &str, name: &str| {
            format!("SELECT '{kind} `' || {name} || '`' FROM pg_catalog.{catalog} o WHERE {created}")
        };
        let of_schema = |kind: &str, catalog: &str, column: &str| {
            format!(
                "SELECT '{kind} `' || n.nspname || '.' || o.{column}name || '`' FROM pg_catalog.{catalog} o \
                 JOIN pg_catalog.pg_namespace n ON n.oid = o.{column}namespace WHERE {created} \
                 AND n.nspname !~ '^pg_' AND n.nspname !~ {temporary} AND n.nspname::text <> {metadata}"
            )
        };
        let mut sql = vec![
            of_database("extension", "pg_extension", "extname"),
            of_database("schema", "pg_namespace", "nspname")
                + &format!(
                    " AND nspname !~ '^pg_' AND nspname !~ {temporary} AND nspname::text <> {metadata}"
                ),
            of_database("event trigger", "pg_event_trigger", "evtname"),
            of_database("publication", "pg_publication", "pubname"),
            of_database("foreign server", "pg_foreign_server", "srvname"),
            of_database("language", "pg_language", "lanname"),
            of_schema("relation", "pg_class", "rel"),
            of_schema("function", "pg_proc", "pro"),
            // Without the types of relations and of arrays.
            of_schema("type", "pg_type", "typ") + " AND o.typrelid = 0 AND o.typelem = 0",
            of_schema("operator", "pg_operator", "opr"),
            of_schema("collation", "pg_collation", "coll"),
            of_schema("text search configuration", "pg_ts_config", "cfg"),
        ];
        // Roles belong to all databases, whose sessions may create some. Only superusers can read who has created one.
        if created == CREATED_HERE && reads_roles(connection).await? {
            sql.push(of_database("role", "pg_authid", "rolname"));
        }
        let rows = connection.rows(&sql.join(" UNION ALL ")).await?;
        rows.iter()
            .filter_map(|row| connect::text(row, 0).transpose())
            .collect::<Result<_, _>>()
            .map_err(Into::into)
    }

    /// Rejects objects outside the tenant's schema, because each tenant would create them again.
    async fn refuse_outside(
        connection: &mut Connection,
        before: &BTreeSet<String>,
        created: &str,
    ) -> Result<(), DatabaseError> {
        let after = Self::objects_outside(connection, created).await?;
        match after.difference(before).next() {
            Some(object) => Err(DatabaseError::Failed(
                format!(
                    "a tenant migration creates the {object} outside the tenant's schema: create it in a shared migration or in \
                     a `sql` step"
                )
                .into(),
            )),
            None => Ok(()),
        }
    }

    async fn drop_schemas(&self, connection: &mut Connection) {
        // Without a transaction, ROLLBACK only warns.
        let _ = connection.rows("ROLLBACK").await;
        for name in &self.names {
            let drop = format!(
                "RESET SESSION AUTHORIZATION; RESET ALL; DROP SCHEMA IF EXISTS {} CASCADE",
                identifier(name)
            );
            let _ = connection.rows(&drop).await;
        }
    }

    /// Acquires the lock that marks these schemas as in use, and drops the schemas of killed processes.
    async fn drop_abandoned(&self, connection: &mut Connection) -> Result<(), QueryError> {
        let lock = format!("SELECT pg_catalog.pg_advisory_lock({})::text", self.key);
        connection.rows(&lock).await?;
        let all = format!(
            "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname ~ {}",
            literal(TEMPORARY_SCHEMA)
        );
        for row in connection.rows(&all).await? {
            let Some(name) = connect::text(&row, 0)? else { continue };
            let key = name.rsplit('_').next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let Some(key) = key.map(u64::cast_signed).filter(|key| *key != self.key) else { continue };
            let rows =
                connection.rows(&format!("SELECT pg_catalog.pg_try_advisory_lock({key})::text")).await?;
            if rows.first().map(|row| connect::flag(row, 0)).transpose()? == Some(true) {
                // A schema of another role cannot be dropped.
                let _ =
                    connection.rows(&format!("DROP SCHEMA IF EXISTS {} CASCADE", identifier(&name))).await;
                connection.rows(&format!("SELECT pg_catalog.pg_advisory_unlock({key})::text")).await?;
            }
        }
        Ok(())
    }
}
