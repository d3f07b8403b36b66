//! Ends what runs that lost the lock have left in the database: their children's backends, and their own.
//!
//! A run's sessions that change things are called `portcullis:RUN`, the one that holds the lock `portcullis RUN`.

use sqlx::postgres::PgConnection;

use super::{super::connect, RUN};
use crate::database::Stray;

/// Before the id of the run, in the name of a session that changes things.
pub(in super::super) const MARK: &str = "portcullis:";
/// Behind it, where the session is ours: such a one is fenced by its schema's lock.
pub(in super::super) const OURS: &str = " sql";

/// Ends them, as far as this user may, and returns those that were there.
pub(super) async fn end(connection: &mut PgConnection) -> Result<Vec<Stray>, sqlx::Error> {
    let mut strays = Vec::new();
    for row in connect::rows(connection, &left()).await? {
        let (Some(pid), Some(name)) = (connect::text(&row, 0)?, connect::text(&row, 1)?) else { continue };
        // One at a time: the server refuses to end a session of a role that this one is no member of.
        let end = format!(
            "SELECT pg_catalog.pg_terminate_backend(a.pid)::text FROM pg_catalog.pg_stat_activity a \
             WHERE a.pid = {pid} AND a.application_name LIKE '{MARK}%'",
        );
        match connect::rows(connection, &end).await {
            Err(error) if connect::code(&error) != Some("42501") => return Err(error),
            _ => {}
        }
        strays.push(Stray { fenced: name.ends_with(OURS), name: format!("{name}, process {pid}") });
    }
    Ok(strays)
}

/// The backends whose run is not among those that hold a lock; that of another registry is as good. The function beneath
/// `pg_stat_activity` is asked once: the view twice takes longer to plan than to read, in each run and at each heartbeat.
fn left() -> String {
    format!(
        "WITH d AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()), \
         a AS MATERIALIZED (SELECT s.pid, s.application_name FROM d, pg_catalog.pg_stat_get_activity(NULL) s \
         WHERE s.datid = d.oid AND s.application_name LIKE 'portcullis%') \
         SELECT a.pid::text, a.application_name FROM a WHERE a.application_name LIKE '{MARK}%' \
         AND split_part(split_part(a.application_name, ':', 2), ' ', 1) NOT IN (\
         SELECT split_part(h.application_name, ' ', 2) FROM d, a h JOIN pg_catalog.pg_locks l ON l.pid = h.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND h.application_name LIKE 'portcullis %' \
         AND l.database = d.oid AND l.classid::int8 = {RUN} AND l.objsubid = 2)"
    )
}
