//! Ends what runs that lost the lock have left in the database: their children's backends, and their own.
//!
//! A run's sessions that change things are called `portcullis:RUN`, the one that holds the lock `portcullis RUN`.

use sqlx::postgres::PgConnection;

use super::{
    super::{connect, connection::rows_by},
    RUN,
};
use crate::{database::OrphanedBackend, deadline::Deadline};

/// Before the id of the run, in the name of a session that changes things.
pub(in super::super) const OWNERSHIP_TAG: &str = "portcullis:";
/// Behind it, where the session is ours: such a one is fenced by its schema's lock.
pub(in super::super) const OURS: &str = " sql";

/// Whether the server lets this role end a session of that one. It is asked first: an error would end the transaction that
/// holds the lock behind a pooler.
const MAY_END: &str = "(pg_catalog.pg_has_role(a.usesysid, 'USAGE') \
     OR EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolname = 'pg_signal_backend' AND pg_catalog.pg_has_role(m.oid, 'USAGE'))) \
     AND ((SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) \
     OR NOT (SELECT rolsuper FROM pg_catalog.pg_roles o WHERE o.oid = a.usesysid))";

/// Ends them, as far as this user may, and returns those that were there.
pub(super) async fn end(
    connection: &mut PgConnection,
    deadline: Deadline,
) -> Result<Vec<OrphanedBackend>, sqlx::Error> {
    let mut orphaned_backends = Vec::new();
    for row in rows_by(connection, &left(), deadline).await? {
        let (Some(pid), Some(name)) = (connect::text(&row, 0)?, connect::text(&row, 1)?) else { continue };
        orphaned_backends
            .push(OrphanedBackend { fenced: name.ends_with(OURS), name: format!("{name}, process {pid}") });
    }
    Ok(orphaned_backends)
}

/// The backends whose run is not among those that hold a lock; that of another registry is as good. The function beneath
/// `pg_stat_activity` is asked once: the view twice takes longer to plan than to read, in each run and at each heartbeat.
fn left() -> String {
    format!(
        "WITH d AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), \
         a AS MATERIALIZED (SELECT s.pid, s.usesysid, s.application_name FROM d, pg_catalog.pg_stat_get_activity(NULL) s \
         WHERE s.datid = d.oid AND s.application_name LIKE 'portcullis%') \
         SELECT a.pid::text, a.application_name, CASE WHEN {MAY_END} THEN pg_catalog.pg_terminate_backend(a.pid) END::text \
         FROM a WHERE a.application_name LIKE '{OWNERSHIP_TAG}%' \
         AND split_part(split_part(a.application_name, ':', 2), ' ', 1) NOT IN (\
         SELECT split_part(h.application_name, ' ', 2) FROM d, a h JOIN pg_catalog.pg_locks l ON l.pid = h.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND h.application_name LIKE 'portcullis %' \
         AND l.database = d.oid AND l.classid::int8 = {RUN} AND l.objsubid = 2)"
    )
}
