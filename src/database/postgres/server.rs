//! What has to be known of the server itself, and how much of it a look may take.

use sqlx::postgres::PgRow;

use super::connect;

/// A look leaves nine tenths of the lock table to everybody else.
const SHARE_OF_LOCKS: u64 = 10;
/// A ledger's table and its primary key.
const LOCKS_A_LEDGER: u64 = 2;
/// More schemas than this in one message are slower again, and the server's memory grows with them.
const MAX_CHUNK: u64 = 50;
/// More connections than this do not make it quicker.
const MAX_CONNECTIONS: u64 = 4;
/// Of all connections that the server has, and of those that are left.
const SHARE_OF_CONNECTIONS: u64 = 10;
const SHARE_OF_LEFT: u64 = 4;
/// So many schemas take longer than one more login.
const SCHEMAS_A_CONNECTION: u64 = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) standby: bool,
    /// How many locks its table has room for.
    locks: u64,
    max_connections: u64,
    /// How many more it would take of us now.
    left: u64,
}

/// `numbackends` is there for every role to see; `pg_stat_activity` hides what kind of session it is.
pub(super) const ASK: &str = "SELECT pg_is_in_recovery()::text, (current_setting('max_locks_per_transaction')::int8 \
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
    /// Of what answers [`ASK`].
    pub(super) fn of(rows: &[PgRow]) -> Result<Self, sqlx::Error> {
        Ok(Self {
            standby: rows.first().map_or(Err(sqlx::Error::RowNotFound), |row| connect::flag(row, 0))?,
            locks: connect::number(rows, 1)?,
            max_connections: connect::number(rows, 2)?,
            left: connect::number(rows, 3)?,
        })
    }

    /// How many connections read so many ledgers, the one that is open counted.
    pub(super) fn connections(&self, schemas: usize) -> usize {
        let worth = size(schemas).div_ceil(SCHEMAS_A_CONNECTION);
        // The one that is open is not among those that are left.
        let spare = 1 + self.left / SHARE_OF_LEFT;
        let most = MAX_CONNECTIONS.min(self.max_connections / SHARE_OF_CONNECTIONS).min(spare);
        count(worth.min(most).max(1))
    }

    /// How many schemas one message asks for, with so many connections at once.
    pub(super) fn chunk(&self, connections: usize, schemas: usize) -> usize {
        let connections = size(connections);
        let locks = self.locks / SHARE_OF_LOCKS / LOCKS_A_LEDGER / connections;
        count(locks.min(MAX_CHUNK).min(size(schemas).div_ceil(connections)).max(1))
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

    fn server(locks: u64, max_connections: u64, left: u64) -> Server {
        Server { standby: false, locks, max_connections, left }
    }

    #[test]
    fn a_look_never_holds_more_than_a_tenth_of_the_lock_table() {
        for (locks, connections, chunk) in [(6_400, 4, 50), (64 * 20, 2, 32), (200, 2, 5), (10, 1, 1)] {
            assert_eq!(server(locks, 100, 100).chunk(connections, 10_000), chunk, "{locks}");
            assert!(u64::try_from(chunk * connections).unwrap_or(u64::MAX) * 2 <= (locks / 10).max(2));
        }
    }

    #[test]
    fn a_few_tenants_are_shared_out_evenly() {
        assert_eq!(server(6_400, 100, 100).chunk(2, 60), 30);
        assert_eq!(server(6_400, 100, 100).chunk(1, 3), 3);
    }

    #[test]
    fn connections_are_a_small_share_of_what_the_server_has_and_of_what_is_left() {
        for (max, left, schemas, connections) in [
            (100, 90, 10_000, 4),
            (100, 90, 300, 2),
            (100, 90, 101, 1),
            (100, 90, 0, 1),
            (100, 8, 10_000, 3),
            (100, 0, 10_000, 1),
            (20, 16, 10_000, 2),
            (5, 2, 10_000, 1),
        ] {
            assert_eq!(server(6_400, max, left).connections(schemas), connections, "{max} {left} {schemas}");
        }
    }
}
