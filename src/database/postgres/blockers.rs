//! Finds the sessions whose locks a run's programs and native sessions wait for.

use std::future::{Ready, ready};

use super::{
    Postgres, connect,
    error::QueryError,
    lock::{NATIVE_SUFFIX, RUN_PREFIX},
    quote::literal,
};
use crate::database::{Blocker, DatabaseError};

impl Postgres {
    pub(crate) fn behind_pooler(&self) -> Ready<bool> {
        ready(self.is_pooled())
    }

    pub(crate) async fn blockers(&self, run: &str) -> Result<Vec<Blocker>, DatabaseError> {
        let sql = format!(
            "SELECT (SELECT n.nspname::text FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE l.pid = w.pid AND NOT l.granted AND l.locktype = 'relation' LIMIT 1), b.pid::text, \
             'backend ' || b.pid || ' (application `' || b.application_name || '`, user `' || coalesce(b.usename, '') || '`, ' || \
             coalesce(b.state, 'state unknown') || ', query started at ' || \
             coalesce(to_char(b.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC', 'an unknown time') || ')' \
             FROM pg_catalog.pg_stat_activity w \
             CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(w.pid)) AS blocking (pid) \
             JOIN pg_catalog.pg_stat_activity b ON b.pid = blocking.pid \
             WHERE w.datname = pg_catalog.current_database() AND w.application_name IN ({program}, {native}) \
             AND b.application_name NOT IN ({program}, {native}) AND w.wait_event_type = 'Lock'",
            program = literal(&format!("{RUN_PREFIX}{run}")),
            native = literal(&format!("{RUN_PREFIX}{run}{NATIVE_SUFFIX}")),
        );
        let mut connection = self.writer().await?;
        let rows = connection.rows(&sql).await?;
        self.release_clean(connection).await;
        let blocker = |row| {
            let text = |column| Ok::<_, QueryError>(connect::text(row, column)?.unwrap_or_default());
            Ok(Blocker { schema: connect::text(row, 0)?, pid: text(1)?, session: text(2)? })
        };
        rows.iter().map(blocker).collect::<Result<_, QueryError>>().map_err(DatabaseError::from)
    }
}
