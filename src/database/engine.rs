//! What every engine does. Each operation stands once in the table below: the trait and both engines' parts of it follow.

#![expect(
    clippy::elidable_lifetime_names,
    reason = "one table makes methods with and without borrowed arguments"
)]

use std::{collections::BTreeSet, future::ready, time::Duration};

use futures_util::future::LocalBoxFuture;

use super::{
    Applied, ApplyError, Creation, DatabaseError, Derived, LockProof, LockSession, MigrationFile,
    ProvisionError, ProvisionState, Recovered,
    examined::Examined,
    history::{Author, Entry, Run},
    postgres::Postgres,
    request::{InspectRequest, Limits, Schema},
    sqlite::Sqlite,
    template::Template,
};
use crate::{
    config::capabilities::{Capabilities, POSTGRES, SQLITE},
    tenants::{
        inspection::{Deleted, Inspection, Rows, SchemaState},
        ledger::LedgerLayout,
        manifest::{Domains, Expected},
    },
};

/// What the gate says of a tenant before other sessions can see it.
pub(crate) type Verify<'a> = &'a dyn Fn(&SchemaState) -> Result<(), String>;

/// `changes` need the proof that this run holds the lock. `external` is what [`Capabilities`] calls `external_programs`, with
/// the answer of an engine that has none.
macro_rules! engine {
    (
        reads { $($(#[$read_doc:meta])* fn $read:ident($($read_arg:ident: $read_type:ty),*) -> $read_answer:ty;)* }
        changes { $($(#[$change_doc:meta])* fn $change:ident($($change_arg:ident: $change_type:ty),*) -> $change_answer:ty;)* }
        external_reads { $($(#[$ask_doc:meta])* fn $ask:ident($($ask_arg:ident: $ask_type:ty),*) -> $ask_answer:ty = $ask_none:expr;)* }
        external_changes { $($(#[$do_doc:meta])* fn $do:ident($($do_arg:ident: $do_type:ty),*) -> $do_answer:ty = $do_none:expr;)* }
    ) => {
        /// One engine.
        pub(crate) trait Engine: std::fmt::Debug {
            fn capabilities(&self) -> &'static Capabilities;
            /// A session that can take the lock, and holds nothing yet. `silence` is how long it may be that nothing can be asked
            /// before a lock that is held counts as lost.
            fn lock_session<'a>(&'a self, run: &'a str, silence: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>>;
            $($(#[$read_doc])* fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer>;)*
            $($(#[$change_doc])* fn $change<'a>(&'a self, locked: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer>;)*
            $($(#[$ask_doc])* fn $ask<'a>(&'a self, $(_: $ask_type),*) -> LocalBoxFuture<'a, $ask_answer> { Box::pin(ready($ask_none)) })*
            $($(#[$do_doc])* fn $do<'a>(&'a self, _: &LockProof, $(_: $do_type),*) -> LocalBoxFuture<'a, $do_answer> { Box::pin(ready($do_none)) })*
        }

        impl Engine for Postgres {
            fn capabilities(&self) -> &'static Capabilities { &POSTGRES }
            fn lock_session<'a>(&'a self, run: &'a str, silence: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>> {
                Box::pin(async move { Ok(LockSession::Postgres(Box::new(self.lock_session(run, silence).await?))) })
            }
            $(fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer> { Box::pin(self.$read($($read_arg),*)) })*
            $(fn $change<'a>(&'a self, _: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer> { Box::pin(self.$change($($change_arg),*)) })*
            $(fn $ask<'a>(&'a self, $($ask_arg: $ask_type),*) -> LocalBoxFuture<'a, $ask_answer> { Box::pin(self.$ask($($ask_arg),*)) })*
            $(fn $do<'a>(&'a self, _: &LockProof, $($do_arg: $do_type),*) -> LocalBoxFuture<'a, $do_answer> { Box::pin(self.$do($($do_arg),*)) })*
        }

        impl Engine for Sqlite {
            fn capabilities(&self) -> &'static Capabilities { &SQLITE }
            fn lock_session<'a>(&'a self, run: &'a str, _: Duration) -> LocalBoxFuture<'a, Result<LockSession, DatabaseError>> {
                Box::pin(ready(Ok(LockSession::Sqlite(self.lock_session(run)))))
            }
            $(fn $read<'a>(&'a self, $($read_arg: $read_type),*) -> LocalBoxFuture<'a, $read_answer> { Box::pin(self.$read($($read_arg),*)) })*
            $(fn $change<'a>(&'a self, _: &LockProof, $($change_arg: $change_type),*) -> LocalBoxFuture<'a, $change_answer> { Box::pin(self.$change($($change_arg),*)) })*
        }
    };
}

/// The check of the configuration refuses what would come here.
fn unsupported() -> DatabaseError {
    DatabaseError::Failed("the database's engine cannot do that".into())
}

engine! {
    reads {
        /// One login and the smallest question.
        fn ping() -> Result<(), DatabaseError>;
        /// The gate's look.
        fn inspect(question: &'a InspectRequest<'a>) -> Result<Inspection, DatabaseError>;
        /// Runs the statements as they are given, in one message, where tenants share. `locked` says that this run holds the
        /// lock for it.
        fn run_sql(sql: &'a str, timeout: Duration, locked: bool) -> Result<(), DatabaseError>;
        /// Who holds the lock, in words. It takes and writes nothing.
        fn lock_holder() -> Result<Option<String>, DatabaseError>;
        /// Writes down what a run did; made by the first who has something to write.
        fn write_history(run: &'a str, entries: &'a [Entry]) -> Result<(), DatabaseError>;
        /// The newest runs first; without their steps and changes unless `whole`.
        fn read_history(limit: u32, whole: bool) -> Result<Vec<Run>, DatabaseError>;
        /// Who did a step of a release, if anybody did; `what` is the digest of what it does.
        fn who_did(release: &'a str, step: &'a str, what: &'a str) -> Result<Option<Author>, DatabaseError>;
        /// The first run that opened the gate of a release for a reason, if there is one.
        fn who_overrode(release: &'a str, reason: &'a str) -> Result<Option<Author>, DatabaseError>;
        /// Every tenant that the registry names, also in rows that do not count.
        fn registered() -> Result<BTreeSet<String>, DatabaseError>;
        /// Facts for the doctor, each on its own.
        fn examine(tenants: &'a [String]) -> Examined;
        /// The tenants of which a table does not answer a query, with the reason.
        fn silent(tenants: &'a [(String, Vec<String>)]) -> Result<Vec<String>, DatabaseError>;
        /// What each of a tenant's tables answers.
        fn count(tenant: &'a str, tables: &'a [String]) -> Result<Vec<(String, Rows)>, DatabaseError>;
        /// Applies all migrations where nothing remains of it, and reads back what they made.
        fn derive(shared: &'a [MigrationFile], tenant: &'a [MigrationFile], search_path: &'a [String]) -> Result<Derived, DatabaseError>;
    }
    changes {
        /// Applies those of `files` that the schema's ledger lacks, in order; it may be given all of them.
        fn apply(schema: &'a Schema, files: &'a [MigrationFile], limits: &'a Limits) -> Result<Applied, ApplyError>;
        /// Makes a tenant whole, or fails; then `undo` takes back what there is. `verify` is asked before anyone else can see
        /// the tenant.
        fn provision(new: &'a Creation, files: &'a [MigrationFile], expected: &'a Expected, limits: &'a Limits, verify: Verify<'a>) -> Result<(), ProvisionError>;
        /// Takes back an attempt that did not come to its end.
        fn undo(new: &'a Creation, limits: &'a Limits) -> Result<ProvisionState, DatabaseError>;
        /// Takes back what killed runs have left.
        fn recover(domains: Option<&'a Domains>, limits: &'a Limits) -> Result<Vec<Recovered>, DatabaseError>;
        /// Deletes a tenant: its rows, then its schema.
        fn delete(tenant: &'a str, domains: Option<&'a Domains>, run: &'a str, limits: &'a Limits) -> Result<Deleted, DatabaseError>;
    }
    external_reads {
        /// Logs in for the first of the changes under the lock. If it cannot, that change says why.
        fn log_in() -> () = ();
        /// The server's major version, and the digest of what a schema is made of.
        fn structure(schema: &'a str) -> Result<(String, String), DatabaseError> = Err(unsupported());
        /// What stands in one schema, whether or not it is registered.
        fn inspect_schema(schema: &'a str, expected: &'a Expected, shape: LedgerLayout) -> Result<SchemaState, DatabaseError> = Err(unsupported());
        /// The tenants that this run is making or removing, as far as that is noted.
        fn in_progress(run: &'a str) -> Result<BTreeSet<String>, DatabaseError> = Ok(BTreeSet::new());
        /// Which of these tenants are noted: each one's nonce, its name, and since when.
        fn intents(tenants: &'a [String]) -> Result<Vec<(String, String, String)>, DatabaseError> = Ok(Vec::new());
    }
    external_changes {
        /// Makes a tenant whole as a copy of a template, in one transaction.
        fn copy(new: &'a Creation, template: &'a Template, made: (&'a Expected, LedgerLayout), limits: &'a Limits, verify: Verify<'a>) -> Result<(), ProvisionError> = Err(unsupported().into());
        /// Makes an empty schema that a framework is to migrate, and announces it in the journal.
        fn begin(new: &'a Creation, limits: &'a Limits) -> Result<(), ProvisionError> = Err(unsupported().into());
        /// Registers what was begun, migrated and verified.
        fn finish(new: &'a Creation, limits: &'a Limits) -> Result<(), ProvisionError> = Err(unsupported().into());
        /// Notes that these tenants are absent, each with its nonce, before a framework's command makes them.
        fn record_intent(run: &'a str, absent: &'a [(String, String)]) -> Result<(), DatabaseError> = Err(unsupported());
        /// Removes those notes.
        fn delete_entries(nonces: &'a [String]) -> Result<(), DatabaseError> = Err(unsupported());
        /// Ends the sessions that a run's programs have left.
        fn end_programs(run: &'a str) -> Result<(), DatabaseError> = Ok(());
    }
}
