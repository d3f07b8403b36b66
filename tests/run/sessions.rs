//! The database sessions of a run: session state of one file never reaches the next file, and one session
//! serves several schemas.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use super::migrations::edit_migration_and_manifest;
use crate::support::{cluster::Database, fleet, project::Project};

/// Every file records its session and the session state that it finds.
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

fn recording(apply: &str) -> Project {
    let project = Project::complete(apply);
    project.database.execute(
        "CREATE SCHEMA elsewhere; CREATE TABLE found (session int, tenant text, found text); \
         GRANT ALL ON found TO PUBLIC",
    );
    project
}

/// Derives the manifest once and deletes the rows that this recorded.
fn with_manifest(project: Project) -> Project {
    let project = project.replace("auto = true", "file = \"manifest.json\"");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    project.database.execute("TRUNCATE found");
    project
}

#[test]
fn session_state_of_a_file_does_not_reach_the_next_file_or_tenant() {
    let project = recording("jobs = 1")
        .file("tenant/3_inside.sql", "SELECT 3;\n")
        .file("tenant/4_outside.sql", "-- no-transaction\nSELECT 4;\n")
        .file("tenant/5_table.sql", &format!("{FOUND}CREATE TABLE made (id BIGINT);\n"));
    let project = with_manifest(project);
    let project = edit_migration_and_manifest(project, "tenant/3_inside.sql", &format!("{FOUND}{LEAK}"));
    let outside = format!("-- no-transaction\n{FOUND}{LEAK}");
    let project = edit_migration_and_manifest(project, "tenant/4_outside.sql", &outside);
    project.start().exits(0).prints("the server started");
    let found = project.database.column("SELECT DISTINCT tenant || ': ' || found FROM found ORDER BY 1");
    assert_eq!(found, ["a: ", "b: ", "c: "]);
    assert_eq!(project.database.column("SELECT count(*)::text FROM found"), ["9"]);
    assert_eq!(project.database.column("SELECT count(DISTINCT session)::text FROM found"), ["1"]);
    // After the run, none of its sessions exists.
    project.until(
        false,
        "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name LIKE 'portcullis%'",
    );
}

#[test]
fn settings_of_one_file_do_not_affect_other_files() {
    let project = Project::complete("");
    project.database.execute("CREATE SCHEMA elsewhere");
    let index = "-- no-transaction\nCREATE INDEX CONCURRENTLY made_id ON made (id);\n";
    let project = project
        .file("tenant/3_leak.sql", "SET search_path = elsewhere; SET LOCAL lock_timeout = 1;\n")
        .file("tenant/4_table.sql", "CREATE TABLE made (id BIGINT);\n")
        .file("tenant/5_index.sql", index)
        .file("tenant/6_last.sql", "CREATE TABLE last (id BIGINT);\n")
        .replace("tenants = [\"a\", \"b\", \"c\"] }\n[[step]]", "tenants = [\"d\"] }\n[[step]]");
    project.start().exits(0).prints("the server started");
    for tenant in ["a", "d"] {
        assert_eq!(project.ledger(tenant), ["1", "3", "4", "5", "6"], "{tenant}");
    }
    let elsewhere = "SELECT relname::text FROM pg_class WHERE relnamespace = 'elsewhere'::regnamespace";
    assert!(project.database.column(elsewhere).is_empty());
}

#[test]
fn a_session_is_replaced_after_fifty_schemas() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    for few in fleet::names(119).chunks(20) {
        database.execute(&fleet::copies(few));
    }
    let config = std::fs::read_to_string(fleet.path("config.toml")).unwrap();
    let config = config.replace("tenant = \"tenant\" }", "tenant = \"tenant\", apply = { jobs = 1 } }");
    let fleet = fleet.config(&config).file("tenant/3_who.sql", &format!("{FOUND}SELECT 1;\n"));
    database.execute("CREATE TABLE found (session int, tenant text, found text)");
    fleet.run(["manifest", "sql"]).exits(0);
    fleet.run(["run", "--no-server"]).exits(0);
    let used = database.column("SELECT count(*)::text FROM found GROUP BY session");
    // On a slow machine, the run also records its progress, which uses a session, too.
    let most = used.iter().map(|schemas| schemas.parse::<u32>().unwrap()).max();
    assert!(used.len() >= 3 && most <= Some(50), "{used:?}");
}

#[test]
fn after_a_failure_the_next_schema_gets_a_new_session() {
    let bad = "DO $$ BEGIN IF current_schema() = 'a' THEN PERFORM pg_terminate_backend(pg_backend_pid()); \
               ELSIF current_schema() = 'b' THEN RAISE EXCEPTION 'not this one'; END IF; END $$;\n";
    let project = recording("jobs = 1, on_tenant_failure = \"continue\"")
        .file("tenant/3_who.sql", FOUND)
        .file("tenant/4_bad.sql", bad);
    let project = with_manifest(project);
    let outcome = project.start().exits(1).prints("not this one");
    assert_eq!(project.ledger("c"), ["1", "3", "4"], "{outcome}");
    // Files 3 of `a` and `b` were committed in their own transactions, or rolled back: no session served two tenants.
    let shared = "SELECT session::text FROM found GROUP BY session HAVING count(DISTINCT tenant) > 1";
    assert!(project.database.column(shared).is_empty(), "{outcome}");
}

#[test]
fn changes_of_another_run_are_visible_with_any_default_isolation() {
    let project = Project::new("cooperate = true")
        .file(
            "shared/2_slow.sql",
            "CREATE TABLE applied (n int);\nINSERT INTO applied VALUES (1);\nSELECT pg_sleep(1);\n",
        )
        .file("tenant/2_count.sql", "INSERT INTO item VALUES (1);\n");
    let name = project.database.name();
    project
        .database
        .execute(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"));
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(0).prints("the server started");
    }
    assert_eq!(project.database.column("SELECT n::text FROM applied"), ["1"]);
    for tenant in ["a", "b", "c"] {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item")), ["1"]);
    }
}

#[test]
fn only_sessions_of_runs_without_the_lock_are_ended() {
    let project = Project::complete("").file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    let names = ["portcullis:run-2", "portcullis:run-3 sql", "portcullis", "portcullis run-4", "other:run-5"];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut sessions: Vec<PgConnection> = names
        .iter()
        .map(|name| {
            let options: PgConnectOptions = project.database.url().parse().unwrap();
            runtime.block_on(PgConnection::connect_with(&options.application_name(name))).unwrap()
        })
        .collect();
    project.start().exits(0).prints("the server started");
    let alive: Vec<bool> =
        sessions.iter_mut().map(|session| runtime.block_on(session.ping()).is_ok()).collect();
    assert_eq!(alive, [false, false, true, true, true]);
}

#[test]
fn a_tenant_that_does_not_verify_after_its_migrations_is_rolled_back() {
    // The file creates a different column in one schema.
    let differs = "DO $$ BEGIN IF current_schema() <> 'b' THEN ALTER TABLE item ADD COLUMN extra int; END IF; END $$;\n";
    let project = Project::new("").file("tenant/2_differs.sql", differs);
    let outcome = project.start().exits(73).prints_not("the server started");
    assert!(outcome.failure_box().contains("extra"), "{outcome}");
    assert!(!project.exists("b"));
    assert!(!project.database.column("SELECT name FROM tenants").contains(&"b".to_owned()), "{outcome}");
}
