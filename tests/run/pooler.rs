//! Behind a real PgBouncer in transaction mode: the gate, the lock, migrations, and features that need a session.

use std::process::Command;

use super::lock::slow;
use crate::support::{pooler::Pooler, process::Running, project::Project};

const INDEX: &str = "-- no-transaction\nCREATE INDEX CONCURRENTLY item_n ON item (n);\n";

#[test]
fn the_gate_works_through_a_pooler() {
    let project = Project::complete("");
    let pooler = Pooler::before(&project.database, 3);
    let project = project.env("DATABASE_URL", &pooler.url());
    project.start().exits(0).prints("the server started");
    project.database.execute("DROP TABLE b.item");
    let outcome = project.portcullis.run(["verify"]).exits(1);
    assert!(outcome.failure_box().contains("   b\n"), "{outcome}");
}

#[test]
fn the_lock_excludes_other_runs_through_a_pooler() {
    let project = slow();
    let (direct, pooler) = (project.database.url(), Pooler::before(&project.database, 20));
    let project = project.env("DATABASE_URL", &pooler.url());
    let holder = project.portcullis.spawn(["run"]);
    project.until_running("wait for release");
    let through = project.portcullis.spawn(["run"]);
    through.wait_for_line("waiting for the lock: portcullis ");
    let project = project.env("DATABASE_URL", &direct);
    let second = project.portcullis.spawn(["run"]);
    second.wait_for_line("waiting for the lock: portcullis ");
    // A transaction without a snapshot holds the lock.
    let holds = "SELECT state FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name LIKE 'portcullis % since %' AND backend_xmin IS NULL AND backend_xid IS NULL";
    assert_eq!(project.database.column(holds), ["idle in transaction"]);
    project.database.execute("INSERT INTO public.released VALUES (1)");
    for run in [holder, through, second] {
        run.wait().exits(0).prints("the server started");
    }
    assert_eq!(project.database.column("SELECT n::text FROM a.item ORDER BY 1"), ["1", "2"]);
    let locks = "SELECT 'held' FROM pg_locks WHERE locktype = 'advisory' \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(project.database.column(locks).is_empty());
}

#[test]
fn session_features_are_rejected_behind_a_pooler_and_work_with_a_direct_connection() {
    let project = Project::complete("").file("tenant/2_index.sql", INDEX);
    let (direct, pooler) = (project.database.url(), Pooler::before(&project.database, 20));
    let project = project.env("DATABASE_URL", &pooler.url());
    let outcome = project.start().exits(1).prints_not("the server started");
    for text in ["pooler in transaction mode", "`direct`", "2_index.sql"] {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
    assert_eq!(project.ledger("a"), ["1"]);
    let project = project
        .replace("url = \"${DATABASE_URL}\"", "url = \"${DATABASE_URL}\"\ndirect = { url = \"${DIRECT}\" }")
        .env("DIRECT", &direct);
    project.start().exits(0).prints("the server started");
    assert_eq!(project.ledger("a"), ["1", "2"]);
}

#[test]
fn a_session_that_the_role_may_not_end_does_not_break_the_lock_of_a_pooler() {
    let project = Project::complete("").file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    let role = format!("ordinary_{}", project.database.name());
    project.give_to(&role, "");
    // A superuser's session with the name of an earlier run.
    let mut command = Command::new("psql");
    command.env("PGAPPNAME", "portcullis:0badc0de").args(["-qX", &project.database.url()]);
    command.args(["-c", "SELECT pg_sleep(3600)"]);
    let session = Running::start(command, false);
    project.until_sleeping();
    let pooler = Pooler::with_login(&project.database, 20, &format!("{role}:x"));
    let project = project.env("DATABASE_URL", &pooler.url()).env("LOCK_TIMEOUT", "3s");
    project.start().exits(75).prints("an earlier run's session still exists").prints_not("aborted");
    assert_eq!(project.ledger("a"), ["1"]);
    drop(session);
    project.database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'portcullis:0badc0de'");
    let outcome = project.start();
    drop(pooler);
    project.take_from(&role);
    outcome.exits(0).prints("the server started");
    assert_eq!(project.ledger("a"), ["1", "2"]);
}
