//! SQL steps: they run, their errors have a line number, their messages are logged, and their time is limited.

use crate::support::project::Project;

fn sql(text: &str) -> Project {
    let project = Project::complete("");
    project.step(&format!("\n[[step]]\nname = \"seed\"\nsql = {{ {text} }}\n"))
}

#[test]
fn several_statements_run_in_one_step() {
    let project = sql("run = \"CREATE TABLE seeded (n int); INSERT INTO seeded VALUES (1)\"");
    project.start().exits(0).prints("the server started");
    assert_eq!(project.database.column("SELECT n::text FROM seeded"), ["1"]);
}

#[test]
fn an_error_names_its_line() {
    let project = sql("run = \"CREATE TABLE seeded (n int);\\nSELECT absent_column\"");
    let outcome = project.start().exits(79).prints_not("the server started");
    assert!(outcome.failure_box().contains("line 2"), "{outcome}");
    assert!(project.database.column("SELECT 'x' FROM pg_class WHERE relname = 'seeded'").is_empty());
}

#[test]
fn statements_that_time_out_are_cancelled() {
    let project = sql("run = \"SELECT pg_sleep(600)\", timeout = \"200ms\"");
    project.start().exits(124).prints("200 ms").prints_not("the server started");
    project.until_gone("pg_sleep(600)");
}

#[test]
fn the_servers_messages_appear_in_the_log() {
    let project = sql(
        "run = \"CREATE TABLE IF NOT EXISTS item (n int); CREATE TABLE IF NOT EXISTS item (n int); DO 'BEGIN \
         RAISE WARNING ''seeding as postgres://app:hunter2@db/x''; END'\"",
    );
    let outcome = project.start().exits(0).prints("NOTICE: relation \"item\" already exists, skipping");
    outcome.prints("WARNING: seeding as postgres://").prints_not("hunter2");
    // Of a step that fails, too.
    let project = sql("run = \"DO 'BEGIN RAISE NOTICE ''before''; RAISE ''failed''; END'\"");
    project.start().exits(79).prints("NOTICE: before");
}
