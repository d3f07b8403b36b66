//! Cooperating replicas: no tenant is migrated twice, and no replica serves before all tenants are complete.

use nix::sys::signal::Signal;

use crate::support::{process::Running, project::Project};

/// The sessions that run the migration now.
const MIGRATING: &str = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
    AND query LIKE '%until they have met%' AND application_name LIKE 'portcullis:%'";

/// Twelve tenants whose next migration waits for a row in `met`, and then inserts a row.
pub(crate) fn twelve_tenants(apply: &str) -> Project {
    let project = Project::complete(apply).file(
        "tenant/2_meet.sql",
        "DO $$ BEGIN -- until they have met\n\
         WHILE EXISTS (SELECT FROM public.meeting) AND NOT EXISTS (SELECT FROM public.met) LOOP PERFORM pg_sleep(0.02); END LOOP;\n\
         INSERT INTO item VALUES (2); END $$;\n",
    );
    let mut sql = String::from("CREATE TABLE met (n int); CREATE TABLE meeting (n int);");
    for number in 1..=9 {
        sql += &format!(
            "INSERT INTO tenants VALUES ('t{number}'); CREATE SCHEMA t{number}; CREATE TABLE t{number}.item (n bigint); \
             CREATE TABLE t{number}._sqlx_migrations (LIKE a._sqlx_migrations INCLUDING ALL); \
             INSERT INTO t{number}._sqlx_migrations SELECT * FROM a._sqlx_migrations;"
        );
    }
    project.database.execute(&sql);
    // The manifest is derived before the migration has to wait.
    let project = project.replace("auto = true", "file = \"manifest.json\"");
    project.portcullis.run(["manifest", "sql"]).exits(0);
    project.database.execute("INSERT INTO meeting VALUES (1)");
    project
}

/// Waits until this number of runs are in the migration.
#[track_caller]
pub(crate) fn until_migrating(project: &Project, runs: usize) {
    project.until(true, &format!("{MIGRATING} HAVING count(DISTINCT application_name) = {runs}"));
}

pub(crate) fn release(project: &Project) {
    project.database.execute("INSERT INTO met VALUES (1)");
}

/// Checks that each tenant's migration ran once.
#[track_caller]
pub(crate) fn assert_each_migrated_once(project: &Project) {
    for tenant in project.database.column("SELECT name FROM tenants") {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item")), ["2"], "{tenant}");
        assert_eq!(project.ledger(&tenant), ["1", "2"]);
    }
}

#[test]
fn three_replicas_share_the_tenants_and_none_serves_before_all_are_done() {
    let project = twelve_tenants("jobs = 2, cooperate = true");
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    until_migrating(&project, 3);
    release(&project);
    let done = runs.map(|run| applied(&run.wait().exits(0).prints("the server started").stderr));
    assert_each_migrated_once(&project);
    assert_eq!(done.iter().sum::<usize>(), 12, "{done:?}");
    assert!(done.iter().all(|done| *done > 0), "{done:?}");
}

#[test]
fn the_tenants_of_a_killed_replica_are_migrated_by_another() {
    let project = twelve_tenants("jobs = 2, cooperate = true");
    let killed = project.portcullis.spawn(["run"]);
    until_migrating(&project, 1);
    let other = project.portcullis.spawn(["run"]);
    until_migrating(&project, 2);
    killed.signal(Signal::SIGKILL);
    release(&project);
    other.wait().exits(0).prints("the server started");
    assert_each_migrated_once(&project);
}

#[test]
fn a_replica_waits_and_inspects_again_when_others_migrate_all_tenants() {
    let project = twelve_tenants("jobs = 12, cooperate = true");
    let first = project.portcullis.spawn(["migrate", "--all"]);
    project.until(true, &format!("{MIGRATING} HAVING count(*) = 12"));
    let second = project.portcullis.spawn(["run"]);
    second.wait_for_line("other replicas are migrating 12 tenants");
    release(&project);
    first.wait().exits(0).prints("12 migrations applied");
    second.wait().exits(0).prints("the server started");
    assert_each_migrated_once(&project);
}

#[test]
fn a_non_cooperating_run_waits_for_cooperating_ones() {
    let project = twelve_tenants("jobs = 2");
    let cooperating: Vec<Running> =
        (0..2).map(|_| project.portcullis.spawn(["migrate", "--all", "--cooperate"])).collect();
    until_migrating(&project, 2);
    let alone = project.portcullis.spawn(["run"]);
    let line = alone.wait_for_line("waiting for the lock");
    assert!(line.contains(", and 1 more"), "{line}");
    release(&project);
    for run in cooperating {
        run.wait().exits(0);
    }
    alone.wait().exits(0).prints("the server started");
    assert_each_migrated_once(&project);
}

#[test]
fn one_cooperating_replica_migrates_the_shared_schema() {
    let project = Project::new("cooperate = true")
        .file("shared/2_count.sql", "CREATE TABLE applied (n int);\nINSERT INTO applied VALUES (1);\n")
        .file("tenant/2_count.sql", "INSERT INTO item VALUES (1);\n");
    let runs = [(); 4].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(0).prints("the server started");
    }
    assert_eq!(project.database.column("SELECT n::text FROM applied"), ["1"]);
    for tenant in ["a", "b", "c"] {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item")), ["1"]);
    }
}

#[test]
fn a_tenant_that_a_replica_is_migrating_outside_of_a_transaction_is_not_broken() {
    let project = Project::complete("cooperate = true").file(
        "tenant/2_meet.sql",
        "-- no-transaction\nDO $$ BEGIN -- until they have met\n\
         WHILE EXISTS (SELECT FROM item) AND NOT EXISTS (SELECT FROM public.met) LOOP PERFORM pg_sleep(0.02); END LOOP; \
         END $$;\n",
    );
    project.database.execute("CREATE TABLE met (n int); INSERT INTO a.item VALUES (1)");
    let first = project.portcullis.spawn(["run"]);
    until_migrating(&project, 1);
    let second = project.portcullis.spawn(["run"]);
    second.wait_for_line("other replicas are migrating 1 tenant");
    release(&project);
    for run in [first, second] {
        run.wait().exits(0).prints("the server started");
    }
    assert_eq!(project.ledger("a"), ["1", "2"]);
}

/// From a line such as `tenant schemas: ok (12 migrations applied to 12 schemas)`.
fn applied(text: &str) -> usize {
    let number = |line: &str| {
        let before = line.split(" migration").next()?.rsplit(' ').next()?;
        before.trim_start_matches('(').parse().ok()
    };
    let summary = |line: &&str| line.contains(" migration applied") || line.contains(" migrations applied");
    text.lines().filter(summary).find_map(number).unwrap_or_default()
}
