//! A plan, waves and the watch with a database for each tenant.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{MORE, Project, columns};
use crate::support::process::Outcome;

const WAVES: &str = "[migrations]\napply = { waves = [[\"b\"], \"100%\"] }\n";

/// Three tenants, in each of which a migration is pending.
fn pending() -> Project {
    let mut project = Project::named();
    let config = super::CONFIG
        .replace("DATABASE\"", "app_{name}\"")
        .replace("VALUES", "{}")
        .replace("[migrations]\n", WAVES);
    project.portcullis = project.portcullis.config(&config);
    project.start().exits(0);
    project.file("tenant/2_more.sql", MORE)
}

/// The plan of the first waves.
fn plan(project: &Project, waves: &str) -> Value {
    let outcome =
        project.portcullis.run(["migrate", "--plan", "--waves", waves, "--format", "json"]).exits(0);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn approve(project: &Project, plan: &Value, waves: &str) -> Outcome {
    project.portcullis.run(["migrate", "--approve", plan["hash"].as_str().unwrap(), "--waves", waves])
}

fn migrated(project: &Project) -> Vec<String> {
    let has_more = |database: &String| columns(&project.server, database) == ["n", "extra"];
    project.databases().into_iter().filter(has_more).collect()
}

#[test]
fn an_approved_plan_changes_the_databases_of_its_waves() {
    let project = pending();
    let first = plan(&project, "1");
    let group = &first["groups"][0];
    assert_eq!((&group["tenants"], &group["measured"]), (&json!(["b"]), &Value::Null), "{first}");
    let locks = json!([{ "table": "item", "tables": null, "lock": "ACCESS EXCLUSIVE", "rows": "none" }]);
    assert_eq!(group["migrations"][0]["statements"], json!([{ "sql": MORE.trim_end(), "locks": locks }]));
    approve(&project, &first, "2").exits(1).prints("plan-changed");
    assert_eq!(migrated(&project), [""; 0]);
    approve(&project, &first, "1").exits(0);
    assert_eq!(migrated(&project), ["app_b"]);

    let rest = plan(&project, "2");
    let group = &rest["groups"][0];
    assert_eq!((&group["tenants"], &group["measured"]["tenants"]), (&json!(["a", "c"]), &json!(1)), "{rest}");
    project.portcullis.run(["migrate", "a"]).exits(0);
    approve(&project, &rest, "2").exits(1).prints("plan-changed");
    approve(&project, &plan(&project, "2"), "2").exits(0);
    assert_eq!(migrated(&project), ["app_a", "app_b", "app_c"]);
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_wave_with_an_incomplete_database_stops_the_later_ones() {
    let project = pending();
    project.server.execute("app_b", "DROP TABLE item");
    project.portcullis.run(["migrate"]).exits(1).prints("b");
    assert_eq!(columns(&project.server, "app_a"), ["n"]);
}

#[test]
fn what_a_killed_creation_left_is_no_part_of_the_plan() {
    let sleep = format!("{MORE}SELECT pg_sleep(600) WHERE current_database() = 'app_d';\n");
    let project = pending().file("tenant/2_more.sql", &sleep);
    let creating = project.portcullis.spawn(["tenant", "create", "d"]);
    project.kill_while_sleeping(creating, "app_d");
    let planned = plan(&project, "2");
    assert_eq!((&planned["unfinished"], &planned["unmigratable"]), (&json!(["d"]), &json!({})), "{planned}");
    approve(&project, &planned, "2").exits(0).prints("which run").prints("was removed");
    assert_eq!(migrated(&project), ["app_a", "app_b", "app_c"]);
}

#[test]
fn a_watch_reports_each_change_of_a_database_once() {
    let project = Project::named();
    project.start().exits(0);
    let watch = project.portcullis.spawn(["verify", "--every", "2s"]);
    watch.wait_for_line("complete: the shared schema and 3 tenants complete");
    project.server.execute("app_b", "ALTER TABLE item RENAME TO lost");
    watch.wait_for_line("b: incomplete: table missing: item");
    project.server.execute("postgres", "ALTER DATABASE app_c RENAME TO kept");
    watch.wait_for_line("c: incomplete: ");
    project.server.execute("app_b", "ALTER TABLE lost RENAME TO item");
    watch.wait_for_line("b: complete again");
    project.server.execute("postgres", "ALTER DATABASE kept RENAME TO app_c");
    watch.wait_for_line("c: complete again");
    watch.signal(Signal::SIGTERM);
    let printed = watch.wait().exits(0).stdout;
    for text in ["b: incomplete: ", "c: incomplete: ", "b: complete again", "c: complete again"] {
        assert_eq!(printed.matches(text).count(), 1, "{text}\n{printed}");
    }
}
