//! The operations of every engine. The table below declares each operation once; the trait and both implementations are
//! generated.

#![expect(
    clippy::elidable_lifetime_names,
    reason = "one table makes methods with and without borrowed arguments"
)]

use std::{collections::BTreeSet, future::ready, time::Duration};

use futures_util::future::LocalBoxFuture;

use super::{
    Applied, ApplyError, Blocker, Column, Creation, DatabaseError, DatabaseLock, Derived, Intent, LockHolder,
    LockProof, LockSession, MigrationFile, NoticeSender, ProvisionError, ProvisionState, Recovered, TableSet,
    examined::{Examined, ExaminedServer},
    history::{Author, Deed, Entry, Run, Serving, Times},
    postgres::{Postgres, TenantDatabases},
    request::{InspectRequest, Limits, ProvisionRequest, Schema},
    restorable::Restorable,
    sqlite::Sqlite,
    template::Template,
};
use crate::{
    config::{
        capabilities::{Capabilities, POSTGRES, SQLITE, TENANT_DATABASES},
        secret::Secret,
    },
    tenants::{
        inspection::{Deleted, Inspection, LedgerRow, Rows, SchemaState},
        ledger::LedgerLayout,
        manifest::{Domains, Expected},
        recording::{ExpectedStructure, Recording, Replayed},
        structure::{Structure, difference::Difference},
        survey::Survey,
    },
};

/// Accepts the structure of a schema, or returns the reason to roll back.
pub(crate) type VerifyStructure<'a> = &'a dyn Fn(&Structure) -> Result<(), String>;

/// `changes` need the proof that this run holds the lock. `external` operations belong to [`Capabilities`]'s
/// `external_programs` and name the result of an engine without that capability.
macro_rules! engine {
    (
        reads { $($(#[$read_doc:meta])* fn $read:ident($($read_arg:ident: $read_type:ty),*) -> $read_answer:ty;)* }
        changes { $($(#[$change_doc:meta])* fn $change:ident($($change_arg:ident: $change_type:ty),*) -> $change_answer:ty;)* }
        external_reads { $($(#[$ask_doc:meta])* fn $ask:ident($($ask_arg:ident: $ask_type:ty),*) -> $ask_answer:ty = $ask_none:expr;)* }
        external_changes { $($(#[$do_doc:meta])* fn $do:ident($($do_arg:ident: $do_type:ty),*) -> $do_answer:ty = $do_none:expr;)* }
    ) => {
        pub(crate) trait Engine: std::fmt::Debug {
            fn capabilities(&self) -> &'static Capabilities;
            /// A session that can acquire the lock and does not hold it yet. A held lock counts as lost after the
            /// database has been unreachable for `silence`.
            fn lock_session<'a>(&'a self, run: &'a str, silence: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>>;
            /// The URL of the database of a tenant that has its own, for a program.
            fn database_url<'a>(&'a self, _tenant: &'a str) -> LocalBoxFuture<'a, Result<Option<Secret>, DatabaseError>> {
                Box::pin(ready(Ok(None)))
            }
            /// Locks the database of a tenant that has its own, until the result is dropped.
            fn lock_database<'a>(&'a self, _tenant: &'a str) -> LocalBoxFuture<'a, Result<Option<DatabaseLock>, ApplyError>> {
                Box::pin(ready(Ok(None)))
            }
            /// Facts for the doctor about each server of tenants' databases.
            fn examine_servers<'a>(&'a self) -> LocalBoxFuture<'a, Result<Vec<ExaminedServer>, DatabaseError>> {
                Box::pin(ready(Ok(Vec::new())))
            }
            $($(#[$read_doc])* fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer>;)*
            $($(#[$change_doc])* fn $change<'a>(&'a self, locked: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer>;)*
            $($(#[$ask_doc])* fn $ask<'a>(&'a self, $(_: $ask_type),*) -> LocalBoxFuture<'a, $ask_answer> { Box::pin(ready($ask_none)) })*
            $($(#[$do_doc])* fn $do<'a>(&'a self, _: &LockProof, $(_: $do_type),*) -> LocalBoxFuture<'a, $do_answer> { Box::pin(ready($do_none)) })*
        }

        impl Engine for Postgres {
            fn capabilities(&self) -> &'static Capabilities { &POSTGRES }
            fn lock_session<'a>(&'a self, run: &'a str, silence: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>> {
                Box::pin(async move { Ok(LockSession::new(self.lock_session(run, silence).await?)) })
            }
            $(fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer> { Box::pin(self.$read($($read_arg),*)) })*
            $(fn $change<'a>(&'a self, _: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer> { Box::pin(self.$change($($change_arg),*)) })*
            $(fn $ask<'a>(&'a self, $($ask_arg: $ask_type),*) -> LocalBoxFuture<'a, $ask_answer> { Box::pin(self.$ask($($ask_arg),*)) })*
            $(fn $do<'a>(&'a self, _: &LockProof, $($do_arg: $do_type),*) -> LocalBoxFuture<'a, $do_answer> { Box::pin(self.$do($($do_arg),*)) })*
        }

        impl Engine for TenantDatabases {
            fn capabilities(&self) -> &'static Capabilities { &TENANT_DATABASES }
            fn lock_session<'a>(&'a self, run: &'a str, silence: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>> {
                Box::pin(async move { Ok(LockSession::new(self.0.lock_session(run, silence).await?)) })
            }
            fn database_url<'a>(&'a self, tenant: &'a str) -> LocalBoxFuture<'a, Result<Option<Secret>, DatabaseError>> {
                Box::pin(async move { self.0.database_url(tenant).await.map(Some) })
            }
            fn lock_database<'a>(&'a self, tenant: &'a str) -> LocalBoxFuture<'a, Result<Option<DatabaseLock>, ApplyError>> {
                Box::pin(async move { self.0.lock_database(tenant).await.map(Some) })
            }
            fn examine_servers<'a>(&'a self) -> LocalBoxFuture<'a, Result<Vec<ExaminedServer>, DatabaseError>> { Box::pin(self.0.examine_servers()) }
            $(fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer> { Box::pin(self.0.$read($($read_arg),*)) })*
            $(fn $change<'a>(&'a self, _: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer> { Box::pin(self.0.$change($($change_arg),*)) })*
            $(fn $ask<'a>(&'a self, $($ask_arg: $ask_type),*) -> LocalBoxFuture<'a, $ask_answer> { Box::pin(self.0.$ask($($ask_arg),*)) })*
            $(fn $do<'a>(&'a self, _: &LockProof, $($do_arg: $do_type),*) -> LocalBoxFuture<'a, $do_answer> { Box::pin(self.0.$do($($do_arg),*)) })*
        }

        impl Engine for Sqlite {
            fn capabilities(&self) -> &'static Capabilities { &SQLITE }
            fn lock_session<'a>(&'a self, run: &'a str, _: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>> {
                Box::pin(ready(Ok(LockSession::new(self.lock_session(run)))))
            }
            $(fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer> { Box::pin(self.$read($($read_arg),*)) })*
            $(fn $change<'a>(&'a self, _: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer> { Box::pin(self.$change($($change_arg),*)) })*
        }
    };
}

/// The configuration check rejects every case that would reach this error.
fn unsupported() -> DatabaseError {
    DatabaseError::Failed("the database engine does not support this operation".into())
}

engine! {
    reads {
        /// One login and one trivial query.
        fn ping() -> Result<(), DatabaseError>;
        /// The gate's inspection.
        fn inspect(request: &'a InspectRequest<'a>) -> Result<Inspection, DatabaseError>;
        /// Runs the statements unchanged in one message in the shared schema. `locked` means that this run holds the lock.
        fn run_sql(sql: &'a str, timeout: Duration, locked: bool, notices: NoticeSender) -> Result<(), DatabaseError>;
        /// The lock's holder. It acquires and writes nothing.
        fn lock_holder() -> Result<Option<LockHolder>, DatabaseError>;
        /// Writes entries to the history. The first writer creates the tables.
        fn write_history(run: &'a str, entries: &'a [Entry]) -> Result<(), DatabaseError>;
        /// The newest runs first; their steps, changes and exceptions only if `with_parts`.
        fn read_history(limit: u32, with_parts: bool) -> Result<Vec<Run>, DatabaseError>;
        /// The first run that did this, if one did.
        fn author(deed: Deed<'a>) -> Result<Option<Author>, DatabaseError>;
        /// The release that last started its server, if one is recorded.
        fn serving() -> Result<Option<Serving>, DatabaseError>;
        /// How long tenants needed for exactly these migrations, if a run has recorded it.
        fn times(migrations: &'a [String]) -> Result<Option<Times>, DatabaseError>;
        /// Every tenant in the registry, including rows that `where` excludes.
        fn registered() -> Result<BTreeSet<String>, DatabaseError>;
        /// The columns of a table in the registry's schema; empty if the table does not exist.
        fn columns(table: &'a str) -> Result<Vec<Column>, DatabaseError>;
        /// Facts for the doctor, each fetched independently.
        fn examine(tenants: &'a [String]) -> Examined;
        /// The tenants with a table that cannot be queried, with the reason.
        fn unreadable_tables(tenants: &'a [(String, Vec<String>)]) -> Result<Vec<String>, DatabaseError>;
        /// The number of rows in each of a schema's tables.
        fn count(schema: &'a Schema, tables: &'a [String]) -> Result<Vec<(String, Rows)>, DatabaseError>;
        /// Applies all migrations to temporary schemas and reads the resulting tables.
        fn derive(shared: &'a [MigrationFile], tenant: &'a [MigrationFile], search_path: &'a [String], notices: NoticeSender) -> Result<Derived, DatabaseError>;
        /// The server's major version and the structure of a schema.
        fn structure(schema: &'a Schema) -> Result<(String, Structure), DatabaseError>;
        /// Those of the differences that can be undone by creating objects.
        fn restorable(schema: &'a Schema, expected: &'a Structure, differences: &'a [Difference]) -> Restorable;
        /// The tables with these names or with the name of a ledger, and the table that lists their schemas.
        fn survey(known: &'a [&'a str]) -> Result<Survey, DatabaseError>;
        /// The rows of the ledger in one schema.
        fn recorded(schema: &'a Schema, shape: LedgerLayout<'a>) -> Result<Vec<LedgerRow>, DatabaseError>;
    }
    changes {
        /// Applies the pending ones of `files` to the schema, in order.
        fn apply(schema: &'a Schema, files: &'a [MigrationFile], limits: &'a Limits) -> Result<Applied, ApplyError>;
        /// Records these files as applied with their checksums, without running them. It creates a missing ledger.
        fn record(schema: &'a Schema, files: &'a [MigrationFile], limits: &'a Limits) -> Result<(), ApplyError>;
        /// Runs these statements in a schema in one transaction, and commits if the structure is accepted.
        fn restore(schema: &'a Schema, statements: &'a [String], verify: VerifyStructure<'a>, limits: &'a Limits) -> Result<(), ApplyError>;
        /// Creates a complete tenant or fails; `roll_back` then rolls back the rest.
        fn provision(request: &'a ProvisionRequest<'a>, files: &'a [MigrationFile]) -> Result<(), ProvisionError>;
        /// Rolls back an attempt that did not complete.
        fn roll_back(new: &'a Creation, limits: &'a Limits) -> Result<ProvisionState, DatabaseError>;
        /// Rolls back the unfinished work of killed runs.
        fn recover(domains: Option<&'a Domains>, limits: &'a Limits) -> Result<Vec<Recovered>, DatabaseError>;
        /// Deletes a tenant: its rows, then its schema.
        fn delete(tenant: &'a str, domains: Option<&'a Domains>, run: &'a str, limits: &'a Limits) -> Result<Deleted, DatabaseError>;
    }
    external_reads {
        /// Opens a connection for the first change under the lock. If that fails, the change reports the error.
        fn log_in() -> () = ();
        /// A query whose result identifies this database, and the result.
        fn identity() -> Result<(String, String), DatabaseError> = Err(unsupported());
        /// Whether a pooler in transaction mode is in front of the server; known under the lock.
        fn behind_pooler() -> bool = false;
        /// The sessions that block those of a run's programs, each with the schema of the blocked table.
        fn blockers(run: &'a str) -> Result<Vec<Blocker>, DatabaseError> = Ok(Vec::new());
        /// The tables of one schema with their columns, without the ledger.
        fn tables(schema: &'a str, ledger: &'a str) -> Result<TableSet, DatabaseError> = Err(unsupported());
        /// The structure of a template.
        fn structure_of_template(template: &'a Template, limits: &'a Limits) -> Result<Structure, ApplyError> = Err(unsupported().into());
        /// The state of one schema, registered or not.
        fn inspect_schema(schema: &'a str, expected: &'a Expected, shape: LedgerLayout<'a>) -> Result<SchemaState, DatabaseError> = Err(unsupported());
        /// The tenants that this run is creating or deleting according to the journal.
        fn in_progress(run: &'a str) -> Result<BTreeSet<String>, DatabaseError> = Ok(BTreeSet::new());
        /// The journal's intents for these tenants.
        fn intents(tenants: &'a [String]) -> Result<Vec<Intent>, DatabaseError> = Ok(Vec::new());
    }
    external_changes {
        /// Creates a complete tenant as a copy of a template, in one transaction.
        fn copy(request: &'a ProvisionRequest<'a>, template: &'a Template) -> Result<(), ProvisionError> = Err(unsupported().into());
        /// Creates an empty schema for a framework to migrate and records it in the journal.
        fn begin(new: &'a Creation, limits: &'a Limits) -> Result<(), ProvisionError> = Err(unsupported().into());
        /// Runs a recording in one transaction, which is committed only if the tenant's state then equals the recorded one.
        fn replay(tenant: &'a str, recording: &'a Recording, structure: &'a ExpectedStructure, limits: &'a Limits) -> Result<Replayed, ApplyError> = Err(unsupported().into());
        /// Creates a lost app's tables and its ledger rows by its recording, in one transaction. It locks the tables of
        /// other apps last, and briefly.
        fn rebuild(tenant: &'a str, recording: &'a Recording, limits: &'a Limits) -> Result<(), ApplyError> = Err(unsupported().into());
        /// Registers a tenant that was created, migrated and verified.
        fn finish(new: &'a Creation, limits: &'a Limits) -> Result<(), ProvisionError> = Err(unsupported().into());
        /// Records that programs of this run may change the database until it releases the lock.
        fn record_programs(run: &'a str) -> Result<(), DatabaseError> = Ok(());
        /// Records, before a framework's command creates them, that these tenants are absent; each has a nonce.
        fn record_intent(run: &'a str, absent: &'a [(String, String)]) -> Result<(), DatabaseError> = Err(unsupported());
        /// Records that the framework's command has created the tenants of these entries.
        fn record_success(nonces: &'a [String]) -> Result<(), DatabaseError> = Err(unsupported());
        /// Deletes these journal entries.
        fn delete_entries(nonces: &'a [String]) -> Result<(), DatabaseError> = Err(unsupported());
        /// Ends the sessions that a run's programs have left open.
        fn end_programs(run: &'a str) -> Result<(), DatabaseError> = Ok(());
    }
}
