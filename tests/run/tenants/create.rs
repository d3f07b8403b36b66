//! A creation: its results, rejections and messages.

use serde_json::Value;

use super::{BAD, empty, journal, json, tenants, with};
use crate::run::migrations::edit_migration_and_manifest;
use crate::support::project::Project;

#[test]
fn a_created_tenant_passes_the_gate() {
    let project = empty("");
    let outcome = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(0);
    let result = json(&outcome);
    assert_eq!((&result["created"], &result["schema"]), (&Value::Bool(true), &Value::from("acme")));
    project.portcullis.run(["verify", "--tenant", "acme"]).exits(0);
    assert_eq!(project.ledger("acme"), ["1"]);
    assert!(journal(&project).is_empty());
    let comment = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'acme' \
                   AND obj_description(oid, 'pg_namespace') IS NOT NULL";
    assert!(project.database.column(comment).is_empty());
}

#[test]
fn the_command_line_sets_the_other_columns_of_the_registry_row() {
    let project = empty("").file(
        "shared/2_more.sql",
        "ALTER TABLE tenants RENAME name TO schema; ALTER TABLE tenants ADD name text, ADD plan text NOT NULL;\n",
    );
    let project = project.replace("schema_column = \"name\"", "schema_column = \"schema\"");
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let create = ["tenant", "create", "Acme GmbH", "--schema", "acme", "--set", "plan=it's \\ \"x\""];
    project.portcullis.run(create).exits(0);
    let row = "SELECT schema || '|' || name || '|' || plan FROM tenants";
    assert_eq!(project.database.column(row), ["acme|Acme GmbH|it's \\ \"x\""]);
    // A required column without a value, and an unknown column.
    let lacking = project.portcullis.run(["tenant", "create", "globex"]).exits(64);
    lacking.prints("needs `plan` (text)").prints("portcullis tenant create globex --set plan=VALUE");
    project.portcullis.run(["tenant", "create", "globex", "--set", "plans=x"]).exits(64).prints("plans");
    project.portcullis.run(["tenant", "create", "globex", "--set", "schema=x"]).exits(64);
    project
        .portcullis
        .run(["tenant", "create", "globex", "--domain", "x.example"])
        .exits(64)
        .prints("domains");
    assert!(!project.exists("globex"));
}

#[test]
fn an_existing_tenant_is_rejected_and_not_changed() {
    let project = empty("");
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
    let again = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
    assert_eq!(json(&again)["failure"]["left"], "as it was", "{again}");
    project.database.execute("CREATE SCHEMA orphan; INSERT INTO tenants VALUES ('ghost')");
    for (tenant, why) in [("orphan", "registry does not contain"), ("ghost", "its schema does not exist")] {
        let refused = project.portcullis.run(["tenant", "create", tenant]).exits(73);
        refused.prints(why).prints("not rolled back: cannot prove that this run created it");
    }
    assert!(project.exists("orphan"));
    assert_eq!(tenants(&project), ["acme", "ghost"]);
}

#[test]
fn a_failing_migration_leaves_nothing_with_one_or_many_transactions() {
    for first in ["", "-- no-transaction\n"] {
        let project = with(empty(""), "tenant/2_bad.sql", &format!("{first}{BAD}"));
        let outcome = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
        let failure = &json(&outcome)["failure"];
        assert_eq!((&failure["id"], &failure["left"]), (&"provisioning-failed".into(), &"nothing".into()));
        assert!(failure["place"].as_str().unwrap().contains("2_bad.sql"), "{outcome}");
        assert!(failure["message"].as_str().unwrap().contains("rolled back"), "{outcome}");
        assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
    }
}

#[test]
fn a_failing_file_that_commits_leaves_nothing() {
    let project = with(empty(""), "tenant/2_commits.sql", "SELECT 1;\n");
    let project = edit_migration_and_manifest(
        project,
        "tenant/2_commits.sql",
        "CREATE TABLE x (id int);\nCOMMIT;\nSELECT 1/0;\n",
    );
    project.portcullis.run(["tenant", "create", "acme"]).exits(73).prints("rolled back");
    assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
}

#[test]
fn a_time_out_is_rolled_back_and_reported_as_such() {
    for first in ["", "-- no-transaction\n"] {
        let project = with(
            empty("timeout = \"1s\""),
            "tenant/2_slow.sql",
            &format!("{first}SELECT pg_sleep(40) WHERE current_schema() = 'acme';\n"),
        );
        let outcome = project.portcullis.run(["tenant", "create", "acme"]).exits(73);
        outcome.prints("ran longer than 1 s").prints("(rolled back)");
        assert!(!project.exists("acme") && tenants(&project).is_empty() && journal(&project).is_empty());
    }
}

#[test]
fn the_bootstrap_command_creates_the_tenants_that_the_steps_name() {
    let project = empty("").file(
        "tenant/2_not_b.sql",
        "DO $$ BEGIN IF current_schema() = 'b' THEN RAISE EXCEPTION 'not this one'; END IF; END $$;\n",
    );
    let outcome = project.portcullis.run(["tenant", "bootstrap", "--json"]).exits(73);
    let became = json(&outcome);
    assert_eq!((&became["created"], &became["failed"][0]["tenant"]), (&vec!["a", "c"].into(), &"b".into()));
    let project = project.file("tenant/2_not_b.sql", "SELECT 1;\n");
    project.portcullis.run(["tenant", "delete", "a", "--yes"]).exits(0);
    project.portcullis.run(["tenant", "delete", "c", "--yes"]).exits(0);
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("3 created, 0 kept, 0 failed");
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("0 created, 3 kept");
    let stopped = with(project, "tenant/3_none.sql", BAD);
    stopped.database.execute("DROP SCHEMA a, b, c CASCADE; DELETE FROM tenants");
    stopped.portcullis.run(["tenant", "bootstrap", "--stop"]).exits(73).prints("0 created, 0 kept, 1 failed");
}

#[test]
fn a_failed_creation_is_reported() {
    let project = with(empty(""), "tenant/2_bad.sql", BAD).step(
        "[notify]\ncommand = [\"sh\", \"-c\", 'printf %s \"$PORTCULLIS_NOTIFICATION\" > notification']\n",
    );
    project.portcullis.run(["tenant", "create", "acme"]).exits(73);
    let notification: Value =
        serde_json::from_str(&std::fs::read_to_string(project.portcullis.path("notification")).unwrap())
            .unwrap();
    assert_eq!(
        (&notification["event"], &notification["tenant"]),
        (&"tenant creation failed".into(), &"acme".into())
    );
    assert_eq!(notification["failure"]["left"], "nothing");
}

#[test]
fn tenants_are_listed_and_shown_with_their_verdict() {
    let project = Project::complete("");
    project.database.execute("DROP TABLE b.item");
    let list = project.portcullis.run(["tenant", "list"]).exits(0);
    assert_eq!(list.stdout.lines().count(), 3, "{list}");
    let broken = project.portcullis.run(["tenant", "list", "--state", "incomplete", "--json"]).exits(0);
    let tenants = json(&broken);
    assert_eq!(
        (tenants["tenants"].as_array().unwrap().len(), &tenants["tenants"][0]["tenant"]),
        (1, &"b".into())
    );
    project.portcullis.run(["tenant", "show", "b"]).exits(0).prints("item");
    project.portcullis.run(["tenant", "show", "a"]).exits(0).prints("complete");
    project.portcullis.run(["tenant", "show", "nobody"]).exits(1);
}
