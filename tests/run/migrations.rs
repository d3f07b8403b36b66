//! Migrations that fail, hang, cannot run in a transaction or end it: the effects on the tenant and on the others.

use sha2::{Digest, Sha256};

use crate::support::{project::Project, time_limits::until};

const POSITIVE: &str = "ALTER TABLE item ADD COLUMN extra int;\n\nALTER TABLE item ADD CHECK (n > 0);\n";
const BEFORE: [&str; 1] = ["1"];
const AFTER: [&str; 2] = ["1", "2"];

/// A project whose second migration fails in these tenants.
fn failing_in(tenants: &[&str], apply: &str) -> Project {
    let project = Project::complete(apply).file("tenant/2_positive.sql", POSITIVE);
    for tenant in tenants {
        project.database.execute(&format!("INSERT INTO {tenant}.item VALUES (-1)"));
    }
    project
}

#[test]
fn a_failing_tenant_is_rolled_back_and_reported_with_its_line() {
    let project = failing_in(&["b"], "jobs = 1");
    let outcome = project.start().exits(1).prints_not("the server started");
    let shown = outcome.failure_box();
    for text in ["   b\n", "2 positive", "tenant/2_positive.sql:3", "violated", "portcullis migrate b"] {
        assert!(shown.contains(text), "{text}: {outcome}");
    }
    assert_eq!(project.ledger("b"), BEFORE);
    assert_eq!(project.columns("b"), ["n"]);
    assert!(project.database.column("SELECT 'x' FROM b._sqlx_migrations WHERE NOT success").is_empty());
}

#[test]
fn by_default_the_first_failure_stops_the_others() {
    let project = failing_in(&["b"], "jobs = 1");
    project.start().exits(1).prints("1 of 3");
    assert_eq!(project.ledger("a"), AFTER);
    assert_eq!(project.ledger("c"), BEFORE);
}

#[test]
fn with_continue_the_other_tenants_are_migrated_and_the_step_fails() {
    let project = failing_in(&["a", "b"], "jobs = 1, on_tenant_failure = \"continue\"");
    let outcome = project.start().exits(1).prints("2 schemas").prints("1 of 3");
    assert!(outcome.failure_box().contains("2 schemas: a, b\n"), "{outcome}");
    assert_eq!(project.ledger("c"), AFTER);
}

#[test]
fn the_step_stops_after_the_maximum_number_of_failures() {
    let project = failing_in(&["a", "b"], "jobs = 1, on_tenant_failure = \"continue\", max_failures = 2");
    project.start().exits(1).prints("2 schemas");
    assert_eq!(project.ledger("c"), BEFORE);
}

#[test]
fn a_canary_is_migrated_alone_before_all_others() {
    let project = failing_in(&["c"], "canary = [\"c\"], on_tenant_failure = \"continue\"");
    project.start().exits(1);
    assert_eq!((project.ledger("a"), project.ledger("b")), (vec!["1".into()], vec!["1".into()]));
    project.database.execute("DELETE FROM c.item");
    project.start().exits(0);
    for tenant in ["a", "b", "c"] {
        assert_eq!(project.ledger(tenant), AFTER);
    }
}

#[test]
fn a_file_marked_no_transaction_runs_outside_a_transaction() {
    let index = "-- no-transaction\nCREATE INDEX CONCURRENTLY item_n ON item (n);\n";
    let project = Project::complete("").file("tenant/2_index.sql", index).file("tenant/3_more.sql", POSITIVE);
    project.start().exits(0).prints("the server started");
    let valid = "SELECT indrelid::regclass::text FROM pg_index WHERE indisvalid \
                 AND indexrelid::regclass::text LIKE '%.item_n' ORDER BY 1";
    assert_eq!(project.database.column(valid), ["a.item", "b.item", "c.item"]);
}

#[test]
fn a_file_failing_outside_a_transaction_leaves_its_tenant_dirty() {
    let index = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY item_n ON item (n);\n";
    let project = Project::complete("jobs = 1").file("tenant/2_index.sql", index);
    project.database.execute("INSERT INTO b.item VALUES (1), (1)");
    let outcome = project.start().exits(1);
    for text in ["dirty", "2_index.sql:2", "half applied"] {
        assert!(outcome.failure_box().contains(text), "{text}: {outcome}");
    }
    // The migration is not retried.
    project.database.execute("DELETE FROM b.item");
    project.start().exits(1).prints("dirty").prints("2 index");
    assert_eq!(project.ledger("b"), BEFORE);
}

#[test]
fn a_file_that_commits_is_detected_and_leaves_nothing_of_the_derivation() {
    let project = Project::complete("").file("tenant/2_commits.sql", "CREATE TABLE x (id int);\nCOMMIT;\n");
    project.start().exits(1).prints("2_commits.sql").prints("COMMIT");
    assert_only_tenant_schemas(&project);
    let project =
        project.file("tenant/2_commits.sql", "CREATE TABLE x (id int);\nCOMMIT;\nBEGIN;\nSELECT 1/0;\n");
    project.start().exits(1).prints("division by zero");
    assert_only_tenant_schemas(&project);
}

#[test]
fn a_file_that_commits_and_then_fails_is_not_reported_as_rolled_back() {
    let project = Project::complete("jobs = 1").file("tenant/2_commits.sql", "SELECT 1;\n");
    let project = project.replace("auto = true", "file = \"manifest.json\"");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let text = "CREATE TABLE x (id int);\nCOMMIT;\nSELECT 1/n FROM item;\n";
    let project = edit_migration_and_manifest(project, "tenant/2_commits.sql", text);
    project.database.execute("INSERT INTO a.item VALUES (0)");
    let outcome = project.start().exits(1).prints("2_commits.sql:3").prints_not("it was rolled back");
    assert!(outcome.failure_box().contains("dirty"), "{outcome}");
}

#[test]
fn a_partly_committed_provisioning_is_removed() {
    let project = Project::new("").file("tenant/2_commits.sql", "SELECT 1;\n");
    let project = project.replace("auto = true", "file = \"manifest.json\"");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let project = edit_migration_and_manifest(project, "tenant/2_commits.sql", "COMMIT;\nSELECT 1/0;\n");
    // The journal entry was committed with the schema and proves its owner.
    project.start().exits(73).prints("(rolled back)").prints_not("not rolled back");
    assert!(!project.exists("a"));
    assert!(project.database.column("SELECT name FROM tenants").is_empty());
}

#[test]
fn a_file_that_times_out_outside_a_transaction_is_reported_dirty() {
    let slow = "-- no-transaction\nSELECT pg_sleep(40) WHERE current_schema() = 'b';\n";
    let project = Project::complete("timeout = \"9s\"").file("tenant/2_slow.sql", slow);
    let outcome = project.start().exits(1).prints("ran longer than 9 s");
    let shown = outcome.failure_box();
    assert!(shown.contains("2 slow") && shown.contains("dirty"), "{outcome}");
}

#[test]
fn the_first_failure_does_not_interrupt_a_file_outside_a_transaction() {
    let both = "-- no-transaction\nSELECT pg_sleep(2) WHERE current_schema() = 'b';\n";
    let bad = "DO $$ BEGIN IF current_schema() = 'a' THEN RAISE EXCEPTION 'not this one'; END IF; END $$;\n";
    let project = Project::complete("jobs = 3").file("tenant/2_slow.sql", both).file("tenant/3_bad.sql", bad);
    project.start().exits(1).prints("not this one");
    assert_eq!(project.ledger("b"), ["1", "2", "3"]);
}

#[test]
fn a_table_lock_time_out_fails_the_tenant() {
    let project =
        Project::complete("jobs = 1, lock_timeout = \"50ms\"").file("tenant/2_positive.sql", POSITIVE);
    project.database.while_held("LOCK TABLE b.item", || {
        project.start().exits(1).prints("lock timeout").prints("2_positive.sql:1");
    });
    project.start().exits(0);
}

#[test]
fn a_table_lock_is_acquired_at_a_later_attempt() {
    let project =
        Project::complete("jobs = 1, lock_timeout = \"400ms\"").file("tenant/2_positive.sql", POSITIVE);
    let waiting = "SELECT pid::text FROM pg_locks WHERE NOT granted AND relation = 'b.item'::regclass";
    let run = project.database.while_held("LOCK TABLE b.item", || {
        let run = project.portcullis.spawn(["run"]);
        let first = until("the first attempt to wait", || project.database.column(waiting).pop());
        project.until(true, &format!("{waiting} AND pid <> {first}"));
        run
    });
    run.wait().exits(0).prints("the server started");
    assert_eq!(project.ledger("b"), AFTER);
}

#[test]
fn a_statement_time_out_fails_the_tenant() {
    hangs("statement_timeout = \"400ms\"", "statement timeout");
}

#[test]
fn a_tenant_that_times_out_fails_and_the_others_continue() {
    hangs("timeout = \"4s\"", "ran longer than 4 s");
}

#[track_caller]
fn hangs(setting: &str, prints: &str) {
    let apply = format!("jobs = 1, on_tenant_failure = \"continue\", {setting}");
    let slow = "ALTER TABLE item ADD COLUMN late int;\nSELECT pg_sleep(600) FROM item;\n";
    let project = Project::complete(&apply).file("tenant/2_slow.sql", slow);
    project.database.execute("INSERT INTO b.item VALUES (1)");
    project.start().exits(1).prints(prints);
    assert_eq!(
        (project.ledger("a"), project.ledger("c")),
        (AFTER.map(Into::into).into(), AFTER.map(Into::into).into())
    );
    assert_eq!((project.ledger("b"), project.columns("b")), (vec!["1".into()], vec!["n".into()]));
}

/// Replaces a file and its checksum in the manifest, because the new text cannot be derived.
pub(super) fn edit_migration_and_manifest(project: Project, file: &str, new: &str) -> Project {
    let digest = |text: &str| {
        let sql = format!("SELECT encode(sha384(convert_to($text${text}$text$, 'UTF8')), 'hex')");
        project.database.column(&sql).remove(0)
    };
    let old = std::fs::read_to_string(project.portcullis.path(file)).unwrap();
    let manifest = std::fs::read_to_string(project.portcullis.path("manifest.json")).unwrap();
    assert!(manifest.contains(&digest(&old)));
    let other_ends = |text: &str| digest(&text.replace('\n', "\r\n"));
    let manifest = manifest.replace(&digest(&old), &digest(new)).replace(&other_ends(&old), &other_ends(new));
    let manifest = with_new_digest(&manifest);
    project.file("manifest.json", &manifest).file(file, new)
}

/// Updates the manifest's digest: SHA-256 of the same JSON without the digest and without white space.
fn with_new_digest(manifest: &str) -> String {
    let (before, rest) = manifest.split_once("\"digest\": \"").unwrap();
    let (_, after) = rest.split_once("\",").unwrap();
    let mut in_text = false;
    let compact: String = format!("{before}{after}")
        .chars()
        .filter(|c| {
            in_text ^= *c == '"';
            in_text || !c.is_whitespace()
        })
        .collect();
    let digest = format!("{:x}", Sha256::digest(compact));
    format!("{before}\"digest\": \"{digest}\",{after}")
}

#[track_caller]
fn assert_only_tenant_schemas(project: &Project) {
    let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' AND nspname NOT IN ('information_schema', 'portcullis') ORDER BY 1";
    assert_eq!(project.database.column(schemas), ["a", "b", "c", "public"]);
}

#[test]
fn the_servers_messages_appear_in_the_log_with_their_tenant_and_level() {
    let messages = "DO $$ BEGIN RAISE NOTICE 'from postgres://app:hunter2@db/x'; RAISE NOTICE 'filling %', current_schema; \
        RAISE WARNING 'slow' USING HINT = 'wait'; RAISE DEBUG 'unseen'; FOR n IN 1..50 LOOP RAISE INFO 'row %', n; END LOOP; END $$;\n";
    let project = Project::complete("").file("tenant/2_filled.sql", messages);
    let outcome = project.start().exits(0);
    for tenant in ["a", "b", "c"] {
        let line = |text: &str| {
            let found = outcome.stderr.contains(&format!("{tenant} ! {text}"));
            assert!(found, "{tenant}: {text}\n{outcome}");
        };
        line("2 filled: NOTICE: from postgres://");
        line(&format!("2 filled: NOTICE: filling {tenant}"));
        line("2 filled: WARNING: slow; wait");
        line("2 filled: INFO: row 17");
        line("2 filled: 33 more messages of the server");
    }
    outcome.prints_not("unseen").prints_not("row 18").prints_not("hunter2");
    // Also of a file outside a transaction, and of one that fails.
    let failing = "-- no-transaction\nDO $$ BEGIN RAISE NOTICE 'before'; END $$;\n\
        SELECT 1 / (1 - count(*)) FROM public.tenants WHERE name = current_schema();\n";
    let project = project.file("tenant/3_failing.sql", failing);
    project.start().exits(1).prints("3 failing: NOTICE: before");
}

#[test]
fn the_servers_messages_of_a_creation_appear_in_the_log() {
    let project =
        Project::complete("").file("tenant/2_filled.sql", "DO $$ BEGIN RAISE NOTICE 'filled'; END $$;\n");
    project.start().exits(0);
    let created = project.portcullis.run(["tenant", "create", "d"]).exits(0);
    created.prints("2 filled: NOTICE: filled");
}

#[test]
fn the_servers_messages_of_a_derivation_and_of_a_repair_appear_in_the_log() {
    let filled = "DO $$ BEGIN RAISE NOTICE 'filled'; END $$;\n";
    let project = Project::complete("").file("tenant/2_filled.sql", filled);
    let once = |project: &Project| {
        let derived = project.portcullis.run(["manifest", "sql"]).exits(0);
        assert_eq!(derived.stderr.matches("NOTICE: filled").count(), 1, "{derived}");
        derived.prints("2 filled: NOTICE: filled");
    };
    once(&project);
    project.portcullis.run(["repair", "a"]).exits(0).prints("a ! 2 filled: NOTICE: filled");
    project.start().exits(0);
    // A trigger of the database speaks while the lost table is created.
    project.database.execute(
        "DROP TABLE b.item; CREATE FUNCTION public.speak() RETURNS event_trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE NOTICE 'created by %', tg_tag; END $$; \
         CREATE EVENT TRIGGER speak ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.speak()",
    );
    project
        .portcullis
        .run(["repair", "b", "--restore"])
        .exits(0)
        .prints("b ! NOTICE: created by CREATE TABLE");
    // A derivation that begins again, because a file needs the commit of another one.
    once(&project.file("tenant/3_vacuum.sql", "-- no-transaction\nVACUUM item;\n"));
}
