//! Ends the orphaned backends of runs that no longer hold the lock: their own and their child processes'.
//!
//! The application name of a run's sessions for changes is `portcullis:RUN`, that of its lock session is `portcullis RUN`.

use super::{
    super::{
        connect,
        connection::{Connection, Row},
        error::QueryError,
        quote::array,
    },
    RUN,
};
use crate::{database::OrphanedBackend, deadline::Deadline};

/// The prefix of the run's id in the application name of a session for changes.
pub(in super::super) const RUN_PREFIX: &str = "portcullis:";
/// The suffix for Portcullis's own sessions, which are fenced by their schema's lock.
pub(in super::super) const NATIVE_SUFFIX: &str = " sql";

/// Whether this role may end a session of that role. It is checked first: behind a pooler an error would end the
/// transaction that holds the lock.
const MAY_END: &str = "(pg_catalog.pg_has_role(a.usesysid, 'USAGE') \
     OR EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolname = 'pg_signal_backend' AND pg_catalog.pg_has_role(m.oid, 'USAGE'))) \
     AND ((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \
     OR NOT (SELECT rolsuper FROM pg_catalog.pg_roles o WHERE o.oid = a.usesysid))";

/// Ends the orphaned backends that this role may end and returns all that exist.
pub(super) async fn end(
    connection: &mut Connection,
    deadline: Deadline,
) -> Result<Vec<OrphanedBackend>, QueryError> {
    ended(connection.rows_until(&end_query(), deadline).await?)
}

/// The id of the run to which a session `a` for changes belongs.
const RUN_OF_SESSION: &str = "split_part(split_part(a.application_name, ':', 2), ' ', 1)";

/// The sessions for changes in these databases of any server.
fn elsewhere(databases: &[String]) -> String {
    format!(
        "pg_catalog.pg_stat_get_activity(NULL) a JOIN pg_catalog.pg_database d ON d.oid = a.datid \
         WHERE d.datname::text = ANY({}) AND a.application_name LIKE '{RUN_PREFIX}%'",
        array(databases.iter().map(|name| Some(name.as_str()))),
    )
}

/// The runs with sessions in other databases of any server that are not `holders` of this registry's lock.
pub(in super::super) async fn runs_elsewhere(
    connection: &mut Connection,
    databases: &[String],
    holders: &[String],
) -> Result<Vec<String>, QueryError> {
    let sql = format!(
        "SELECT DISTINCT {RUN_OF_SESSION} FROM {} AND {RUN_OF_SESSION} <> ALL({})",
        elsewhere(databases),
        array(holders.iter().map(|name| Some(name.as_str()))),
    );
    let rows = connection.rows(&sql).await?;
    rows.iter().map(|row| connect::text(row, 0).map(Option::unwrap_or_default)).collect()
}

/// Ends the backends of these runs in other databases of any server, and returns them.
pub(in super::super) async fn end_elsewhere(
    connection: &mut Connection,
    databases: &[String],
    runs: &[String],
) -> Result<Vec<OrphanedBackend>, QueryError> {
    let sql = format!(
        "SELECT a.pid::text, a.application_name, CASE WHEN {MAY_END} THEN pg_catalog.pg_terminate_backend(a.pid) END::text \
         FROM {} AND {RUN_OF_SESSION} = ANY({})",
        elsewhere(databases),
        array(runs.iter().map(|name| Some(name.as_str()))),
    );
    ended(connection.rows(&sql).await?)
}

fn ended(rows: Vec<Row>) -> Result<Vec<OrphanedBackend>, QueryError> {
    let mut orphaned_backends = Vec::new();
    for row in rows {
        let (Some(pid), Some(name)) = (connect::text(&row, 0)?, connect::text(&row, 1)?) else { continue };
        orphaned_backends.push(OrphanedBackend {
            fenced: name.ends_with(NATIVE_SUFFIX),
            name: format!("{name}, process {pid}"),
        });
    }
    Ok(orphaned_backends)
}

/// Selects the runs that hold a lock of any registry in this database.
pub(super) fn holders() -> String {
    format!(
        "SELECT split_part(h.application_name, ' ', 2) FROM pg_catalog.pg_stat_activity h \
         JOIN pg_catalog.pg_locks l ON l.pid = h.pid WHERE h.datname = current_database() \
         AND l.locktype = 'advisory' AND l.granted AND h.application_name LIKE 'portcullis %' \
         AND l.database = h.datid AND l.classid::int8 = {RUN} AND l.objsubid = 2"
    )
}

/// Ends the backends whose run holds no lock of any registry. It calls the function behind `pg_stat_activity` once,
/// because the view takes longer to plan than to read.
fn end_query() -> String {
    format!(
        "WITH d AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), \
         a AS MATERIALIZED (SELECT s.pid, s.usesysid, s.application_name FROM d, pg_catalog.pg_stat_get_activity(NULL) s \
         WHERE s.datid = d.oid AND s.application_name LIKE 'portcullis%') \
         SELECT a.pid::text, a.application_name, CASE WHEN {MAY_END} THEN pg_catalog.pg_terminate_backend(a.pid) END::text \
         FROM a WHERE a.application_name LIKE '{RUN_PREFIX}%' \
         AND split_part(split_part(a.application_name, ':', 2), ' ', 1) NOT IN (\
         SELECT split_part(h.application_name, ' ', 2) FROM d, a h JOIN pg_catalog.pg_locks l ON l.pid = h.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND h.application_name LIKE 'portcullis %' \
         AND l.database = d.oid AND l.classid::int8 = {RUN} AND l.objsubid = 2)"
    )
}
