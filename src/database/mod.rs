//! All SQL of the product: reading, the lock, applying migrations, provisioning. It judges nothing.
//!
//! A [`Database`] is a handle: it connects once an operation and keeps nothing open in between. What it
//! finds is put into the types of `tenants`, and what goes wrong is a value, in words.

mod creation;
pub(crate) mod examined;
pub(crate) mod migrations;
mod outcome;
mod places;
pub(crate) mod postgres;
pub(crate) mod record;
mod session;
pub(crate) mod sqlite;
pub(crate) mod template;

use std::{collections::BTreeSet, time::Duration};

use self::record::{Author, Entry, Run};
use self::template::Template;
pub(crate) use self::{
    creation::{Creation, Seal, Written, nonce},
    migrations::{MigrationFile, resolve},
    outcome::{
        Applied, ApplyEnd, ApplyError, Attempt, Became, DatabaseError, Derived, Leftover, Made, Proof,
        ProvisionError, Share, Stray, Undone,
    },
    session::LockSession,
};
use crate::{
    cause::{Cause, Kind},
    config::{self, Selection},
    deadline::Deadline,
    tenants::{
        found::{Deleted, Found, Look, Rows},
        ledger::Shape,
        manifest::{Domains, Expected, Manifest},
    },
};

/// For reading or writing the record of runs: nothing waits long for it.
const RECORD: Duration = Duration::from_secs(5);

/// The configured database.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Postgres(postgres::Postgres),
    Sqlite(sqlite::Sqlite),
}

/// What the gate asks of one look.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) shared: bool,
    /// None asks for no tenant.
    pub(crate) tenants: Option<&'a Selection>,
    /// For the whole look.
    pub(crate) timeout: Duration,
    pub(crate) allow_standby: bool,
    /// Hears how many schemas of how many the look has been at.
    pub(crate) looked: &'a dyn Fn(usize, usize),
}

/// For whoever does not want to know how far a look is.
pub(crate) const UNHEARD: &dyn Fn(usize, usize) = &|_, _| {};

/// Which schema a migration is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Schema {
    Shared,
    Tenant(String),
}

/// How long one migration may wait and run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For one statement's wait for a lock.
    pub(crate) lock_timeout: Duration,
    /// For one statement; None leaves the server's setting alone. SQLite has no such limit.
    pub(crate) statement_timeout: Option<Duration>,
    /// Where another run is at work on the schema: give up at once, because there is other work.
    pub(crate) gives_way: bool,
    /// For all of it together.
    pub(crate) deadline: Deadline,
}

impl Database {
    /// Does no I/O.
    pub(crate) fn new(config: &config::Database, registry: Option<&config::Registry>) -> Self {
        match config {
            config::Database::Postgres(config) => Self::Postgres(postgres::Postgres::new(config, registry)),
            config::Database::Sqlite(config) => Self::Sqlite(sqlite::Sqlite::new(config, registry)),
        }
    }

    /// The same, whose sessions that change something carry the run's id.
    pub(crate) fn of_run(self, run: &str) -> Self {
        match self {
            Self::Postgres(it) => Self::Postgres(it.of_run(run)),
            Self::Sqlite(it) => Self::Sqlite(it),
        }
    }

    /// One login and the smallest question.
    pub(crate) async fn ping(&self) -> Attempt {
        let answer = match self {
            Self::Postgres(it) => it.ping().await,
            Self::Sqlite(it) => it.ping().await,
        };
        match answer {
            Ok(()) => Attempt::Ready,
            Err(DatabaseError::Never(why)) => Attempt::Never(why.text),
            Err(other) => Attempt::NotYet(other.to_string()),
        }
    }

    /// The gate's look. It never writes.
    pub(crate) async fn look(&self, question: &Question<'_>) -> Result<Found, DatabaseError> {
        match self {
            Self::Postgres(it) => within(question.timeout, it.look(question)).await,
            Self::Sqlite(it) => within(question.timeout, it.look(question)).await,
        }
    }

    /// Runs the statements as they are given, in one message, where tenants share. `locked` says that this run
    /// holds the lock for it.
    pub(crate) async fn run_sql(
        &self,
        sql: &str,
        timeout: Duration,
        locked: bool,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => within(timeout, it.run_sql(sql, timeout, locked)).await,
            Self::Sqlite(it) => within(timeout, it.run_sql(sql)).await,
        }
    }

    /// A session that can take the lock, and holds nothing yet.
    /// `silence` is how long it may be that nothing can be asked before a lock that is held counts as lost.
    pub(crate) async fn lock_session(
        &self,
        run: &str,
        silence: Duration,
    ) -> Result<LockSession, DatabaseError> {
        match self {
            Self::Postgres(it) => {
                Ok(LockSession::Postgres(Box::new(Box::pin(it.lock_session(run, silence)).await?)))
            }
            Self::Sqlite(it) => Ok(LockSession::Sqlite(it.lock_session(run))),
        }
    }

    /// Who holds the lock, in words. It takes and writes nothing.
    pub(crate) async fn lock_holder(&self) -> Result<Option<String>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.lock_holder().await,
            Self::Sqlite(it) => it.lock_holder().await,
        }
    }

    /// Writes down what a run did; made by the first who has something to write.
    pub(crate) async fn write_record(&self, run: &str, entries: &[Entry]) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => within(RECORD, it.write_record(run, entries)).await,
            Self::Sqlite(it) => within(RECORD, it.write_record(run, entries)).await,
        }
    }

    /// The newest runs first; without their steps and changes unless `whole`.
    pub(crate) async fn read_record(&self, limit: u32, whole: bool) -> Result<Vec<Run>, DatabaseError> {
        match self {
            Self::Postgres(it) => within(RECORD, it.read_record(limit, whole)).await,
            Self::Sqlite(it) => within(RECORD, it.read_record(limit, whole)).await,
        }
    }

    /// Who did a step of a release, if anybody did; `what` is the digest of what it does.
    pub(crate) async fn who_did(
        &self,
        release: &str,
        step: &str,
        what: &str,
    ) -> Result<Option<Author>, DatabaseError> {
        match self {
            Self::Postgres(it) => within(RECORD, it.who_did(release, step, what)).await,
            Self::Sqlite(it) => within(RECORD, it.who_did(release, step, what)).await,
        }
    }

    /// The first run that opened the gate of a release for a reason, if there is one.
    pub(crate) async fn who_overrode(
        &self,
        release: &str,
        reason: &str,
    ) -> Result<Option<Author>, DatabaseError> {
        match self {
            Self::Postgres(it) => within(RECORD, it.who_overrode(release, reason)).await,
            Self::Sqlite(it) => within(RECORD, it.who_overrode(release, reason)).await,
        }
    }

    /// Applies those of `files` that the schema's ledger lacks, in order; it may be given all of them.
    pub(crate) async fn apply(
        &self,
        schema: &Schema,
        files: &[MigrationFile],
        limits: &Limits,
    ) -> Result<Applied, ApplyError> {
        match self {
            Self::Postgres(it) => it.apply(schema, files, limits).await,
            Self::Sqlite(it) => it.apply(schema, files, limits).await,
        }
    }

    /// Makes a tenant whole, or fails; then `undo` takes back what there is. `verify` is asked before anyone else can
    /// see the tenant.
    pub(crate) async fn provision(
        &self,
        new: &Creation,
        files: &[MigrationFile],
        expected: &Expected,
        limits: &Limits,
        verify: &dyn Fn(&Look) -> Result<(), String>,
    ) -> Result<(), ProvisionError> {
        match self {
            Self::Postgres(it) => it.provision(new, files, expected, limits, verify).await,
            Self::Sqlite(it) => it.provision(new, files, expected, limits, verify).await,
        }
    }

    /// Makes a tenant whole as a copy of a template, in one transaction.
    pub(crate) async fn copy(
        &self,
        new: &Creation,
        template: &Template,
        (expected, shape): (&Expected, Shape),
        limits: &Limits,
        verify: &dyn Fn(&Look) -> Result<(), String>,
    ) -> Result<(), ProvisionError> {
        match self {
            Self::Postgres(it) => it.copy(new, template, (expected, shape), limits, verify).await,
            Self::Sqlite(_) => Err(only_postgres().into()),
        }
    }

    /// The server's major version, and the digest of what a schema is made of.
    pub(crate) async fn structure(&self, schema: &str) -> Result<(String, String), DatabaseError> {
        match self {
            Self::Postgres(it) => it.structure(schema).await,
            Self::Sqlite(_) => Err(only_postgres()),
        }
    }

    /// Makes an empty schema that a framework is to migrate, and announces it in the journal.
    pub(crate) async fn begin(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        match self {
            Self::Postgres(it) => it.begin(new, false, limits).await,
            Self::Sqlite(_) => Err(only_postgres().into()),
        }
    }

    /// What stands in one schema, whether or not it is registered.
    pub(crate) async fn look_at(
        &self,
        schema: &str,
        expected: &Expected,
        shape: Shape,
    ) -> Result<Look, DatabaseError> {
        match self {
            Self::Postgres(it) => it.look_at(schema, expected, shape).await,
            Self::Sqlite(_) => Err(only_postgres()),
        }
    }

    /// Registers what was begun, migrated and verified.
    pub(crate) async fn finish(&self, new: &Creation, limits: &Limits) -> Result<(), ProvisionError> {
        match self {
            Self::Postgres(it) => it.finish(new, limits).await,
            Self::Sqlite(_) => Err(only_postgres().into()),
        }
    }

    /// Takes back an attempt that did not come to its end.
    pub(crate) async fn undo(&self, new: &Creation, limits: &Limits) -> Result<Undone, DatabaseError> {
        match self {
            Self::Postgres(it) => it.undo(new, limits).await,
            Self::Sqlite(it) => it.undo(new).await,
        }
    }

    /// Logs in for the first of the changes under the lock. If it cannot, that change says why.
    pub(crate) async fn log_in(&self) {
        if let Self::Postgres(it) = self {
            it.log_in().await;
        }
    }

    /// Takes back what killed runs have left. Only the holder of the lock may ask.
    pub(crate) async fn recover(
        &self,
        domains: Option<&Domains>,
        limits: &Limits,
    ) -> Result<Vec<Leftover>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.recover(domains, limits).await,
            Self::Sqlite(it) => it.recover().await,
        }
    }

    /// Notes that these tenants are absent, each with its nonce, before a framework's command makes them.
    pub(crate) async fn announce(&self, run: &str, absent: &[(String, String)]) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => it.announce(run, absent).await,
            Self::Sqlite(_) => Err(only_postgres()),
        }
    }

    /// Removes those notes.
    pub(crate) async fn strike(&self, nonces: &[String]) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => it.strike(nonces).await,
            Self::Sqlite(_) => Err(only_postgres()),
        }
    }

    /// The tenants that this run is making or removing, as far as that is noted.
    pub(crate) async fn at_work_on(&self, run: &str) -> Result<BTreeSet<String>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.at_work_on(run).await,
            Self::Sqlite(_) => Ok(BTreeSet::new()),
        }
    }

    /// Which of these tenants are noted: each one's nonce, its name, and since when.
    pub(crate) async fn announced(
        &self,
        tenants: &[String],
    ) -> Result<Vec<(String, String, String)>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.announced(tenants).await,
            Self::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// Ends the sessions that a run's programs have left.
    pub(crate) async fn end_programs(&self, run: &str) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(it) => it.end_programs(run).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Everybody whom the registry names, also in rows that do not count.
    pub(crate) async fn registered(&self) -> Result<BTreeSet<String>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.registered().await,
            Self::Sqlite(it) => it.registered().await,
        }
    }

    /// Deletes a tenant: its rows, then its schema.
    pub(crate) async fn delete(
        &self,
        tenant: &str,
        domains: Option<&Domains>,
        run: &str,
        limits: &Limits,
    ) -> Result<Deleted, DatabaseError> {
        match self {
            Self::Postgres(it) => it.delete(tenant, domains, run, limits).await,
            Self::Sqlite(it) => it.delete(tenant).await,
        }
    }

    /// Facts for the doctor, each on its own. It never writes.
    pub(crate) async fn examine(&self, tenants: &[String]) -> examined::Examined {
        match self {
            Self::Postgres(it) => Box::pin(it.examine(tenants)).await,
            Self::Sqlite(it) => it.examine().await,
        }
    }

    /// Who holds the lock, if anyone does. It is taken for a moment where that writes nothing.
    pub(crate) async fn lock_could_be_had(&self, run: &str) -> Result<Option<String>, DatabaseError> {
        match self {
            Self::Postgres(it) => {
                let mut session = Box::pin(it.lock_session(run, RECORD)).await?;
                let holder = session.try_take(Share::Alone, RECORD).await?;
                session.let_go(RECORD).await?;
                Ok(holder)
            }
            Self::Sqlite(it) => it.lock_holder().await,
        }
    }

    /// The tenants of which a table does not answer a query, with the reason. It never writes.
    pub(crate) async fn silent(
        &self,
        tenants: &[(String, Vec<String>)],
    ) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.silent(tenants).await,
            Self::Sqlite(it) => it.silent(tenants).await,
        }
    }

    /// What each of a tenant's tables answers. It never writes.
    pub(crate) async fn count(
        &self,
        tenant: &str,
        tables: &[String],
    ) -> Result<Vec<(String, Rows)>, DatabaseError> {
        match self {
            Self::Postgres(it) => it.count(tenant, tables).await,
            Self::Sqlite(it) => it.count(tenant, tables).await,
        }
    }

    /// Applies all migrations where nothing remains of it, and reads back what they made.
    pub(crate) async fn derive(
        &self,
        shared: &[MigrationFile],
        tenant: &[MigrationFile],
    ) -> Result<Derived, DatabaseError> {
        match self {
            Self::Postgres(it) => it.derive(shared, tenant).await,
            Self::Sqlite(_) => sqlite::derive::derive(shared, tenant).await,
        }
    }
}

impl Question<'_> {
    /// A registry that is not there has no tenants only where the shared schema's own look says that
    /// something is missing: no tenant at all must never look like all tenants complete.
    fn without_registry(&self, table: &str, found: &Found) -> Result<(), DatabaseError> {
        let told = match &found.shared {
            Some(Look::Seen(_)) => self.manifest.shared.tables.contains_key(table),
            Some(Look::NoLedger { .. }) => self.manifest.shared != Expected::default(),
            Some(_) => true,
            None => false,
        };
        if told || matches!(self.tenants, Some(Selection::Named(_))) {
            return Ok(());
        }
        Err(DatabaseError::Failed(Cause::new(
            Kind::Missing,
            format!("the registry's table `{table}` is not there"),
        )))
    }
}

fn only_postgres() -> DatabaseError {
    DatabaseError::Failed("frameworks make tenants on PostgreSQL alone".into())
}

async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(DatabaseError::TimedOut))
}
