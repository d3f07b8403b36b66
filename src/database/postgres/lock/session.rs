//! The session that waits for the lock on a run, and holds it: one connection, which hears of its own end.
//!
//! The lock lives as long as the session does. sqlx's listener connects again without a word, so that every check
//! compares the backend with the one that took the lock.
//!
//! Silence is not loss. A server that writes a checkpoint, a throttled processor or a paused machine may answer nothing for
//! a while, and the session still holds the lock. The lock is lost when
//! - the server says so: it ends the session, or another connection sees that it does not list the backend with its lock;
//! - the connection is closed;
//! - nothing could be asked for `silence_timeout`, counted from the sending of the last question that was answered.
//!
//! Why no other run can have the lock before that: only the end of this session releases it. The server ends a session that
//! it cannot reach [`MARGIN`] later than `silence_timeout` after it last heard of it (`tcp_user_timeout`, and keepalives
//! that last as long), and it heard of it no earlier than the last answered question was sent. A session that is ended by
//! hand or with its server is seen from another connection within two seconds, which is less than the next holder waits
//! where it finds sessions of ours (`FENCE` in `actions`); if no other connection can be made, this host cannot change
//! anything either, and what was sent before is ended by the next holder. Behind a proxy that holds the connections of a
//! dead client open, the server ends the session later, never earlier.

use std::{mem::ManuallyDrop, time::Duration};

use sqlx::{
    Acquire,
    postgres::{PgConnection, PgListener, PgRow},
};
use tokio::{runtime::Handle, time};

use super::{
    super::{
        Postgres, connect,
        connection::{QUERY_TIMEOUT, rows_by},
        quote::literal,
        run_migration::{self, Lifetime},
    },
    RUN, attempt, holder, just_ended, named, orphaned_backends, pooler, run_held, schema_key, sqlx_held,
};
use crate::{
    cause::{Cause, Kind},
    database::{DatabaseError, LockMode, LockState, OrphanedBackend},
    deadline::Deadline,
};

/// So much later than `silence_timeout` the server ends a session that it cannot reach.
const MARGIN: Duration = Duration::from_secs(5);

/// When a backend `a` began, which tells it from a later one of the same number.
const STARTED: &str = "pg_catalog.date_part('epoch', a.backend_start)::text";

/// Waits for the lock, then holds it.
pub(crate) struct Session {
    /// Taken out when it is dropped.
    listener: ManuallyDrop<PgListener>,
    run: String,
    key: i32,
    sqlx: i64,
    /// For the look from another connection.
    server: Postgres,
    /// A pooler gives each transaction a connection of its own: the lock lasts as long as a transaction.
    pooled: bool,
    /// How long it may be that nothing can be asked.
    silence: Duration,
    /// Who answered when the lock was taken: its process, and when that began.
    backend: Option<(String, String)>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("run", &self.run)
            .field("backend", &self.backend)
            .finish_non_exhaustive()
    }
}

impl Postgres {
    pub(in super::super::super) async fn lock_session(
        &self,
        run: &str,
        silence: Duration,
    ) -> Result<Session, DatabaseError> {
        // The first one says in words why there can be none; both, whether there is a pooler between.
        let name = format!("portcullis {run}");
        let (mut probe, mut listener) = tokio::try_join!(
            run_migration::primary(self.direct(), "portcullis"),
            connect::listener(self.direct(), &name)
        )?;
        let pooled = pooler::between(&mut probe, &mut listener, Deadline::after(QUERY_TIMEOUT)).await;
        probe.close().await;
        let pooled = pooled.map_err(|error| connect::failed(&error))?;
        self.found_pooled(pooled);
        let mut session = Session {
            listener: ManuallyDrop::new(listener),
            run: run.to_owned(),
            key: self.run_key(),
            sqlx: self.sqlx_key(),
            server: self.clone(),
            pooled,
            silence,
            backend: None,
        };
        if !pooled {
            let settings = session.settings(Lifetime::Session).await?;
            session.ask(&format!("{settings}; LISTEN {}", channel(session.key)), QUERY_TIMEOUT).await?;
        }
        Ok(session)
    }
}

impl Session {
    /// Tries once. The answer is the present holder, in words; None if it is held now.
    pub(in super::super::super) async fn try_acquire(
        &mut self,
        share: LockMode,
        limit: Duration,
    ) -> Result<Option<String>, DatabaseError> {
        let shared = if share == LockMode::Shared { "_shared" } else { "" };
        let (key, sqlx) = (self.key, self.sqlx);
        let xact = if self.pooled { "xact_" } else { "" };
        let sql = format!(
            "SELECT pg_catalog.pg_try_advisory_{xact}lock{shared}({RUN}, {key})::text, a.pid::text, {STARTED} \
             FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a; \
             SELECT pg_catalog.pg_try_advisory_{xact}lock_shared({sqlx})::text",
        );
        if self.pooled {
            let settings = self.settings(Lifetime::Transaction).await?;
            // In any other level it would hold a snapshot until its end.
            self.ask(&format!("{}; {settings}", run_migration::BEGIN), limit).await?;
        }
        let rows = self.ask(&sql, limit).await?;
        let had = |index: usize| rows.get(index).is_some_and(|row| connect::flag(row, 0).unwrap_or(false));
        if had(0) && had(1) {
            let text = |column| rows.first().and_then(|row| connect::text(row, column).ok().flatten());
            self.backend = text(1).zip(text(2));
            self.name_itself(limit).await?;
            if !self.pooled {
                self.server.writer_pool.begin();
            }
            return Ok(None);
        }
        let who = if had(0) {
            let rows = self.ask(&holder(&sqlx_held(sqlx)), limit).await?;
            named(&rows)
                .map(|who| format!("a program that migrates with sqlx: {}", who.unwrap_or_else(just_ended)))
        } else {
            let rows = self.ask(&holder(&run_held(key)), limit).await?;
            named(&rows).map(|who| who.unwrap_or_else(just_ended))
        };
        self.release_lock(limit).await?;
        who.map(Some).map_err(|error| connect::failed(&error))
    }

    /// Until a holder says that it lets go, or the time is up.
    pub(in super::super::super) async fn until_free(
        &mut self,
        at_most: Duration,
    ) -> Result<(), DatabaseError> {
        if self.pooled {
            time::sleep(at_most).await;
            return Ok(());
        }
        match time::timeout(at_most, self.listener.try_recv()).await {
            Ok(Ok(Some(_))) | Err(_) => Ok(()),
            Ok(Ok(None)) => {
                let why = "the connection that waited for the lock broke";
                Err(DatabaseError::NotYet(Cause::new(Kind::Lost, why)))
            }
            Ok(Err(error)) => Err(connect::failed(&error)),
        }
    }

    /// Pends as long as the connection stands, and then says what became of it. Cancel safe.
    pub(in super::super::super) async fn ended(&mut self) -> String {
        loop {
            match self.listener.try_recv().await {
                // Other runs that let go.
                Ok(Some(_)) => {}
                Ok(None) => return "the connection that held it broke".into(),
                Err(error) => return connect::cause(&error).text,
            }
        }
    }

    /// Whether the same backend answers and still holds the lock.
    pub(in super::super::super) async fn check(
        &mut self,
        limit: Duration,
    ) -> Result<LockState, DatabaseError> {
        let sql = format!(
            "SELECT a.pid::text, {STARTED}, (SELECT count(*) FROM pg_catalog.pg_locks l \
             WHERE l.locktype = 'advisory' AND l.granted AND l.pid = a.pid \
             AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND {})::text \
             FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a",
            run_held(self.key),
        );
        let rows = self.ask(&sql, limit).await?;
        let text = |column| rows.first().and_then(|row| connect::text(row, column).ok().flatten());
        Ok(if text(0).zip(text(1)) != self.backend {
            LockState::Lost(
                "another backend answers: the connection was made again, or a pooler is between".into(),
            )
        } else if text(2).is_none_or(|held| held == "0") {
            LockState::Lost("the session does not hold it any more".into())
        } else {
            LockState::Held
        })
    }

    /// Asks on another connection whether the server still lists the backend with its lock. An error says nothing.
    pub(in super::super::super) fn witness(
        &self,
        limit: Duration,
    ) -> impl Future<Output = Result<LockState, DatabaseError>> + 'static {
        let (server, key, backend) = (self.server.clone(), self.key, self.backend.clone());
        async move {
            let Some((pid, started)) = backend else {
                return Ok(LockState::Lost("it was never held".into()));
            };
            let sql = format!(
                "SELECT 1::text FROM pg_catalog.pg_locks l \
                 JOIN pg_catalog.pg_stat_get_activity({pid}) a ON a.pid = l.pid AND {STARTED} = {} \
                 WHERE l.locktype = 'advisory' AND l.granted AND l.database = \
                 (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND {}",
                literal(&started),
                run_held(key),
            );
            let asked = async {
                let mut connection = run_migration::primary(server.direct(), "portcullis").await?;
                let rows = connection.rows(&sql).await;
                connection.close().await;
                rows.map_err(|error| connect::failed(&error))
            };
            let rows = Deadline::after(limit).limit(asked).await.unwrap_or(Err(DatabaseError::TimedOut))?;
            Ok(if rows.is_empty() {
                LockState::Lost("the server has ended the session that held it".into())
            } else {
                LockState::Held
            })
        }
    }

    /// Ends the backends of runs that do not hold the lock, and says which of them are still there.
    pub(in super::super::super) async fn end_orphaned_backends(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        let ended = orphaned_backends::end(self.connection().await?, Deadline::after(limit)).await;
        ended.map_err(|error| connect::failed(&error))
    }

    /// Takes these schemas' own locks, and says for each whether it was free. They are held until the end.
    pub(in super::super::super) async fn acquire_schemas(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<Vec<bool>, DatabaseError> {
        let function = if self.pooled { "pg_try_advisory_xact_lock" } else { "pg_try_advisory_lock" };
        let tries: Vec<String> = names.iter().map(|name| attempt(name, function)).collect();
        let rows = self.ask(&tries.join("; "), limit).await?;
        rows.iter()
            .map(|row| connect::flag(row, 0))
            .collect::<Result<_, _>>()
            .map_err(|error| connect::failed(&error))
    }

    /// Gives schemas' locks back, where that can be done before the end.
    pub(in super::super::super) async fn release_schemas(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        if self.pooled || names.is_empty() {
            return Ok(());
        }
        let gives: Vec<String> = names
            .iter()
            .map(|name| format!("SELECT pg_catalog.pg_advisory_unlock({})::text", schema_key(name)))
            .collect();
        self.ask(&gives.join("; "), limit).await.map(drop)
    }

    /// Lets go of everything it holds, and tells those who wait. The session stays.
    pub(in super::super::super) async fn release_lock(
        &mut self,
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        self.server.writer_pool.end().await;
        let told = self.backend.take().map(|_| format!("; NOTIFY {}", channel(self.key))).unwrap_or_default();
        let sql = if self.pooled {
            "COMMIT".to_owned()
        } else {
            "SELECT pg_catalog.pg_advisory_unlock_all()::text".into()
        };
        self.ask(&format!("{sql}{told}"), limit).await.map(drop)
    }

    /// Who waits reads it, whatever it may see of others' sessions.
    async fn name_itself(&mut self, limit: Duration) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT pg_catalog.set_config('application_name', {} || ' since ' \
             || to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', {})",
            literal(&format!("portcullis {}", self.run)),
            self.pooled,
        );
        self.ask(&sql, limit).await.map(drop)
    }

    async fn settings(&mut self, lifetime: Lifetime) -> Result<String, DatabaseError> {
        let unreachable = self.silence + MARGIN;
        let version = self.connection().await?.server_version_num().unwrap_or_default();
        Ok(run_migration::settings(version, lifetime, unreachable))
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Vec<PgRow>, DatabaseError> {
        let deadline = Deadline::after(limit);
        let rows = async {
            let connection = self.connection().await?;
            rows_by(connection, sql, deadline).await.map_err(|error| connect::failed(&error))
        };
        // A connection that is gone is made again first, which may take long.
        deadline.limit(rows).await.unwrap_or(Err(DatabaseError::TimedOut))
    }

    async fn connection(&mut self) -> Result<&mut PgConnection, DatabaseError> {
        (&mut *self.listener).acquire().await.map_err(|error| connect::failed(&error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: nobody uses the value after its drop.
        let listener = unsafe { ManuallyDrop::take(&mut self.listener) };
        if Handle::try_current().is_ok() {
            drop(listener);
        } else {
            // Its drop starts a task, which is a panic where no runtime is left. The process ends, or becomes the
            // server, and the socket is closed with that.
            std::mem::forget(listener);
        }
    }
}

fn channel(key: i32) -> String {
    format!("portcullis_{:08x}", super::unsigned(key))
}
