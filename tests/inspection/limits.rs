//! The resources that an inspection takes from the server: connections and entries in the lock table.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{cluster::block_on, fleet, server::Server, time_limits::until_true};

/// The pause between two reads of the lock table.
const PAUSE: Duration = Duration::from_millis(2);

const SESSIONS: &str =
    "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'portcullis%'";

#[test]
fn an_inspection_works_with_twenty_connections_and_a_full_lock_table() {
    let server = Server::start("max_connections = 20\nmax_locks_per_transaction = 10");
    server.execute("postgres", "CREATE DATABASE app");
    server.execute("postgres", "CREATE DATABASE other");
    let fleet = fleet::complete(&server.url("app"));
    for names in fleet::names(400).chunks(10) {
        server.execute("app", &fleet::copies(names));
    }
    for hundred in 0..10 {
        let tables = (0..100).map(|number| format!("CREATE TABLE o{hundred}_{number} (id bigint);"));
        for few in tables.collect::<Vec<_>>().chunks(20) {
            server.execute("other", &few.concat());
        }
    }
    // Every free entry of the lock table; a tenth of the configured size is left for the inspection.
    let room = locks(&server, usize::MAX).expect_err("a thousand tables fit");
    let locked = room - 20 - 30;
    assert!(room < 800, "all ledgers at once would fit: {room}");
    locks(&server, locked).expect("the lock table has room without an inspection");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut rounds = 0;
            while rounds == 0 || !done.load(Ordering::Relaxed) {
                locks(&server, locked).unwrap_or_else(|had| panic!("no room for more than {had} locks"));
                rounds += 1;
            }
            rounds
        });
        let most = scope.spawn(|| most_locks(&server, &done));
        // Sequentially: a busy server ends a session some time after its client.
        let outcomes: Vec<_> = (0..8)
            .map(|_| {
                let outcome = fleet.run(["verify"]);
                until_true("the sessions to end", || server.one("app", SESSIONS) == "0");
                outcome
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            outcome.exits(0).prints("401 tenants complete");
        }
        assert!(other.join().unwrap() > 0);
        let (locks, sessions) = most.join().unwrap();
        assert!(sessions <= 2, "{sessions} connections of 20");
        // Ten locks for a ledger and its key in each of two chunks of five; a session's first sixteen use no entry.
        assert!(locks <= 20, "{locks} locks");
    });
}

/// Takes this number of locks in one transaction of the other database; the error is the number it got.
fn locks(server: &Server, most: usize) -> Result<(), usize> {
    block_on(async {
        let mut connection = PgConnection::connect(&server.url("other")).await.unwrap();
        connection.execute("BEGIN").await.unwrap();
        for number in 0..most.min(1000) {
            let table = format!("o{}_{}", number / 100, number % 100);
            let lock = sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLE {table} IN ACCESS SHARE MODE")));
            if let Err(error) = connection.execute(lock).await {
                assert!(error.to_string().contains("out of shared memory"), "{error}");
                connection.execute("ROLLBACK").await.unwrap();
                return Err(number);
            }
        }
        // ROLLBACK releases the locks before it returns; closing the connection releases them later.
        connection.execute("ROLLBACK").await.unwrap();
        connection.close().await.unwrap();
        Ok(())
    })
}

/// The most locks that Portcullis held in the shared table at once, and its most sessions.
fn most_locks(server: &Server, done: &AtomicBool) -> (i64, i64) {
    let sql = "SELECT count(*) FILTER (WHERE NOT l.fastpath AND c.oid IS NOT NULL), count(DISTINCT a.pid) \
        FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'relation' \
        LEFT JOIN pg_class c ON c.oid = l.relation AND c.relnamespace <> 'pg_catalog'::regnamespace \
        WHERE a.application_name LIKE 'portcullis%'";
    block_on(async {
        let mut connection = PgConnection::connect(&server.url("app")).await.unwrap();
        let mut most = (0, 0);
        while !done.load(Ordering::Relaxed) {
            let (locks, sessions): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap();
            most = (most.0.max(locks), most.1.max(sessions));
            tokio::time::sleep(PAUSE).await;
        }
        most
    })
}
