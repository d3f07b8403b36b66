//! Waves: a wave is migrated and judged before the next one, and a later start continues.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{hash, plan};
use crate::support::project::Project;

const POSITIVE: &str = "ALTER TABLE item ADD CHECK (n > 0);\n";

/// Twenty tenants: `a`, `b`, `c` and `t1` to `t17`; the second migration is pending in all.
fn twenty(apply: &str) -> Project {
    let project = Project::complete(apply).file("tenant/2_positive.sql", POSITIVE);
    let mut sql = String::new();
    for number in 1..=17 {
        sql += &format!(
            "INSERT INTO tenants VALUES ('t{number}'); CREATE SCHEMA t{number}; CREATE TABLE t{number}.item (n bigint); \
             CREATE TABLE t{number}._sqlx_migrations (LIKE a._sqlx_migrations INCLUDING ALL); \
             INSERT INTO t{number}._sqlx_migrations SELECT * FROM a._sqlx_migrations;"
        );
    }
    project.database.execute(&sql);
    project
}

fn migrated(project: &Project) -> BTreeSet<String> {
    let tenants = project.database.column("SELECT name FROM tenants");
    tenants.into_iter().filter(|tenant| project.ledger(tenant).len() == 2).collect()
}

/// The plan of the first waves.
fn planned(project: &Project, waves: &str) -> Value {
    let json = project.portcullis.run(["migrate", "--plan", "--waves", waves, "--format", "json"]).exits(0);
    serde_json::from_str(&json.stdout).unwrap()
}

#[test]
fn a_wave_is_migrated_before_the_next_and_a_failing_one_stops_everything_behind_it() {
    let apply = "waves = [[\"b\"], \"20%\", \"100%\"], on_tenant_failure = \"continue\"";
    let project = twenty(apply);
    project.database.execute("INSERT INTO b.item VALUES (-1)");
    project.start().exits(1).prints("wave 1 of 3");
    assert!(migrated(&project).is_empty());
    project.database.execute("DELETE FROM b.item");

    // The second wave has four tenants with the first one: a job for each wave.
    project.portcullis.run(["migrate", "--waves", "1"]).exits(0);
    assert_eq!(migrated(&project), ["b".to_owned()].into());
    project.portcullis.run(["migrate", "--waves", "2"]).exits(0).prints("wave 2 of 3: 3 tenants");
    let second = migrated(&project);
    assert_eq!(second.len(), 4);
    project.portcullis.run(["migrate", "--waves", "2"]).exits(0).prints("nothing pending");
    assert_eq!(migrated(&project), second, "the same tenants are in the same wave");
    project.start().exits(0).prints("wave 3 of 3: 16 tenants");
    assert_eq!(migrated(&project).len(), 20);
}

#[test]
fn a_tenant_that_fails_the_gate_stops_the_next_wave_also_in_a_later_start() {
    let project = twenty("waves = [[\"b\"], \"50%\", \"100%\"]");
    project.portcullis.run(["migrate", "--waves", "1"]).exits(0);
    // Nothing is pending in the first wave, and its tenant is not complete.
    project.database.execute("ALTER TABLE b.item DROP COLUMN n");
    let stopped = project.portcullis.run(["migrate"]).exits(1);
    assert!(stopped.failure_box().contains("column missing"), "{stopped}");
    stopped.prints("wave 1 of 3 is not complete").prints("(incomplete)");
    assert_eq!(migrated(&project), ["b".to_owned()].into());
    project.database.execute("ALTER TABLE b.item ADD COLUMN n bigint");
    project.portcullis.run(["migrate"]).exits(0);
    assert_eq!(migrated(&project).len(), 20);
}

#[test]
fn a_migration_that_leaves_its_tenant_incomplete_stops_the_next_wave() {
    let project = twenty("waves = [[\"b\"], \"100%\"]");
    // Only in this tenant, the migration drops what the others have.
    let text = "DO $$ BEGIN IF current_schema = 'b' THEN ALTER TABLE item DROP COLUMN n; END IF; END $$;\n";
    let project = project.file("tenant/2_positive.sql", text);
    project.portcullis.run(["migrate"]).exits(1).prints("wave 1 of 2 is not complete");
    assert_eq!(migrated(&project), ["b".to_owned()].into());
}

#[test]
fn cooperating_replicas_finish_a_wave_before_the_next() {
    let project = twenty("waves = [\"30%\", \"100%\"], cooperate = true, jobs = 2");
    let first = planned(&project, "1");
    let first: Vec<String> = serde_json::from_value(first["groups"][0]["tenants"].clone()).unwrap();
    assert_eq!(first.len(), 6);
    // One tenant of the first wave fails, so that no replica starts the second wave.
    project.database.execute(&format!("INSERT INTO {}.item VALUES (-1)", first[0]));
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(1);
    }
    let done = migrated(&project);
    assert!(done.iter().all(|tenant| first.contains(tenant)), "{done:?} are not all of {first:?}");
    project.database.execute(&format!("DELETE FROM {}.item", first[0]));
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(0);
    }
    assert_eq!(migrated(&project).len(), 20);
}

#[test]
fn the_waves_of_a_plan_are_approved_with_it() {
    let project = twenty("waves = [[\"b\"], \"20%\", \"100%\"]");
    let first = planned(&project, "2");
    assert_eq!(first["groups"][0]["tenants"].as_array().unwrap().len(), 4, "{first}");
    assert_ne!(hash(&first), hash(&plan(&project.portcullis)));
    project.portcullis.run(["migrate", "--approve", hash(&first)]).exits(1).prints("plan-changed");
    project.portcullis.run(["migrate", "--approve", hash(&first), "--waves", "2"]).exits(0);
    assert_eq!(migrated(&project).len(), 4);
    let rest = plan(&project.portcullis);
    project.portcullis.run(["migrate", "--approve", hash(&rest)]).exits(0);
    assert_eq!(migrated(&project).len(), 20);
}

#[test]
fn waves_that_cannot_be_are_errors_of_the_configuration_or_the_command_line() {
    for (waves, message) in [
        ("[\"10%\", \"50%\"]", "the last wave is not `\"100%\"`"),
        ("[\"50%\", \"10%\", \"100%\"]", "the percentages do not increase"),
        ("[\"0%\", \"100%\"]", "a percentage from"),
        ("[\"ten\", \"100%\"]", "a percentage from"),
        ("[[], \"100%\"]", "the list contains no tenant"),
    ] {
        Project::new(&format!("waves = {waves}")).portcullis.run(["check"]).exits(78).prints(message);
    }
    let project = Project::complete("waves = [\"10%\", \"100%\"]");
    project.portcullis.run(["migrate", "--waves", "3"]).exits(64).prints("`--waves 3`");
    project.portcullis.run(["migrate", "--waves", "1", "a"]).exits(64);
    project.portcullis.run(["migrate", "--waves", "1", "--dry-run"]).exits(64);
    Project::complete("").portcullis.run(["migrate", "--waves", "1"]).exits(64).prints("apply.waves");
}
