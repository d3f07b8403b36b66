//! Derives the tables that the migrations create in an empty database: in one transaction that is rolled back, or, if a
//! file needs the commit of an earlier one, in temporary schemas.

use std::{collections::BTreeSet, time::Duration};

use super::{
    LEDGER, Postgres, apply, catalog, connect,
    connection::Connection,
    error::QueryError,
    outside::{self, Object, TEMPORARY_SCHEMA, Written},
    provision::needs_commit,
    quote::{identifier, literal},
    run_migration::{self, Transaction},
    structure::{self, structure, version},
};
use crate::{
    database::{
        ApplyError, DatabaseError, Derived, Limits, MigrationFile, NoticeSender, Notices, TableSet,
        notice_channel, sql_lexer,
    },
    deadline::Deadline,
};

/// For a lock on an object that a migration and another session use.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// For all migrations together.
const TIMEOUT: Duration = Duration::from_mins(30);

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
        notices: NoticeSender,
    ) -> Result<Derived, DatabaseError> {
        let mut connection = run_migration::writer(self.direct()).await?;
        let mut derivation = Derivation::new(search_path, self.is_pooled());
        // Only the last attempt shows the server's messages.
        let mut messages = derivation.collect_notices();
        let mut derived = derivation.derive_rolled_back(&mut connection, shared, tenant).await;
        if matches!(&derived, Err(DatabaseError::Failed(why)) if needs_commit(why)) {
            messages = derivation.collect_notices();
            derived = derivation.derive_committed(&mut connection, shared, tenant).await;
        }
        connection.close().await;
        notices.forward(messages);
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

/// Where files may create objects that other sessions see.
#[derive(Clone, Copy)]
enum Commits<'a> {
    /// Nowhere: the transaction is rolled back.
    Never,
    Anywhere,
    /// In their schema.
    Inside(&'a Written),
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

    fn collect_notices(&mut self) -> Notices {
        let (sender, messages) = notice_channel();
        self.limits.notices = Some(sender);
        messages
    }

    async fn derive_rolled_back(
        &self,
        connection: &mut Connection,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
    ) -> Result<Derived, DatabaseError> {
        connection.rows("BEGIN").await?;
        let derived = async {
            let shared = self.derived_tables(connection, 0, shared, Commits::Never).await?;
            let before = outside::objects(connection, &Written::Here).await?;
            let tenant = self.derived_tables(connection, 1, tenant, Commits::Never).await?;
            let after = outside::objects(connection, &Written::Here).await?;
            Ok((Derived { shared, tenant, server: self.server(connection).await? }, before, after))
        }
        .await;
        let state = connection.rows("ROLLBACK").await;
        let (derived, before, after) = match derived {
            Ok(derived) => derived,
            Err(error) => {
                // A file that contains COMMIT has left the schemas behind. The error of the file is reported.
                self.drop_schemas(connection).await;
                return Err(error);
            }
        };
        state?;
        let mut new = after.difference(&before).peekable();
        if new.peek().is_some() {
            // What is still there belongs to another session. So may a database that is already gone.
            let kept = outside::objects(connection, &Written::Here).await?;
            let is_of_files =
                |object: &&Object| !kept.contains(*object) && outside::may_be_of(&object.1, tenant);
            if let Some(object) = new.find(is_of_files) {
                let file = self.creator(connection, shared, tenant, object).await;
                let error = ApplyError::of(outside::refusal(&object.1));
                return Err(file.map_or(error.clone(), |file| error.at(file, None)).into_failed());
            }
        }
        Ok(derived)
    }

    /// Runs the files again to find the one that creates this object. None if none does so again.
    async fn creator<'f>(
        &self,
        connection: &mut Connection,
        shared: &[MigrationFile],
        tenant: &'f [MigrationFile],
        object: &Object,
    ) -> Option<&'f MigrationFile> {
        connection.rows("BEGIN").await.ok()?;
        let limits = Limits { notices: None, ..self.limits.clone() };
        let creator = async {
            self.create_schema(connection, 0).await.ok()?;
            for file in shared {
                self.run(connection, 0, file, &limits, false).await.ok()?;
            }
            self.create_schema(connection, 1).await.ok()?;
            for file in tenant {
                self.run(connection, 1, file, &limits, false).await.ok()?;
                if outside::objects(connection, &Written::Here).await.ok()?.contains(object) {
                    return Some(file);
                }
            }
            None
        }
        .await;
        connection.roll_back().await;
        creator
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
            let written = Written::from_now(connection).await?;
            let shared = self.derived_tables(connection, 0, shared, Commits::Anywhere).await?;
            let tenant = self.derived_tables(connection, 1, tenant, Commits::Inside(&written)).await?;
            Ok(Derived { shared, tenant, server: self.server(connection).await? })
        }
        .await;
        self.drop_schemas(connection).await;
        derived
    }

    async fn create_schema(&self, connection: &mut Connection, which: usize) -> Result<(), QueryError> {
        let name = &self.names[which];
        let create = format!("CREATE SCHEMA {}; {}", identifier(name), run_migration::create_ledger(name));
        connection.rows(&create).await.map(drop)
    }

    async fn derived_tables(
        &self,
        connection: &mut Connection,
        which: usize,
        files: &[MigrationFile],
        commits: Commits<'_>,
    ) -> Result<TableSet, DatabaseError> {
        let name = &self.names[which];
        self.create_schema(connection, which).await?;
        let mut tables = TableSet::default();
        let mut outside = BTreeSet::new();
        if let Commits::Inside(written) = commits {
            outside = outside::objects(connection, written).await?;
        }
        for file in files {
            let ran =
                self.run(connection, which, file, &self.limits, !matches!(commits, Commits::Never)).await;
            ran.map_err(ApplyError::into_failed)?;
            if let Commits::Inside(written) = commits {
                let before = std::mem::replace(&mut outside, outside::objects(connection, written).await?);
                let mut new = outside.difference(&before);
                if let Some((_, object)) = new.find(|(_, object)| outside::may_be_of(object, files)) {
                    let why = format!(
                        "{}; it now exists: drop it (unless another session has created it in the same moment), and run this again",
                        outside::refusal(object)
                    );
                    return Err(ApplyError::of(why).at(file, None).into_failed());
                }
            }
            let before = std::mem::take(&mut tables);
            let read = read_tables(connection, name, LEDGER.table).await;
            tables = read?;
            tables.note_created_by(file, before);
        }
        let structure = structure(connection, name).await?;
        tables.structure = structure.without_table(LEDGER.table);
        Ok(tables)
    }

    async fn run(
        &self,
        connection: &mut Connection,
        which: usize,
        file: &MigrationFile,
        limits: &Limits,
        commit: bool,
    ) -> Result<(), ApplyError> {
        let name = &self.names[which];
        if !commit {
            return run_migration::file(connection, name, file, limits, Transaction::Private).await;
        }
        if !file.no_transaction {
            let (one, applied) = (std::slice::from_ref(file), &mut Vec::new());
            return apply::apply_in_transactions(connection, name, one, limits, false, applied).await;
        }
        if self.pooled {
            return Err(apply::needs_session(file));
        }
        // CONCURRENTLY waits for every other transaction, and on an empty table the index is the same without it.
        let sql = sql_lexer::without_concurrently(&file.sql);
        let (one, applied) = (&[MigrationFile { sql, ..file.clone() }], &mut Vec::new());
        apply::apply_without_transaction(connection, name, one, limits, false, applied).await
    }

    async fn server(&self, connection: &mut Connection) -> Result<(String, String), DatabaseError> {
        let version = version(connection).await?;
        Ok((structure::ENGINE.into(), version))
    }

    async fn drop_schemas(&self, connection: &mut Connection) {
        // Without a transaction, ROLLBACK only warns.
        connection.roll_back().await;
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
