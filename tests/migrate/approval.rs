//! A plan is what `--approve` executes, and nothing else.

use std::fs;

use serde_json::{Value, json};

use super::{hash, plan};
use crate::{
    documents::blocks::{block, run},
    run::on_both_engines,
    support::{
        project::Project,
        sample::{Engine, Sample},
    },
};

const POSITIVE: &str = "-- each item\nALTER TABLE item ADD COLUMN extra int;\n\n-- the rule\nALTER TABLE item ADD CHECK (n > 0);\n";

/// Tenants `a`, `b` and `c`; the second migration is pending in all, the third also in `c`.
fn pending() -> Project {
    Project::complete("").file("tenant/2_positive.sql", POSITIVE)
}

#[test]
fn a_plan_for_one_database_is_refused_in_another() {
    let (staging, production) = (pending(), pending());
    let approved = hash(&plan(&staging.portcullis)).to_string();
    production.portcullis.run(["migrate", "--approve", &approved]).exits(1);
    staging.portcullis.run(["migrate", "--approve", &approved]).exits(0);
}

#[test]
fn a_plan_groups_tenants_by_their_state_and_shows_statements_with_locks() {
    let project = pending()
        .file("tenant/3_note.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY item_n ON item (n);\n");
    project.portcullis.run(["migrate", "c"]).exits(0);
    project.database.execute("DELETE FROM c._sqlx_migrations WHERE version = 3; DROP INDEX c.item_n");
    let json = plan(&project.portcullis);
    let groups = json["groups"].as_array().unwrap();
    let group = |group: &Value| {
        let names: Vec<Value> =
            group["migrations"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        json!([group["tenants"], names])
    };
    assert_eq!(group(&groups[0]), json!([["a", "b"], ["2 positive", "3 note"]]));
    assert_eq!(group(&groups[1]), json!([["c"], ["3 note"]]));
    assert_eq!(groups.len(), 2, "{json}");
    let [positive, note] = groups[0]["migrations"].as_array().unwrap().as_slice() else { panic!("{json}") };
    let exclusive =
        |rows: &str| json!([{ "table": "item", "tables": null, "lock": "ACCESS EXCLUSIVE", "rows": rows }]);
    assert_eq!(
        positive["statements"],
        json!([
            { "sql": "ALTER TABLE item ADD COLUMN extra int;", "locks": exclusive("none") },
            { "sql": "ALTER TABLE item ADD CHECK (n > 0);", "locks": exclusive("scan") },
        ])
    );
    assert_eq!((&positive["in_transaction"], &note["in_transaction"]), (&json!(true), &json!(false)));
    let text = project.portcullis.run(["migrate", "--plan"]).exits(0);
    for line in [
        "2 tenants (a, b): 2 migrations",
        "1 tenant (c): 1 migration",
        "  2 positive\n    ALTER TABLE item ADD COLUMN extra int;\n      locks: ACCESS EXCLUSIVE on `item`\n",
        "      locks: ACCESS EXCLUSIVE on `item`, scans it\n",
        "  3 note, outside of a transaction\n",
        "      locks: SHARE UPDATE EXCLUSIVE on `item`, scans it\n",
        "no estimate",
        &format!("hash: {}", hash(&json)),
    ] {
        assert!(text.stdout.contains(line), "{line}: {text}");
    }
    assert_eq!((project.ledger("a"), project.columns("a")), (vec!["1".to_owned()], vec!["n".to_owned()]));
}

#[test]
fn the_estimate_is_the_average_time_of_the_tenants_with_the_same_migrations() {
    let project = pending();
    assert_eq!(plan(&project.portcullis)["groups"][0]["measured"], Value::Null);
    project.portcullis.run(["migrate", "b"]).exits(0);
    let measured = |project: &Project| plan(&project.portcullis)["groups"][0]["measured"].clone();
    assert_eq!(measured(&project)["tenants"], 1);
    project.database.execute("UPDATE portcullis.duration SET milliseconds = 90000");
    assert_eq!(measured(&project), json!({ "tenants": 1, "ms": 90_000 }));
    let text = project.portcullis.run(["migrate", "--plan", "--jobs", "1"]).exits(0);
    let estimate = "estimate: 3 m, because 1 tenant needed 90 s on average, and 1 run at a time";
    assert!(text.stdout.contains(estimate), "{text}");
    project.portcullis.run(["migrate", "c"]).exits(0);
    let average = measured(&project);
    assert_eq!(average["tenants"], 2, "{average}");
    assert!((45_000..60_000).contains(&average["ms"].as_u64().unwrap()), "{average}");
    // Other migrations are other times.
    let project = project.file("tenant/3_note.sql", "ALTER TABLE item ADD COLUMN note text;\n");
    assert_eq!(measured(&project), Value::Null);
}

on_both_engines!(an_approved_plan_is_executed_once);

fn an_approved_plan_is_executed_once(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    sample.portcullis = sample
        .portcullis
        .file("migrations/tenant/5_notes.sql", "CREATE TABLE crm_note (id bigint PRIMARY KEY);\n");
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    let before = plan(&sample.portcullis);
    assert_eq!(plan(&sample.portcullis), before, "the same state has the same plan");
    let migration = &before["groups"][0]["migrations"][0];
    let locks = if engine == Engine::Sqlite { Value::Null } else { json!([]) };
    assert_eq!(migration["statements"][0]["locks"], locks, "{before}");
    sample.portcullis.run(["migrate", "--approve", hash(&before)]).exits(0).prints("applied");
    sample.portcullis.run(["verify"]).exits(0);
    let again = sample.portcullis.run(["migrate", "--approve", hash(&before)]).exits(1);
    again.prints("plan-changed").prints("the tenants or their pending migrations");
    let nothing = plan(&sample.portcullis);
    sample.portcullis.run(["migrate", "--approve", hash(&nothing)]).exits(0).prints("nothing pending");
}

#[test]
fn a_plan_that_changed_is_refused_with_the_difference_and_nothing_is_changed() {
    let project = pending();
    let approved = plan(&project.portcullis);
    fs::write(project.portcullis.path("plan.json"), approved.to_string()).unwrap();
    project.portcullis.run(["migrate", "a"]).exits(0);
    let by_hash = project.portcullis.run(["migrate", "--approve", hash(&approved)]).exits(1);
    let difference = "the tenants or their pending migrations changed";
    assert!(by_hash.failure_box().replace("\n ", " ").contains("portcullis migrate --plan"), "{by_hash}");
    by_hash.prints(difference).prints_not("`a` has nothing left");
    project
        .portcullis
        .run(["migrate", "--approve", "plan.json"])
        .exits(1)
        .prints("`a` has nothing left to migrate");
    assert_eq!((project.ledger("b"), project.columns("b")), (vec!["1".to_owned()], vec!["n".to_owned()]));

    // A setting and a statement are parts of the plan, too.
    let other = plan(&project.portcullis);
    project
        .portcullis
        .run(["migrate", "--approve", hash(&other), "--jobs", "2"])
        .exits(1)
        .prints("the settings changed");
    let project = project.file("tenant/2_positive.sql", "ALTER TABLE item ADD COLUMN extra bigint;\n");
    // In tenant `a`, the altered file is a finding of its own.
    project.portcullis.run(["migrate", "--approve", hash(&other)]).exits(1).prints("the SQL");
    assert_eq!(project.ledger("b"), ["1"]);
}

#[test]
fn another_reaction_to_a_failed_tenant_is_another_plan() {
    let continues = "on_tenant_failure = \"continue\", max_failures = 1";
    let project = Project::complete(continues).file("tenant/2_positive.sql", POSITIVE);
    let approved = plan(&project.portcullis);
    let project = project.replace(continues, "on_tenant_failure = \"stop\"");
    project.portcullis.run(["migrate", "--approve", hash(&approved)]).exits(1).prints("the settings changed");
}

#[test]
fn an_edited_plan_and_a_word_that_is_no_hash_are_refused() {
    let project = pending();
    let mut approved = plan(&project.portcullis);
    project
        .portcullis
        .run(["migrate", "--approve", "yes"])
        .exits(64)
        .prints("neither the hash nor a JSON file");
    approved["groups"][0]["tenants"] = json!(["a"]);
    fs::write(project.portcullis.path("plan.json"), approved.to_string()).unwrap();
    project.portcullis.run(["migrate", "--approve", "plan.json"]).exits(64).prints("it was edited");
    fs::write(project.portcullis.path("plan.json"), "[]").unwrap();
    project.portcullis.run(["migrate", "--approve", "plan.json"]).exits(64);
    project.portcullis.run(["migrate", "--plan", "--dry-run"]).exits(64);
    project.portcullis.run(["migrate", "--approve", "plan.json", "--cooperate"]).exits(64);
    assert_eq!(project.ledger("a"), ["1"]);
}

#[test]
fn a_tenant_that_appears_while_an_approved_plan_runs_is_not_migrated() {
    let project = Project::complete("");
    let register = "INSERT INTO tenants VALUES ('d'); CREATE SCHEMA d; CREATE TABLE d.item (n bigint); \
         CREATE TABLE d._sqlx_migrations (LIKE a._sqlx_migrations INCLUDING ALL); \
         INSERT INTO d._sqlx_migrations SELECT * FROM a._sqlx_migrations WHERE version = 1;";
    // The shared migration creates the tenant; while the manifest is derived, there is none to copy.
    let shared = format!(
        "DO $$ BEGIN IF to_regclass('a._sqlx_migrations') IS NOT NULL AND current_schema = 'public' THEN {register} END IF; END $$;\n"
    );
    let project = project.file("shared/2_more.sql", &shared).file("tenant/2_positive.sql", POSITIVE);
    let approved = plan(&project.portcullis);
    let outcome = project.portcullis.run(["migrate", "--approve", hash(&approved)]).exits(1);
    outcome.prints("plan-changed").prints("while the plan was executed");
    for tenant in ["a", "d"] {
        assert_eq!(project.ledger(tenant), ["1"]);
    }
}

#[test]
fn a_schema_that_cannot_be_migrated_is_part_of_the_plan() {
    let project = pending();
    project.database.execute("DROP SCHEMA b CASCADE");
    let json = plan(&project.portcullis);
    assert_eq!(json["groups"][0]["tenants"], json!(["a", "c"]));
    assert_eq!(json["unmigratable"]["b"], json!([{ "kind": "no_schema" }]));
    let text = project.portcullis.run(["migrate", "--plan"]).exits(0);
    assert!(text.stdout.contains("cannot be migrated in their current state: b\n"), "{text}");
    project.portcullis.run(["migrate", "--approve", hash(&json)]).exits(1).prints("cannot be migrated");
    assert_eq!(project.ledger("a"), ["1"]);
}

#[test]
fn an_approved_plan_waits_for_the_lock_and_is_compared_under_it() {
    let project = Project::complete("")
        .file("tenant/2_slow.sql", "SELECT pg_sleep(1);\n")
        .replace("auto = true", "file = \"manifest.json\"");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    let approved = plan(&project.portcullis);
    let other = project.portcullis.spawn(["migrate"]);
    project.until_sleeping();
    project.portcullis.run(["migrate", "--approve", hash(&approved)]).exits(1).prints("plan-changed");
    other.wait().exits(0);
}

#[test]
fn the_document_shows_how_a_plan_is_printed_and_approved() {
    let project = pending();
    let text = project.portcullis.run(["migrate", "--plan"]).exits(0);
    let shown = block("docs/plan.md", "3 tenants");
    assert!(text.stdout.contains(&shown), "{shown}{text}");
    run(&project.portcullis, &block("docs/plan.md", "$ portcullis migrate --plan\n"));
    project.portcullis.run(["verify"]).exits(0);
}
