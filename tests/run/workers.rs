//! A worker waits until every tenant is complete, and never migrates.

use crate::support::{portcullis::Portcullis, process::Running, project::Project};

#[test]
fn a_worker_on_an_empty_database_waits_for_the_migrating_run_and_then_serves() {
    let project = Project::new("");
    let worker = start_worker(&project.portcullis);
    worker.wait_for_line("waiting for everything to be complete");
    let tables = "SELECT relname::text FROM pg_class WHERE relname IN ('tenants', '_sqlx_migrations')";
    assert!(project.database.column(tables).is_empty(), "the worker created a table");
    project.start().exits(0);
    worker.wait().exits(0).prints("the server started");
}

#[test]
fn a_worker_of_the_next_release_waits_for_its_migrations() {
    let project = Project::complete("").file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    let worker = start_worker(&project.portcullis);
    worker.wait_for_line("3 of 4 schemas incomplete");
    assert_eq!(project.ledger("a"), ["1"]);
    project.start().exits(0);
    worker.wait().exits(0).prints("the server started");
}

#[test]
fn a_worker_does_not_wait_for_a_tenant_with_a_lying_ledger() {
    // Waiting would take fifty seconds, because no run is about to migrate.
    let project = Project::complete("").replace("wait = \"50s\"", "wait = \"10m\"");
    project.database.execute("DROP TABLE b.item");
    start_worker(&project.portcullis)
        .wait()
        .exits(1)
        .prints("item")
        .prints_not("waiting for")
        .prints_not("the server started");
    // Not even if another tenant is only pending.
    let project = project.file("tenant/2_more.sql", "CREATE TABLE more (n int);\n");
    project
        .database
        .execute("CREATE TABLE b.item (); DELETE FROM b._sqlx_migrations; DROP TABLE b._sqlx_migrations");
    start_worker(&project.portcullis).wait().exits(1).prints("lost").prints_not("waiting for");
}

#[test]
fn a_worker_whose_wait_times_out_reports_the_pending_migrations() {
    let project = Project::complete("").replace("wait = \"50s\"", "wait = \"2s\"");
    let project = project.file("tenant/2_more.sql", "CREATE TABLE more (n int);\n");
    let outcome = start_worker(&project.portcullis).wait().exits(1).prints_not("the server started");
    assert!(outcome.failure_box().contains("2 more"), "{outcome}");
    assert_eq!(project.ledger("a"), ["1"]);
}

fn start_worker(portcullis: &Portcullis) -> Running {
    portcullis.spawn(["--role", "worker", "run"])
}
