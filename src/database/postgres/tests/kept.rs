//! Connections for changes that are kept from one schema to the next.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::{LIMITS, Place, connect, with_place};
use crate::database::{Database, Schema, postgres::kept::USES};

/// Every file says which session ran it, and what it found there of the file before.
const FOUND: &str = "INSERT INTO public.found SELECT pg_backend_pid(), current_schema(), concat_ws(' ', \
    CASE WHEN current_setting('search_path') <> current_schema() THEN 'search_path' END, \
    CASE WHEN current_setting('work_mem') = '77kB' THEN 'setting' END, \
    CASE WHEN nullif(current_setting('portcullis.leak', true), '') IS NOT NULL THEN 'own setting' END, \
    CASE WHEN current_user <> session_user THEN 'role' END, \
    CASE WHEN to_regclass('pg_temp.leak') IS NOT NULL THEN 'table' END, \
    (SELECT 'statement' FROM pg_prepared_statements LIMIT 1), (SELECT 'cursor' FROM pg_cursors LIMIT 1), \
    (SELECT 'channel' FROM pg_listening_channels() LIMIT 1), \
    (SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 LIMIT 1));\n";

const LEAK: &str = "SET work_mem = '77kB'; SET portcullis.leak = 'yes'; SET search_path = elsewhere, public;\n\
    CREATE TEMPORARY TABLE leak (id BIGINT); PREPARE leak AS SELECT 1; LISTEN leak; \
    DECLARE leak CURSOR WITH HOLD FOR SELECT 1; SELECT pg_advisory_lock(4711);\n\
    SET ROLE pg_monitor;\n";

/// As under the run's lock.
fn keeping(place: &Place) -> Database {
    let database = place.database().of_run("test");
    if let Database::Postgres(postgres) = &database {
        postgres.kept.begin();
    }
    database
}

async fn apply(place: &Place, database: &Database, tenant: &str) -> usize {
    let files = place.files("tenant");
    database.apply(&Schema::Tenant(tenant.into()), &files, &LIMITS).await.unwrap().migrations.len()
}

/// The sessions that changed something, as far as they are still there.
async fn sessions(place: &Place) -> Vec<String> {
    let mut watcher = connect::connect(&place.config).await.unwrap();
    let sql = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'portcullis:%'";
    let rows = connect::rows(&mut watcher, sql).await.unwrap();
    rows.iter().map(|row| connect::text(row, 0).unwrap().unwrap()).collect()
}

async fn until_gone(place: &Place) {
    while !sessions(place).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn a_session_goes_on_to_the_next_tenant_and_nothing_that_a_file_leaves_in_it_does() {
    with_place(|place| async move {
        place.shared().await;
        place.sql("CREATE SCHEMA elsewhere; CREATE TABLE found (session INT, tenant TEXT, found TEXT)").await;
        for tenant in ["a", "b", "c"] {
            place.provision(tenant).await.unwrap();
        }
        place.write("tenant/3_inside.sql", &format!("{FOUND}{LEAK}"));
        place.write("tenant/4_outside.sql", &format!("-- no-transaction\n{FOUND}{LEAK}"));
        place.write("tenant/5_table.sql", &format!("{FOUND}CREATE TABLE here (id BIGINT);"));
        let database = keeping(place);
        for tenant in ["a", "b", "c"] {
            assert_eq!(apply(place, &database, tenant).await, 3);
        }
        assert_eq!(place.count("found WHERE found = ''").await, "9");
        assert_eq!(place.count("(SELECT DISTINCT session FROM found) AS each").await, "1");
        assert_eq!(place.count("pg_class WHERE relname = 'here'").await, "3");
        drop(database);
        until_gone(place).await;
    });
}

#[test]
fn a_session_does_not_grow_old() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        let database = keeping(place);
        apply(place, &database, "demo").await;
        let first = sessions(place).await;
        assert_eq!(first.len(), 1);
        for _ in 2..USES {
            apply(place, &database, "demo").await;
            assert_eq!(sessions(place).await, first);
        }
        apply(place, &database, "demo").await;
        until_gone(place).await;
        apply(place, &database, "demo").await;
        assert_ne!(sessions(place).await, first);
    });
}

#[test]
fn after_a_failure_and_where_the_server_has_ended_it_the_next_session_is_a_new_one() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        let database = keeping(place);
        apply(place, &database, "demo").await;
        place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'portcullis:%'").await;
        until_gone(place).await;
        place.write("tenant/3_bad.sql", "SELECT nothing_here;");
        let schema = Schema::Tenant("demo".into());
        database.apply(&schema, &place.files("tenant"), &LIMITS).await.unwrap_err();
        until_gone(place).await;
        place.write("tenant/3_bad.sql", "CREATE TABLE here (id BIGINT);");
        assert_eq!(apply(place, &database, "demo").await, 1);
    });
}

#[test]
fn what_another_run_has_done_is_seen_under_its_lock_whatever_the_isolation_is_by_default() {
    with_place(|place| async move {
        place.shared().await;
        place.provision("demo").await.unwrap();
        let database = &place.config.name;
        place
            .sql(&format!("ALTER DATABASE {database} SET default_transaction_isolation = 'repeatable read'"))
            .await;
        place.write(
            "tenant/3_slow.sql",
            "ALTER TABLE finance_invoice ADD COLUMN more TEXT; SELECT pg_sleep(1);",
        );
        let (one, other) = (keeping(place), keeping(place));
        let (one, other) = tokio::join!(apply(place, &one, "demo"), apply(place, &other, "demo"));
        assert_eq!(one + other, 1);
        assert_eq!(place.count("demo._sqlx_migrations").await, "3");
    });
}
