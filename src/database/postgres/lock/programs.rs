//! Records that programs of a run may open sessions of their own. Such a session is not fenced by a schema's lock. The
//! record is deleted when the lock is released, so a record without a holder means that its run vanished: the run may
//! be alive and not know yet that it has lost the lock.

use super::super::{
    connection::Connection,
    error::QueryError,
    metadata_schema,
    quote::{array, literal},
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS portcullis.program (run text PRIMARY KEY, \
     began timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp())";

/// Selects whether this role may read the records; no row if there is no table.
pub(super) const READABLE: &str = "SELECT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT, DELETE'))::text \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'portcullis' AND c.relname = 'program'";

/// Records the run.
pub(super) async fn record(connection: &mut Connection, run: &str) -> Result<(), QueryError> {
    let sql =
        format!("INSERT INTO portcullis.program (run) VALUES ({}) ON CONFLICT DO NOTHING", literal(run));
    match connection.rows(&sql).await {
        Err(error) if error.is_missing() => {
            metadata_schema::ensure(connection, TABLE).await?;
            connection.rows(&sql).await.map(drop)
        }
        recorded => recorded.map(drop),
    }
}

/// Selects the recorded runs that hold no lock of any registry; `class` is the first key of these locks.
pub(super) fn vanished(class: i32) -> String {
    format!(
        "SELECT p.run FROM portcullis.program p WHERE p.run NOT IN (SELECT split_part(h.application_name, ' ', 2) \
         FROM pg_catalog.pg_stat_activity h JOIN pg_catalog.pg_locks l ON l.pid = h.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.classid::int8 = {class} AND l.objsubid = 2 \
         AND h.application_name LIKE 'portcullis %' \
         AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))"
    )
}

/// Deletes the records of these runs.
pub(super) fn forget(runs: &[String]) -> String {
    let runs: Vec<String> = runs.iter().map(|run| literal(run)).collect();
    format!("DELETE FROM portcullis.program WHERE run IN ({})", runs.join(", "))
}

/// Selects the tables with runs of this database's registries that this role may read.
pub(super) const RECORDS: &str = "SELECT c.relname::text FROM pg_catalog.pg_class c \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = 'portcullis' AND c.relname IN ('run', 'program', 'database_journal') \
     AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')";

/// Selects those of these runs that one of the tables records.
pub(super) fn recorded(tables: &[String], runs: &[String]) -> String {
    let runs = array(runs.iter().map(|run| Some(run.as_str())));
    let select = |table: &String| format!("SELECT run FROM portcullis.{table} WHERE run = ANY({runs})");
    tables.iter().map(select).collect::<Vec<_>>().join(" UNION ")
}
