//! The server's properties, and the share of its resources that an inspection may use.

use super::{connect, connection::Row, error::QueryError};

/// An inspection uses at most a tenth of the lock table.
const SHARE_OF_LOCKS: u64 = 10;
/// More connections are not faster.
const MAX_CONNECTIONS: u64 = 4;
/// The shares of the server's connections and of its free connections.
const SHARE_OF_CONNECTIONS: u64 = 10;
const SHARE_OF_FREE: u64 = 4;
/// Reading this many schemas takes longer than one more login.
const SCHEMAS_PER_CONNECTION: u64 = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) standby: bool,
    /// The capacity of its lock table.
    locks: u64,
    max_connections: u64,
    /// The number of connections that this role can still open.
    free: u64,
}

/// Every role can read `numbackends`; `pg_stat_activity` hides the kind of a session.
pub(super) const QUERY: &str = "SELECT pg_is_in_recovery()::text, (current_setting('max_locks_per_transaction')::int8 \
    * (current_setting('max_connections')::int8 + current_setting('max_prepared_transactions')::int8))::text, \
    current_setting('max_connections'), \
    (SELECT greatest(0, least(current_setting('max_connections')::int8 - coalesce(sum(s.numbackends), 0) \
       - current_setting('superuser_reserved_connections')::int8 \
       - coalesce(current_setting('reserved_connections', true), '0')::int8, \
     (SELECT d.datconnlimit - o.numbackends FROM pg_database d JOIN pg_stat_database o ON o.datid = d.oid \
       WHERE d.datname = current_database() AND d.datconnlimit >= 0), \
     (SELECT r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid) \
       FROM pg_roles r WHERE r.rolname = current_user AND r.rolconnlimit >= 0))) FROM pg_stat_database s)::text";

impl Server {
    /// From the rows of [`QUERY`].
    pub(super) fn of(rows: &[Row]) -> Result<Self, QueryError> {
        Ok(Self {
            standby: rows.first().map_or(Err(QueryError::NoRow), |row| connect::flag(row, 0))?,
            locks: connect::number(rows, 1)?,
            max_connections: connect::number(rows, 2)?,
            free: connect::number(rows, 3)?,
        })
    }

    /// The number of connections for this many ledgers, including the open one.
    pub(super) fn connections(&self, schemas: usize) -> usize {
        let worth = size(schemas).div_ceil(SCHEMAS_PER_CONNECTION);
        // The open connection is not one of the free ones.
        let spare = 1 + self.free / SHARE_OF_FREE;
        let most = MAX_CONNECTIONS.min(self.max_connections / SHARE_OF_CONNECTIONS).min(spare);
        count(worth.min(most).max(1))
    }

    /// The number of schemas per message with this many connections, at most `most`.
    pub(super) fn chunk(
        &self,
        connections: usize,
        schemas: usize,
        locks_per_schema: u64,
        most: u64,
    ) -> usize {
        let connections = size(connections);
        let locks = self.locks / SHARE_OF_LOCKS / locks_per_schema.max(1) / connections;
        count(locks.min(most).min(size(schemas).div_ceil(connections)).max(1))
    }
}

fn size(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn count(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(locks: u64, max_connections: u64, free: u64) -> Server {
        Server { standby: false, locks, max_connections, free }
    }

    #[test]
    fn an_inspection_never_holds_more_than_a_tenth_of_the_lock_table() {
        for (locks, connections, chunk) in [(6_400, 4, 50), (64 * 20, 2, 32), (200, 2, 5), (10, 1, 1)] {
            assert_eq!(server(locks, 100, 100).chunk(connections, 10_000, 2, 50), chunk, "{locks}");
            assert!(u64::try_from(chunk * connections).unwrap_or(u64::MAX) * 2 <= (locks / 10).max(2));
        }
    }

    #[test]
    fn a_few_tenants_are_distributed_evenly() {
        assert_eq!(server(6_400, 100, 100).chunk(2, 60, 2, 50), 30);
        assert_eq!(server(6_400, 100, 100).chunk(1, 3, 2, 50), 3);
    }

    #[test]
    fn an_inspection_uses_a_small_share_of_all_and_of_the_free_connections() {
        for (max, free, schemas, connections) in [
            (100, 90, 10_000, 4),
            (100, 90, 300, 2),
            (100, 90, 101, 1),
            (100, 90, 0, 1),
            (100, 8, 10_000, 3),
            (100, 0, 10_000, 1),
            (20, 16, 10_000, 2),
            (5, 2, 10_000, 1),
        ] {
            assert_eq!(server(6_400, max, free).connections(schemas), connections, "{max} {free} {schemas}");
        }
    }
}
