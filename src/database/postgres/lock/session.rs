//! The session that acquires and holds the run's lock: one connection that detects its own end.
//!
//! The lock ends with the session. A pooler may assign another backend, so every check compares the backend with the
//! one that acquired the lock.
//!
//! A session without a response still holds the lock: the server may write a checkpoint, a processor may be throttled,
//! a machine may be paused. The lock is lost when
//! - the server ends the session, or another connection finds that the server does not list the backend with its lock;
//! - the connection is closed;
//! - no query succeeds for `silence_timeout`, counted from the start of the last successful query.
//!
//! No other run can acquire the lock earlier, because only the end of this session releases it. The server ends an
//! unreachable session [`MARGIN`] later than `silence_timeout` after its last packet (`tcp_user_timeout`, and
//! keepalives of the same length), and that packet is no older than the start of the last successful query. If an
//! operator or a server shutdown ends the session, another connection detects that within two seconds. The next holder
//! waits longer than that if it finds orphaned backends (`FENCE` in `actions`). If no other connection is possible,
//! this host cannot make changes either, and the next holder ends its earlier statements. Behind a proxy that keeps a
//! dead client's connections open, the server ends the session later, never earlier.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time;

use super::{
    super::{
        Postgres, connect,
        connection::{Connection, QUERY_TIMEOUT, Row},
        quote::literal,
        run_migration::{self, Lifetime},
    },
    RUN, attempt, holder, just_ended, orphaned_backends, pooler, programs, read_holder, run_held, schema_key,
    sqlx_held,
};
use crate::{
    cause::{Cause, Kind},
    database::{DatabaseError, LockHolder, LockMode, LockState, OrphanedBackend},
    deadline::Deadline,
};

/// A waiting session tests at random, once in this number of pauses, whether the server has a free connection.
const PROBE_ONE_IN: u8 = 4;

/// The server ends an unreachable session this much later than `silence_timeout`.
const MARGIN: Duration = Duration::from_secs(5);

/// The start of a backend `a`, which distinguishes it from a later one with the same process id.
const STARTED: &str = "pg_catalog.date_part('epoch', a.backend_start)::text";

/// Acquires and holds the lock.
pub(crate) struct Session {
    connection: Connection,
    run: String,
    key: i32,
    sqlx: i64,
    /// For checks over another connection.
    server: Postgres,
    /// A pooler assigns a server connection per transaction, so the lock ends with its transaction.
    pooled: bool,
    /// The time without a successful query after which the lock counts as lost.
    silence: Duration,
    /// The process id and the start of the backend that acquired the lock.
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
        // The probe reports why a connection is impossible. Both together detect a pooler.
        let name = format!("portcullis {run}");
        let mut config = self.direct().clone();
        // The kernel ends the silent session together with the server.
        let silent = (silence + MARGIN).as_millis().to_string();
        config.parameters.entry("tcp_user_timeout".into()).or_insert(silent);
        let (mut probe, mut listener) = tokio::try_join!(
            run_migration::primary_once(self.direct(), "portcullis"),
            connect::connect_once(&config, Some(&name))
        )?;
        let pooled = pooler::is_pooled(&mut probe, &mut listener, Deadline::after(QUERY_TIMEOUT)).await;
        probe.close().await;
        let pooled = pooled?;
        self.set_pooled(pooled);
        let mut session = Session {
            connection: listener,
            run: run.to_owned(),
            key: self.run_key(),
            sqlx: self.sqlx_key(),
            server: self.clone(),
            pooled,
            silence,
            backend: None,
        };
        if !pooled {
            let settings = session.settings(Lifetime::Session);
            session.ask(&format!("{settings}; LISTEN {}", channel(session.key)), QUERY_TIMEOUT).await?;
        }
        Ok(session)
    }
}

impl Session {
    /// Tries once. Returns a description of the current holder; None if this session now holds the lock.
    pub(in super::super::super) async fn try_acquire(
        &mut self,
        mode: LockMode,
        limit: Duration,
    ) -> Result<Option<LockHolder>, DatabaseError> {
        let shared = if mode == LockMode::Shared { "_shared" } else { "" };
        let (key, sqlx) = (self.key, self.sqlx);
        let xact = if self.pooled { "xact_" } else { "" };
        let sql = format!(
            "SELECT pg_catalog.pg_try_advisory_{xact}lock{shared}({RUN}, {key})::text, a.pid::text, {STARTED} \
             FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a; \
             SELECT pg_catalog.pg_try_advisory_{xact}lock_shared({sqlx})::text",
        );
        if self.pooled {
            let settings = self.settings(Lifetime::Transaction);
            // At any other level the transaction would hold a snapshot until its end.
            self.ask(&format!("{}; {settings}", run_migration::BEGIN), limit).await?;
        }
        let rows = self.ask(&sql, limit).await?;
        let acquired =
            |index: usize| rows.get(index).is_some_and(|row| connect::flag(row, 0).unwrap_or(false));
        if acquired(0) && acquired(1) {
            let text = |column| rows.first().and_then(|row| connect::text(row, column).ok().flatten());
            self.backend = text(1).zip(text(2));
            self.set_application_name(limit).await?;
            if !self.pooled {
                self.server.writer_pool.open();
            }
            return Ok(None);
        }
        let who = if acquired(0) {
            let rows = self.ask(&holder(&sqlx_held(sqlx)), limit).await?;
            read_holder(&rows).map(|who| {
                let words = who.unwrap_or_else(just_ended).words;
                LockHolder { words: format!("a program that migrates with sqlx: {words}"), run: None }
            })
        } else {
            let rows = self.ask(&holder(&run_held(key)), limit).await?;
            read_holder(&rows).map(|who| who.unwrap_or_else(just_ended))
        };
        self.release_lock(limit, false).await?;
        who.map(Some).map_err(DatabaseError::from)
    }

    /// Waits for a holder's notification that it released the lock, or until the time is up. An error if the connection broke,
    /// or if the server is full, so that this session occupies no connection that the holder may need.
    pub(in super::super::super) async fn until_free(
        &mut self,
        at_most: Duration,
    ) -> Result<(), DatabaseError> {
        if self.pooled {
            Deadline::after(at_most).passed().await;
            return Ok(());
        }
        match time::timeout(at_most, self.connection.notification()).await {
            Ok(notified) => notified.map_err(|error| {
                let why =
                    format!("the connection broke during the wait for the lock: {}", error.cause().text);
                DatabaseError::NotYet(Cause::new(Kind::Lost, why))
            }),
            Err(_) if fastrand::u8(..PROBE_ONE_IN) == 0 => {
                match connect::connect_once(self.server.direct(), None).await {
                    Ok(connection) => connection.close().await,
                    Err(DatabaseError::NotYet(why)) if why.kind == Kind::TooManyConnections => {
                        return Err(DatabaseError::NotYet(why));
                    }
                    // The session itself shows whether the server answers.
                    Err(_) => {}
                }
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Stays pending until the connection ends, then returns the reason. Cancel safe.
    pub(in super::super::super) async fn ended(&mut self) -> String {
        loop {
            // A notification means that another run released its lock.
            if let Err(error) = self.connection.notification().await {
                return error.cause().text;
            }
        }
    }

    /// Whether the same backend responds and still holds the lock.
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
            LockState::Lost("another backend responds: the connection goes through a pooler".into())
        } else if text(2).is_none_or(|held| held == "0") {
            LockState::Lost("the session no longer holds the lock".into())
        } else {
            LockState::Held
        })
    }

    /// Checks over another connection whether the server still lists the backend with its lock. An error leaves that open.
    pub(in super::super::super) fn witness(
        &self,
        limit: Duration,
    ) -> impl Future<Output = Result<LockState, DatabaseError>> + 'static {
        let (server, key, backend) = (self.server.clone(), self.key, self.backend.clone());
        async move {
            let Some((pid, started)) = backend else {
                return Ok(LockState::Lost("the lock was never acquired".into()));
            };
            let sql = format!(
                "SELECT 1::text FROM pg_catalog.pg_locks l \
                 JOIN pg_catalog.pg_stat_get_activity({pid}) a ON a.pid = l.pid AND {STARTED} = {} \
                 WHERE l.locktype = 'advisory' AND l.granted AND l.database = \
                 (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND {}",
                literal(&started),
                run_held(key),
            );
            let query = async {
                let mut connection = run_migration::primary_once(server.direct(), "portcullis").await?;
                let rows = connection.rows(&sql).await;
                connection.close().await;
                rows.map_err(DatabaseError::from)
            };
            let rows = Deadline::after(limit).limit(query).await.unwrap_or(Err(DatabaseError::TimedOut))?;
            Ok(if rows.is_empty() {
                LockState::Lost("the server has ended the session that held the lock".into())
            } else {
                LockState::Held
            })
        }
    }

    /// Ends the orphaned backends and returns those that exist.
    pub(in super::super::super) async fn end_orphaned_backends(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<OrphanedBackend>, DatabaseError> {
        let ended = orphaned_backends::end(&mut self.connection, Deadline::after(limit)).await;
        ended.map_err(DatabaseError::from)
    }

    /// The runs that hold this database's locks, this one included.
    pub(in super::super) async fn holders(&mut self, limit: Duration) -> Result<Vec<String>, DatabaseError> {
        self.ask_texts(&orphaned_backends::holders(), limit).await
    }

    /// Those of these runs that had a lock of this database: others may hold the lock of a registry elsewhere.
    pub(in super::super) async fn recorded(
        &mut self,
        runs: &[String],
        limit: Duration,
    ) -> Result<Vec<String>, DatabaseError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.ask_texts(programs::RECORDS, limit).await?;
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        self.ask_texts(&programs::recorded(&tables, runs), limit).await
    }

    /// The runs that vanished while their programs could have sessions.
    pub(in super::super::super) async fn vanished_runs(
        &mut self,
        limit: Duration,
    ) -> Result<Vec<String>, DatabaseError> {
        let rows = self.ask(programs::READABLE, limit).await?;
        let Some(readable) = rows.first() else { return Ok(Vec::new()) };
        if !connect::flag(readable, 0)? {
            return Ok(vec!["that this role may not read in portcullis.program".into()]);
        }
        self.ask_texts(&programs::vanished(RUN), limit).await
    }

    /// Deletes the records of these runs' programs.
    pub(in super::super::super) async fn forget_runs(
        &mut self,
        runs: &[String],
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        self.ask(&programs::forget(runs), limit).await.map(drop)
    }

    /// Tries to acquire these schemas' locks and returns for each whether it was free. They are held until the session
    /// releases them.
    pub(in super::super::super) async fn acquire_tenants(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<Vec<bool>, DatabaseError> {
        let function = if self.pooled { "pg_try_advisory_xact_lock" } else { "pg_try_advisory_lock" };
        let statements: Vec<String> = names.iter().map(|name| attempt(name, function)).collect();
        let rows = self.ask(&statements.join("; "), limit).await?;
        rows.iter().map(|row| connect::flag(row, 0)).collect::<Result<_, _>>().map_err(DatabaseError::from)
    }

    /// Releases schemas' locks. Behind a pooler they stay until the end of the transaction.
    pub(in super::super::super) async fn release_tenants(
        &mut self,
        names: &[String],
        limit: Duration,
    ) -> Result<(), DatabaseError> {
        if self.pooled || names.is_empty() {
            return Ok(());
        }
        let statements: Vec<String> = names
            .iter()
            .map(|name| format!("SELECT pg_catalog.pg_advisory_unlock({})::text", schema_key(name)))
            .collect();
        self.ask(&statements.join("; "), limit).await.map(drop)
    }

    /// Releases all its locks and notifies the waiting runs. The session stays open. The record of its programs is
    /// deleted unless one of them may still run.
    pub(in super::super::super) async fn release_lock(
        &mut self,
        limit: Duration,
        programs_ended: bool,
    ) -> Result<(), DatabaseError> {
        self.server.writer_pool.close().await;
        if programs_ended && self.server.programs.swap(false, Ordering::Relaxed) {
            // If it fails, the next holder waits for programs that have ended.
            let run = [self.run.clone()];
            let _ = self.forget_runs(&run, limit).await;
        }
        let notify =
            self.backend.take().map(|_| format!("; NOTIFY {}", channel(self.key))).unwrap_or_default();
        let sql = if self.pooled {
            "COMMIT".to_owned()
        } else {
            "SELECT pg_catalog.pg_advisory_unlock_all()::text".into()
        };
        self.ask(&format!("{sql}{notify}"), limit).await.map(drop)
    }

    /// Sets an application name that describes the holder. Waiting runs can read it even without other privileges.
    async fn set_application_name(&mut self, limit: Duration) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT pg_catalog.set_config('application_name', {} || ' since ' \
             || to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', {})",
            literal(&format!("portcullis {}", self.run)),
            self.pooled,
        );
        self.ask(&sql, limit).await.map(drop)
    }

    fn settings(&self, lifetime: Lifetime) -> String {
        let unreachable = self.silence + MARGIN;
        run_migration::settings(self.connection.server_version(), lifetime, unreachable)
    }

    /// The first column of every row.
    async fn ask_texts(&mut self, sql: &str, limit: Duration) -> Result<Vec<String>, DatabaseError> {
        let rows = self.ask(sql, limit).await?;
        let texts = rows.iter().map(|row| connect::text(row, 0).map(Option::unwrap_or_default));
        Ok(texts.collect::<Result<_, _>>()?)
    }

    async fn ask(&mut self, sql: &str, limit: Duration) -> Result<Vec<Row>, DatabaseError> {
        let rows = self.connection.rows_until(sql, Deadline::after(limit)).await;
        rows.map_err(DatabaseError::from)
    }
}

fn channel(key: i32) -> String {
    format!("portcullis_{:08x}", super::unsigned(key))
}
