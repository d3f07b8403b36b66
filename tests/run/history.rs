//! The history of runs: `portcullis history`, and the steps that run once per release.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{lock::until_migrating, on_both_engines};
use crate::support::{
    portcullis::Portcullis,
    project::{Project, sh},
    sample::{Engine, Sample},
    server::Server,
};

on_both_engines! {
    a_run_with_changes_is_in_the_history
    a_start_with_nothing_to_do_leaves_no_trace
}

fn a_run_with_changes_is_in_the_history(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let text = sample.portcullis.run(["history"]).exits(0).stdout;
    for words in ["ok\n", "created", "acme", "demo tenants", "release ", "version "] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let runs = history(&sample);
    assert_eq!(runs.len(), 1);
    assert_eq!((&runs[0]["outcome"], &runs[0]["exit_code"]), (&"ok".into(), &0.into()));
    assert!(runs[0]["ended"].as_str().unwrap() >= runs[0]["started"].as_str().unwrap());
    let changed: Vec<_> = runs[0]["changes"].as_array().unwrap().iter().map(|c| &c["tenant"]).collect();
    assert_eq!(changed, [&Value::Null, &"demo".into(), &"acme".into(), &"globex".into()]);
    assert_eq!(runs[0]["steps"].as_array().unwrap().len(), 7, "{runs:#?}");
}

fn a_start_with_nothing_to_do_leaves_no_trace(engine: Engine) {
    let sample = Sample::complete_on(engine);
    let before = history(&sample);
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    sample.portcullis.run(["verify"]).exits(0);
    sample.portcullis.run(["migrate"]).exits(0);
    assert_eq!(history(&sample), before);
}

#[test]
fn a_failed_run_is_in_the_history_with_its_exit_code() {
    let project = Project::complete("")
        .file("tenant/2_positive.sql", "ALTER TABLE item ADD CONSTRAINT positive CHECK (n > 0);\n");
    project.database.execute("INSERT INTO b.item VALUES (-1)");
    project.start().exits(1);
    project.portcullis.run(["history", "--limit", "1"]).exits(0).prints("migration-failed, exit 1");
}

#[test]
fn a_run_without_writes_is_recorded_as_unchanged() {
    let project = Project::new("");
    project.portcullis.run(["history"]).exits(0).prints("no run has made a change yet");
    assert!(!project.exists("portcullis"));
}

#[test]
fn a_complete_database_gets_no_metadata_schema() {
    let project = Project::complete("");
    project.database.execute("DROP SCHEMA portcullis CASCADE");
    project.start().exits(0);
    assert!(!project.exists("portcullis"));
}

#[test]
fn an_unwritable_history_record_is_a_warning() {
    let project = Project::new("");
    project.database.execute("CREATE SCHEMA portcullis; CREATE VIEW portcullis.run AS SELECT 1 AS nothing");
    project.start().exits(0).prints("warning: this run is not recorded").prints("the server started");
}

#[test]
fn three_concurrent_first_starts_record_each_change_once() {
    let project = Project::new("");
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(0).prints_not("not recorded");
    }
    let changed = project.database.column("SELECT coalesce(tenant, '-') FROM portcullis.change ORDER BY 1");
    assert_eq!(changed, ["-", "a", "b", "c"]);
}

#[test]
fn a_waiting_run_reports_the_progress_of_the_lock_holder() {
    let project = Project::complete("jobs = 1").file(
        "tenant/2_slow.sql",
        "DO $$ BEGIN -- wait for release\n\
         WHILE EXISTS (SELECT FROM item) AND NOT EXISTS (SELECT FROM public.released) LOOP PERFORM pg_sleep(0.02); END LOOP;\n\
         END $$;\n",
    );
    project.database.execute("CREATE TABLE public.released (n int); INSERT INTO c.item VALUES (1)");
    let holder = project.portcullis.spawn(["run"]);
    until_migrating(&project);
    project.until(true, "SELECT 'yes' FROM portcullis.run WHERE done = 2");
    project
        .portcullis
        .run(["history"])
        .exits(0)
        .prints("running or killed: step `tenant schemas`, 2 of 3 tenants");
    let waiter = project.portcullis.spawn(["run"]);
    let line = waiter.wait_for_line("waiting for the lock");
    assert!(line.contains("in `tenant schemas`: 2 of 3 tenants"), "{line}");
    project.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
    waiter.wait().exits(0).prints("the server started");
}

#[test]
fn a_once_per_release_step_does_not_run_at_the_next_start() {
    let project = once();
    project.start().exits(0);
    project.start().exits(0).prints("done for this release by run ");
    assert_eq!(project.database.column("SELECT n::text FROM public.seeded"), ["1"]);
    assert_eq!(std::fs::read_to_string(project.portcullis.path("seeded")).unwrap(), "x\n");
    project.portcullis.run(["plan"]).exits(0).prints("once per release");
}

#[test]
fn two_replicas_run_a_once_per_release_step_once() {
    let project = once();
    let runs = [(); 3].map(|()| project.portcullis.spawn(["run"]));
    for run in runs {
        run.wait().exits(0).prints("the server started");
    }
    assert_eq!(project.database.column("SELECT n::text FROM public.seeded"), ["1"]);
    assert_eq!(std::fs::read_to_string(project.portcullis.path("seeded")).unwrap(), "x\n");
}

#[test]
fn another_release_or_a_changed_step_runs_it_again() {
    let project = once();
    project.start().exits(0);
    let project = project.file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    project.start().exits(0);
    assert_eq!(project.database.column("SELECT count(*)::text FROM public.seeded"), ["2"]);
    let project = project.replace("VALUES (1)\"", "VALUES (3)\"");
    project.start().exits(0);
    assert_eq!(project.database.column("SELECT max(n)::text FROM public.seeded"), ["3"]);
}

#[test]
fn a_killed_once_per_release_step_runs_again() {
    let project = Project::complete("").step(&sh(
        "seed",
        "",
        "test -e released || { touch here; echo it is here; sleep 60; }; echo x >> seeded",
    ));
    let project =
        project.replace("echo x >> seeded''']", "echo x >> seeded''']\ncommand.once_per_release = true");
    let running = project.portcullis.spawn(["run"]);
    running.wait_for_line("it is here");
    running.signal(Signal::SIGKILL);
    let project = project.file("released", "");
    project.start().exits(0);
    assert_eq!(std::fs::read_to_string(project.portcullis.path("seeded")).unwrap(), "x\n");
}

#[test]
fn a_failed_once_per_release_step_runs_again() {
    let project = Project::complete("").step(
        "[[step]]\nname = \"seed\"\nsql = { run = \"INSERT INTO public.seeded VALUES (1)\", once_per_release = true }\n",
    );
    project.start().exits(79);
    project.database.execute("CREATE TABLE public.seeded (n int)");
    project.start().exits(0);
    assert_eq!(project.database.column("SELECT n::text FROM public.seeded"), ["1"]);
}

#[test]
fn a_once_per_release_step_that_cannot_be_recorded_does_not_run() {
    let project = once();
    project.database.execute("CREATE SCHEMA portcullis; CREATE VIEW portcullis.run AS SELECT 1 AS nothing");
    project.start().exits(74).prints_not("the server started");
    assert!(project.database.column("SELECT n::text FROM public.seeded").is_empty());
}

/// A project with two once-per-release steps: SQL and a command.
fn once() -> Project {
    let project = Project::new("")
        .step("[[step]]\nname = \"seed\"\nsql = { run = \"INSERT INTO public.seeded VALUES (1)\", once_per_release = true }\n")
        .step("[[step]]\nname = \"file\"\ncommand = { run = [\"sh\", \"-c\", \"sleep 0.3; echo x >> seeded\"], once_per_release = true }\n");
    project.database.execute("CREATE TABLE public.seeded (n int)");
    project
}

fn history(sample: &Sample) -> Vec<Value> {
    let text = sample.portcullis.run(["history", "--format", "json"]).exits(0).stdout;
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_server_that_commits_asynchronously_loses_nothing_that_a_run_has_recorded() {
    let mut server = Server::start("synchronous_commit = off\nwal_writer_delay = 10s");
    let config = "[database]\nurl = \"${DATABASE_URL}\"\n\
        [tenants]\nregistry = { table = \"tenants\", schema_column = \"name\" }\n\
        [migrations]\nshared = \"shared\"\ntenant = \"tenant\"\nmanifest = { auto = true }\n\
        [server]\ncommand = [\"echo\", \"the server started\"]\n\
        [[step]]\nname = \"shared schema\"\nmigrate.shared = {}\n\
        [[step]]\nname = \"demo tenant\"\nbootstrap = { tenants = [\"demo\"] }\n\
        [[step]]\nname = \"gate\"\nverify = { tenants = \"all\" }\n";
    let portcullis = Portcullis::new()
        .env("DATABASE_URL", &server.url("postgres"))
        .config(config)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
        .file("tenant/1_item.sql", "CREATE TABLE item (n bigint);\n");
    portcullis.run(["run"]).exits(0).prints("the server started");
    server.signal(Signal::SIGQUIT);
    server.restart();
    portcullis.run(["verify"]).exits(0).prints("1 tenant");
    assert_eq!(server.column("postgres", "SELECT name FROM tenants"), ["demo"]);
}
