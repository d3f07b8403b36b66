//! Tenants that the project's command creates: the run completes them or rolls them back.

mod kills;

use std::fs;

use nix::sys::signal::Signal;

use super::tenants::{FAILS, SLOW, clients, empty, journal, schemas, with_migration};
use crate::support::{django::Project, time_limits::until_true};

/// Creates tenants without the newest migration, which the run then applies.
const BARE: &str = r#"
import os, pathlib, sys

os.environ["DJANGO_SETTINGS_MODULE"] = "invoicing.settings"
newest = pathlib.Path("finance/migrations/0005_own.py")
hidden = newest.with_suffix(".hidden")
if newest.exists():
    newest.rename(hidden)
import django

django.setup()
from customers.models import Client


def make(names):
    for name in names:
        Client(schema_name=name, name=name).save(verbosity=0)
    if hidden.exists():
        hidden.rename(newest)


if __name__ == "__main__":
    make(sys.argv[1:])
"#;

/// Creates the tenant only after it has received TERM.
const CREATE_AFTER_TERM: &str = r#"
import pathlib, signal, sys, time

import bare


def late(*_):
    time.sleep(1)
    bare.make(["demo"])
    sys.exit(0)


signal.signal(signal.SIGTERM, late)
pathlib.Path("ready").touch()
while True:
    time.sleep(1)
"#;

/// A step that fails while the demo tenant is being migrated.
const PARALLEL_STEP: &str = r#"
[[step]]
name = "demo tenants"
bootstrap = { tenants = ["demo"], run = ["python", "bare.py", "demo"] }
[[step]]
name = "parallel"
after = "start"
command = { run = ["sh", "-c", "while [ ! -e fail ]; do sleep 0.1; done; exit 3"] }
[[step]]
name = "sleeps after the signal"
after = "start"
command = { run = ["sh", "-c", "trap '' TERM; sleep 45"], grace = "6s" }
"#;

const STEP: &str =
    r#"bootstrap = { tenants = ["demo"], run = ["python", "manage.py", "bootstrap_demo_tenants", "demo"] }"#;

/// The project with a bootstrap command.
pub(super) fn with_command(tenants: &str, run: &str) -> Project {
    let mut project = empty();
    project.set("CREATE_DEMO_TENANT", "1");
    fs::write(project.portcullis.path("bare.py"), BARE).unwrap();
    fs::write(project.portcullis.path("late.py"), CREATE_AFTER_TERM).unwrap();
    project.configure(STEP, &format!("bootstrap = {{ tenants = {tenants}, run = {run} }}"));
    // The time limit of a rollback after a signal.
    project.configure("[server]\n", "[server]\ngrace = \"60s\"\n");
    project
}

#[track_caller]
fn assert_nothing_left(project: &Project) {
    let none = Vec::<String>::new();
    assert_eq!((schemas(project), clients(project), journal(project)), (none.clone(), none.clone(), none));
}

#[test]
fn the_run_migrates_and_verifies_the_tenants_that_the_command_creates() {
    let project = with_command(r#"["a", "b"]"#, r#"["python", "bare.py", "a", "b"]"#);
    with_migration(&project, "SELECT 1");
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("2 created");
    assert!(journal(&project).is_empty());
    project.portcullis.run(["verify"]).exits(0).prints("2 tenants complete");
}

#[test]
fn an_existing_row_outside_the_condition_is_not_removed() {
    let project = with_command(r#"["demo"]"#, r#"["python", "-c", "raise SystemExit(3)"]"#);
    project.configure("where = \"schema_name <> 'public'\"", "where = \"name <> 'pending'\"");
    let row = "import bare; client = bare.Client(schema_name='demo', name='pending'); \
               client.auto_create_schema = False; client.save()";
    project.python(&["-c", row]).exits(0);
    let refused = project.portcullis.run(["tenant", "bootstrap"]).exits(73);
    refused.prints("in a row that `where` excludes").prints("cannot prove that this run");
    assert_eq!(clients(&project), ["demo"]);
}

#[test]
fn a_failure_removes_the_tenants_that_are_not_complete() {
    let project = with_command(r#"["a", "b"]"#, r#"["python", "bare.py", "a", "b"]"#);
    with_migration(&project, FAILS);
    project
        .portcullis
        .run(["tenant", "bootstrap", "--stop"])
        .exits(73)
        .prints("`b` was being created: rolled back");
    assert_nothing_left(&project);
    project.portcullis.run(["tenant", "bootstrap"]).exits(73).prints("2 failed");
    assert_nothing_left(&project);
}

#[test]
fn a_signal_during_the_migrations_rolls_every_tenant_back() {
    let project = with_command(r#"["a", "b"]"#, r#"["python", "bare.py", "a", "b"]"#);
    with_migration(&project, SLOW);
    let running = project.portcullis.spawn(["tenant", "bootstrap"]);
    project.database.until_sleeping();
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("`a`, `b` was being created: rolled back");
    assert_nothing_left(&project);
}

#[test]
fn a_signal_during_a_removal_also_rolls_the_other_tenants_back() {
    let project = with_command(r#"["a", "b"]"#, r#"["python", "bare.py", "a", "b"]"#);
    with_migration(
        &project,
        "DO $$ BEGIN IF current_schema() = 'a' THEN WHILE NOT EXISTS (SELECT FROM public.customers_client WHERE name = 'go') LOOP PERFORM pg_sleep(0.1); END LOOP; \
         RAISE EXCEPTION 'not today'; END IF; END $$",
    );
    let running = project.portcullis.spawn(["tenant", "bootstrap"]);
    project.database.until_sleeping();
    let removing = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() \
                    AND wait_event_type = 'Lock' AND query LIKE '%DROP SCHEMA%'";
    project.database.while_held("LOCK TABLE a.django_content_type IN ACCESS SHARE MODE", || {
        project.database.execute("UPDATE customers_client SET name = 'go' WHERE schema_name = 'b'");
        project.database.until(true, removing);
        running.signal(Signal::SIGTERM);
    });
    running.wait().exits(143).prints("`a`, `b` was being created: rolled back");
    assert_nothing_left(&project);
}

#[test]
fn the_rollback_waits_for_a_command_that_continues_after_the_signal() {
    let project = with_command(r#"["demo"]"#, r#"["python", "late.py"]"#);
    let running = project.portcullis.spawn(["tenant", "bootstrap"]);
    until_true("the command to be ready", || project.portcullis.path("ready").exists());
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("rolled back");
    assert_nothing_left(&project);
}

#[test]
fn a_failing_parallel_step_rolls_the_bootstrap_back_under_the_lock() {
    let project = with_command(r#"["demo"]"#, r#"["python", "bare.py", "demo"]"#);
    with_migration(&project, SLOW);
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let (head, _) = config.split_once("[[step]]").unwrap();
    fs::write(project.portcullis.path("config.toml"), head.to_owned() + PARALLEL_STEP).unwrap();
    project.portcullis.run(["check"]).exits(0);
    let running = project.portcullis.spawn(["run", "--no-server"]);
    project.database.until_sleeping();
    // The next lock holder finds no journal entry.
    let next = project.portcullis.spawn(["tenant", "delete", "nobody", "--yes"]);
    next.wait_for_line("waiting for the lock");
    fs::write(project.portcullis.path("fail"), "").unwrap();
    running.wait().exits(79).prints("`demo` was being created: rolled back");
    next.wait().exits(73).prints_not("was not changed").prints("no registry row and no schema");
    assert_nothing_left(&project);
}

#[test]
fn the_journal_entry_of_a_run_killed_after_its_commit_is_deleted_without_harm() {
    let project = with_command(r#"["demo"]"#, r#"["python", "manage.py", "bootstrap_demo_tenants", "demo"]"#);
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("1 created");
    let note = "INSERT INTO portcullis.journal (nonce, run, registry, tenant, kind) \
                VALUES ('1', 'dead', 'public.customers_client', 'demo', 'created')";
    project.database.execute(note);
    // A release that was rolled back later: complete, with a warning.
    project.database.execute(
        "INSERT INTO demo.django_migrations (app, name, applied) VALUES ('finance', '0099_newer', now())",
    );
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("1 kept");
    project.portcullis.run(["tenant", "create", "acme"]).exits(0).prints_not("was not changed");
    assert!(journal(&project).is_empty());
}

#[test]
fn a_half_created_tenant_of_a_killed_command_stops_the_start() {
    let project = with_command(r#"["demo"]"#, r#"["python", "manage.py", "bootstrap_demo_tenants", "demo"]"#);
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("1 created");
    project.database.execute(
        "INSERT INTO portcullis.journal (nonce, run, registry, tenant, kind) \
         VALUES ('1', 'dead', 'public.customers_client', 'demo', 'command'); \
         DELETE FROM demo.django_migrations WHERE name = '0004_invoice_payment'; \
         ALTER TABLE demo.finance_invoice DROP COLUMN total, DROP COLUMN paid_on",
    );
    // A migrated tenant would look complete although the command did not finish.
    project.portcullis.run(["migrate", "--all"]).exits(73).prints("`demo`").prints("nothing proves");
    project.portcullis.run(["tenant", "bootstrap"]).exits(73);
    assert!(!journal(&project).is_empty());
}

/// Creates the tenant completely; then the seeding fails, or lasts.
pub(super) const SEEDING: &str = r#"
import sys

import bare

bare.make(["demo"])
if sys.argv[1] == "fail":
    from django.db import connection

    connection.cursor().execute("CREATE TABLE public.seeded ()")
    bare.Client.objects.filter(schema_name="demo").update(name="seeded in part")
    sys.exit("the seeding failed")
from django.db import connection

connection.cursor().execute("SELECT pg_sleep(40)")
"#;

#[test]
fn a_failed_seeding_removes_the_tenant_unless_the_step_keeps_complete_ones() {
    let project = with_command(r#"["demo"]"#, r#"["python", "seeding.py", "fail"]"#);
    fs::write(project.portcullis.path("seeding.py"), SEEDING).unwrap();
    let removed = project.portcullis.run(["tenant", "bootstrap"]).exits(73);
    removed
        .prints("the seeding failed")
        .prints("rolled back, except for what the command wrote outside of new tenants")
        .prints("what the command wrote to other schemas or tables remains");
    assert_nothing_left(&project);
    project.database.execute("DROP TABLE public.seeded");
    project.configure("bootstrap = { ", "bootstrap = { keep = \"complete\", ");
    let kept = project.portcullis.run(["tenant", "bootstrap"]).exits(0);
    kept.prints("the gate finds demo complete").prints("1 created");
    assert!(journal(&project).is_empty());
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("1 kept");
    // An incomplete tenant is removed in spite of the key.
    project.portcullis.run(["tenant", "delete", "demo", "--yes"]).exits(0);
    with_migration(&project, "SELECT 1");
    project.portcullis.run(["tenant", "bootstrap"]).exits(73).prints("rolled back");
    assert_nothing_left(&project);
}

#[test]
fn a_killed_seeding_leaves_a_tenant_that_only_the_key_keeps() {
    let project = with_command(r#"["demo"]"#, r#"["python", "seeding.py", "sleep"]"#);
    fs::write(project.portcullis.path("seeding.py"), SEEDING).unwrap();
    let running = project.portcullis.spawn(["tenant", "bootstrap"]);
    project.database.until_sleeping();
    // Another container does not serve the tenant while the command runs.
    let waiting = project.portcullis.spawn(["verify", "demo"]);
    waiting.wait_for_line("in progress");
    running.signal(Signal::SIGKILL);
    running.wait();
    waiting.wait().exits(1).prints("half created").prints("portcullis tenant delete demo");
    assert_eq!(journal(&project), ["demo command"]);
    project.portcullis.run(["migrate", "--all"]).exits(73).prints("`demo`");
    project.portcullis.run(["verify", "demo"]).exits(1).prints("half created");
    project.configure("bootstrap = { ", "bootstrap = { keep = \"complete\", ");
    project.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("1 kept");
    assert!(journal(&project).is_empty());
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn what_a_failed_creation_wrote_to_other_schemas_is_named_in_every_way_to_create_a_tenant() {
    let mut project = empty();
    project.set("CREATE_DEMO_TENANT", "1");
    let values = r#"values = { name = "x" }, domain = { domain = "{schema}.localhost" }"#;
    project.configure(STEP, &format!(r#"bootstrap = {{ tenants = ["demo"], {values} }}"#));
    project.database.execute("CREATE TABLE public.written (by name)");
    with_migration(&project, "INSERT INTO public.written VALUES (current_schema())");
    // The first migration is committed when this one fails.
    let then = |sql: &str| {
        let text = format!(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
             dependencies = [(\"finance\", \"0005_own\")]\n    operations = [migrations.RunSQL({sql:?})]\n"
        );
        fs::write(project.portcullis.path("finance/migrations/0006_next.py"), text).unwrap();
        project.portcullis.run(["manifest", "django"]).exits(0);
    };
    let written =
        || project.database.column("SELECT by::text FROM public.written WHERE by <> 'public' ORDER BY 1");
    then(FAILS);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let remains = "rolled back, except for what the command wrote outside of new tenants";
    let failed = project.portcullis.run(["tenant", "create", "acme", "--json"]).exits(73);
    let result: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!(result["failure"]["left"], "elsewhere", "{failed}");
    assert!(result["failure"]["message"].as_str().unwrap().contains(remains), "{failed}");
    project.portcullis.run(["tenant", "bootstrap"]).exits(73).prints(remains);
    then(SLOW);
    let running = project.portcullis.spawn(["tenant", "create", "bolt"]);
    project.database.until_sleeping();
    running.signal(Signal::SIGTERM);
    running
        .wait()
        .exits(143)
        .prints("rolled back; what the command wrote to other schemas or tables remains");
    assert_eq!(written(), ["acme", "bolt", "demo"]);
    assert_nothing_left(&project);
}

/// Creates the tenant completely, and then needs a table that another session may use.
const LOCKED: &str = r#"
import bare

bare.make(["demo"])
from django.db import connection, transaction

with transaction.atomic():
    connection.cursor().execute("LOCK TABLE public.customers_domain IN ACCESS EXCLUSIVE MODE")
"#;

#[test]
fn a_command_that_waited_for_a_lock_runs_again_after_its_tenants_were_removed() {
    let project = with_command(r#"["demo"]"#, r#"["python", "locked.py"]"#);
    project.configure("apply     = {", "apply     = { lock_timeout = \"1s\",");
    fs::write(project.portcullis.path("locked.py"), LOCKED).unwrap();
    let lock =
        "SET application_name = 'nightly export'; LOCK TABLE public.customers_domain IN ACCESS SHARE MODE";
    let failed = project.database.while_held(lock, || project.portcullis.run(["tenant", "bootstrap"]));
    let failed = failed.exits(73).prints("were rolled back; attempt 2 of 3").prints("attempt 3 of 3");
    let text = failed.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("application `nightly export`"), "{failed}");
    assert_nothing_left(&project);
    let bootstrap = project.database.while_held(lock, || {
        let bootstrap = project.portcullis.spawn(["tenant", "bootstrap"]);
        bootstrap.wait_for_line("attempt 2 of 3");
        bootstrap
    });
    bootstrap.wait().exits(0).prints("1 created");
    assert!(journal(&project).is_empty());
    project.portcullis.run(["verify"]).exits(0);
}
