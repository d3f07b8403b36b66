//! The session that waits for the lock on a run, and holds it: one connection, which hears of its own end.
//!
//! The lock lives as long as the session does. sqlx's listener connects again without a word, so that every look
//! compares the backend with the one that took the lock.

use std::{mem::ManuallyDrop, time::Duration};

use sqlx::{
    Acquire, Connection,
    postgres::{PgConnection, PgListener, PgRow},
};
use tokio::{runtime::Handle, time};

use super::{
    super::{
        Postgres, connect,
        kept::Kept,
        quote::literal,
        run::{self, Lifetime},
    },
    RUN, SCHEMA, attempt, crc, holder, just_ended, pooler, run_held, sqlx_held, strays,
};
use crate::database::{DatabaseError, Share, Stray};

/// Waits for the lock, then holds it.
pub(crate) struct Session {
    /// Taken out when it is dropped.
    listener: ManuallyDrop<PgListener>,
    run: String,
    key: i32,
    sqlx: i64,
    /// A pooler gives each transaction a connection of its own: the lock lasts as long as a transaction.
    pooled: bool,
    /// Who answered when the lock was taken.
    backend: Option<String>,
    kept: Kept,
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
    pub(in super::super::super) async fn lock_session(&self, run: &str) -> Result<Session, DatabaseError> {
        // The first one says in words why there can be none; both, whether there is a pooler between.
        let name = format!("portcullis {run}");
        let (mut probe, mut listener) = tokio::try_join!(
            run::primary(self.direct(), "portcullis"),
            connect::listener(self.direct(), &name)
        )?;
        let pooled = pooler::between(&mut probe, &mut listener).await;
        let _ = probe.close().await;
        let pooled = pooled.map_err(|error| connect::failed(&error))?;
        self.found_pooled(pooled);
        let mut session = Session {
            listener: ManuallyDrop::new(listener),
            run: run.to_owned(),
            key: self.run_key(),
            sqlx: self.sqlx_key(),
            pooled,
            backend: None,
            kept: self.kept.clone(),
        };
        if !pooled {
            let settings = run::session(session.connection().await?, Lifetime::Session);
            session.say(&format!("{settings}; LISTEN {}", channel(session.key))).await?;
        }
        Ok(session)
    }
}

impl Session {
    /// Tries once. The answer is the present holder, in words; None if it is held now.
    pub(in super::super::super) async fn try_take(
        &mut self,
        share: Share,
    ) -> Result<Option<String>, DatabaseError> {
        let shared = if share == Share::WithOthers { "_shared" } else { "" };
        let (key, sqlx) = (self.key, self.sqlx);
        let xact = if self.pooled { "xact_" } else { "" };
        let sql = format!(
            "SELECT pg_catalog.pg_try_advisory_{xact}lock{shared}({RUN}, {key})::text, pg_catalog.pg_backend_pid()::text; \
             SELECT pg_catalog.pg_try_advisory_{xact}lock_shared({sqlx})::text",
        );
        if self.pooled {
            let settings = run::session(self.connection().await?, Lifetime::Transaction);
            // In any other level it would hold a snapshot until its end.
            self.say(&format!("{}; {settings}", run::BEGIN)).await?;
        }
        let rows = self.say(&sql).await?;
        let had = |index: usize| rows.get(index).is_some_and(|row| connect::flag(row, 0).unwrap_or(false));
        if had(0) && had(1) {
            self.backend = rows.first().and_then(|row| connect::text(row, 1).ok().flatten());
            self.name_itself().await?;
            if !self.pooled {
                self.kept.begin();
            }
            return Ok(None);
        }
        let who = if had(0) {
            let who = holder(self.connection().await?, &sqlx_held(sqlx)).await;
            who.map(|who| format!("sqlx's own tool: {}", who.unwrap_or_else(just_ended)))
        } else {
            let who = holder(self.connection().await?, &run_held(key)).await;
            who.map(|who| who.unwrap_or_else(just_ended))
        };
        self.let_go().await?;
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
                Err(DatabaseError::NotYet("the connection that waited for the lock broke".into()))
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
                Err(error) => return connect::words(&error),
            }
        }
    }

    /// Whether the same backend answers and still holds the lock; otherwise why not.
    pub(in super::super::super) async fn check(&mut self) -> Result<(), String> {
        let sql = format!(
            "SELECT pg_catalog.pg_backend_pid()::text, (SELECT count(*) FROM pg_catalog.pg_locks l \
             WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() \
             AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND {})::text",
            run_held(self.key),
        );
        let rows = self.say(&sql).await.map_err(|error| error.to_string())?;
        let text = |column| rows.first().and_then(|row| connect::text(row, column).ok().flatten());
        if text(0) != self.backend {
            return Err(
                "another backend answers: the connection was made again, or a pooler is between".into()
            );
        }
        if text(1).is_none_or(|held| held == "0") {
            return Err("the session does not hold it any more".into());
        }
        Ok(())
    }

    /// Ends the backends of runs that do not hold the lock, and says which of them are still there.
    pub(in super::super::super) async fn end_strays(&mut self) -> Result<Vec<Stray>, DatabaseError> {
        strays::end(self.connection().await?).await.map_err(|error| connect::failed(&error))
    }

    /// Takes these schemas' own locks, and says for each whether it was free. They are held until the end.
    pub(in super::super::super) async fn take_schemas(
        &mut self,
        names: &[String],
    ) -> Result<Vec<bool>, DatabaseError> {
        let function = if self.pooled { "pg_try_advisory_xact_lock" } else { "pg_try_advisory_lock" };
        let tries: Vec<String> = names.iter().map(|name| attempt(name, function)).collect();
        let rows = self.say(&tries.join("; ")).await?;
        rows.iter()
            .map(|row| connect::flag(row, 0))
            .collect::<Result<_, _>>()
            .map_err(|error| connect::failed(&error))
    }

    /// Gives schemas' locks back, where that can be done before the end.
    pub(in super::super::super) async fn give_schemas(
        &mut self,
        names: &[String],
    ) -> Result<(), DatabaseError> {
        if self.pooled || names.is_empty() {
            return Ok(());
        }
        let gives: Vec<String> = names
            .iter()
            .map(|name| format!("SELECT pg_catalog.pg_advisory_unlock({SCHEMA}, {})::text", crc(name)))
            .collect();
        self.say(&gives.join("; ")).await.map(drop)
    }

    /// Lets go of everything it holds, and tells those who wait. The session stays.
    pub(in super::super::super) async fn let_go(&mut self) -> Result<(), DatabaseError> {
        self.kept.end().await;
        let told = self.backend.take().map(|_| format!("; NOTIFY {}", channel(self.key))).unwrap_or_default();
        let sql = if self.pooled {
            "COMMIT".to_owned()
        } else {
            "SELECT pg_catalog.pg_advisory_unlock_all()::text".into()
        };
        self.say(&format!("{sql}{told}")).await.map(drop)
    }

    /// Who waits reads it, whatever it may see of others' sessions.
    async fn name_itself(&mut self) -> Result<(), DatabaseError> {
        let sql = format!(
            "SELECT pg_catalog.set_config('application_name', {} || ' since ' \
             || to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', {})",
            literal(&format!("portcullis {}", self.run)),
            self.pooled,
        );
        self.say(&sql).await.map(drop)
    }

    async fn say(&mut self, sql: &str) -> Result<Vec<PgRow>, DatabaseError> {
        connect::rows(self.connection().await?, sql).await.map_err(|error| connect::failed(&error))
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
