//! Several demo tenants: each is complete or absent, and no failure hides another.

use crate::support::project::Project;

const NOT_B: &str = "CREATE TABLE half (id int);\nDO $$ BEGIN IF current_schema() = 'b' THEN RAISE EXCEPTION 'not this one'; END IF; END $$;\n";

#[test]
fn a_failing_tenant_does_not_hide_or_stop_the_others() {
    let project = Project::new("").file("tenant/2_not_b.sql", NOT_B);
    let outcome = project.start().exits(73).prints_not("the server started");
    let shown = outcome.failure_box();
    for text in ["2 created", "1 failed", "not this one", "2_not_b.sql:2", "rolled back"] {
        assert!(shown.contains(text), "{text}: {outcome}");
    }
    assert_eq!(project.database.column("SELECT name FROM tenants ORDER BY 1"), ["a", "c"]);
    for tenant in ["a", "c"] {
        assert_eq!(project.ledger(tenant), ["1", "2"]);
    }
    assert!(!project.exists("b"));
    // Nothing remains that blocks the next start.
    let project = project.file("tenant/2_not_b.sql", "CREATE TABLE half (id int);\n");
    let project = project.replace("tenants = [\"a\", \"b\", \"c\"] }", "tenants = [\"b\"] }");
    project.database.execute("DROP SCHEMA a, c CASCADE; DELETE FROM tenants");
    project.start().exits(0).prints("1 created");
}

#[test]
fn every_failing_tenant_is_named() {
    let both = NOT_B.replace("= 'b'", "IN ('a', 'c')");
    let project = Project::new("").file("tenant/2_not_both.sql", &both);
    let outcome = project.start().exits(73);
    let shown = outcome.failure_box();
    assert!(
        shown.contains("2 schemas: a, c\n")
            && !shown.contains("portcullis migrate")
            && shown.contains("1 created, 0 kept, 2 failed"),
        "{outcome}"
    );
    assert!(project.exists("b") && !project.exists("a") && !project.exists("c"));
}

#[test]
fn an_existing_schema_is_neither_adopted_nor_dropped() {
    let project = Project::new("");
    project.database.execute("CREATE SCHEMA b; CREATE TABLE b.precious AS SELECT 42 AS n");
    project
        .start()
        .exits(73)
        .prints("`b`")
        .prints("registry does not contain")
        .prints_not("the server started");
    assert_eq!(project.database.column("SELECT n::text FROM b.precious"), ["42"]);
    assert_eq!(
        project.database.column("SELECT relname::text FROM pg_class WHERE relnamespace = 'b'::regnamespace"),
        ["precious"]
    );
    assert_eq!(project.database.column("SELECT name FROM tenants ORDER BY 1"), ["a", "c"]);
}

#[test]
fn an_existing_tenant_is_migrated_and_not_created_again() {
    let project = Project::complete("");
    project.database.execute("INSERT INTO b.item VALUES (7)");
    let project = project.file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    project.start().exits(0).prints("0 created, 3 kept");
    assert_eq!(project.database.column("SELECT n::text FROM b.item"), ["7"]);
    assert_eq!(project.columns("b"), ["more", "n"]);
}
