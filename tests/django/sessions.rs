//! The database sessions of a project's programs: their time-outs, and what happens when another session holds a lock.

use std::fs;

use super::{
    migrate::{RECORD_SESSION, behind},
    tenants::empty,
};
use crate::support::{django::Project, pooler::Pooler};

/// The settings of the session that ran the migration.
fn recorded(project: &Project, schema: &str) -> Vec<String> {
    project.database.column(&format!(
        "SELECT concat_ws(' ', lock_timeout, statement_timeout, work_mem) FROM {schema}.session"
    ))
}

fn with_recording_migration(project: &Project) {
    fs::write(project.portcullis.path("finance/migrations/0005_session.py"), RECORD_SESSION).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
}

#[test]
fn the_time_outs_reach_the_projects_commands_beside_its_own_options() {
    let mut project = empty();
    project.set("PGOPTIONS", "-c work_mem=7MB");
    project.configure("apply     = {", "apply     = { lock_timeout = \"3s\", statement_timeout = \"1m\",");
    with_recording_migration(&project);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project.portcullis.run(["tenant", "create", "acme"]).exits(0);
    assert_eq!(recorded(&project, "acme"), ["3s 1min 7MB"]);
    // A command that creates tenants has the same sessions.
    project.set("CREATE_DEMO_TENANT", "1");
    project.portcullis.run(["tenant", "bootstrap"]).exits(0);
    assert_eq!(recorded(&project, "demo"), ["3s 1min 7MB"]);
    // The settings' own options would replace libpq's variable, and win for the names that they contain.
    let settings = project.portcullis.path("invoicing/settings.py");
    let text = fs::read_to_string(&settings).unwrap();
    let own = "\nDATABASES[\"default\"][\"OPTIONS\"] = {\"options\": \"-c statement_timeout=90s\"}\n";
    fs::write(&settings, text + own).unwrap();
    project.portcullis.run(["tenant", "create", "beta"]).exits(0);
    assert_eq!(recorded(&project, "beta"), ["3s 90s 7MB"]);
}

#[test]
fn a_pooler_that_refuses_the_time_outs_does_not_stop_the_migrations() {
    let mut project = empty();
    with_recording_migration(&project);
    let direct = project.database.url();
    let pooler = Pooler::before(&project.database, 4);
    let (_, port) = pooler
        .url()
        .rsplit_once('/')
        .unwrap()
        .0
        .rsplit_once(':')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let config = fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    let (head, rest) = config.split_once("[database]").unwrap();
    let (_, rest) = rest.split_once("[tenants]").unwrap();
    let config = format!("{head}[database]\nurl = \"{direct}\"\n\n[tenants]{rest}");
    fs::write(project.portcullis.path("config.toml"), config).unwrap();
    project.set("DB_HOST", "127.0.0.1");
    project.set("DB_PORT", &port);
    let created = project.portcullis.run(["migrate", "--shared"]).exits(0);
    created.prints("a pooler, which refuses lock_timeout and statement_timeout");
}

#[test]
fn a_lock_of_another_session_is_waited_for_again_and_its_holder_is_named() {
    let project = Project::complete();
    behind(&project, &["acme"]);
    project.configure("apply     = {", "apply     = { lock_timeout = \"1s\",");
    let lock =
        "SET application_name = 'nightly export'; LOCK TABLE acme.finance_invoice IN ACCESS SHARE MODE";
    let failed = project.database.while_held(lock, || project.portcullis.run(["migrate", "--all"]));
    let failed = failed
        .exits(1)
        .prints("`acme` waits for a lock of backend")
        .prints("attempt 2 of 3")
        .prints("attempt 3 of 3");
    let text = failed.failure_box();
    assert!(text.contains("application `nightly export`") && text.contains("query started at"), "{failed}");
    // Released after the first attempt, it does not fail the start.
    let migrating = project.database.while_held(lock, || {
        let migrating = project.portcullis.spawn(["migrate", "--all"]);
        migrating.wait_for_line("attempt 2 of 3");
        migrating
    });
    migrating.wait().exits(0);
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_half_applied_migration_is_not_repeated_after_a_lock_time_out() {
    let project = Project::complete();
    project.configure("apply     = {", "apply     = { lock_timeout = \"1s\",");
    let migration = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    atomic = False\n    \
                     dependencies = [(\"finance\", \"0004_invoice_payment\")]\n    operations = [migrations.RunSQL(\"CREATE TABLE half ()\"), \
                     migrations.RunSQL(\"ALTER TABLE public.customers_domain ALTER COLUMN domain SET DEFAULT ''\")]\n";
    fs::write(project.portcullis.path("finance/migrations/0005_half.py"), migration).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let lock = "LOCK TABLE public.customers_domain IN ACCESS SHARE MODE";
    let failed = project.database.while_held(lock, || project.portcullis.run(["migrate"]));
    failed
        .exits(1)
        .prints("finance.0005_half")
        .prints("lock timeout")
        .prints_not("attempt 2")
        .prints_not("already exists");
}

const CONCURRENT: &str = r#"
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("finance", "0004_invoice_payment")]
    operations = [AddIndexConcurrently("invoice", models.Index(fields=["status"], name="invoice_status"))]
"#;

#[test]
fn a_concurrent_index_waits_longer_than_the_lock_time_out() {
    let project = Project::complete();
    project.configure("apply     = {", "apply     = { lock_timeout = \"1s\",");
    fs::write(project.portcullis.path("finance/migrations/0005_index.py"), CONCURRENT).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    let migrating = project.database.while_held(snapshot, || {
        let migrating = project.portcullis.spawn(["migrate", "--all"]);
        let waits = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                     AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND now() - query_start > interval '2 s'";
        project.database.until(true, waits);
        migrating
    });
    migrating.wait().exits(0);
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_command_of_the_project_is_repeated_after_a_lock_time_out() {
    let project = Project::complete();
    behind(&project, &["acme"]);
    let run = r#"run = ["python", "manage.py", "migrate_schemas", "--schema={schema}"]"#;
    project.configure("apply     = {", &format!("apply     = {{ lock_timeout = \"1s\", {run},"));
    let lock =
        "SET application_name = 'nightly export'; LOCK TABLE acme.finance_invoice IN ACCESS SHARE MODE";
    let failed = project.database.while_held(lock, || project.portcullis.run(["migrate", "--all"]));
    let failed = failed.exits(1).prints("attempt 2 of 3").prints("attempt 3 of 3");
    let text = failed.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("application `nightly export`"), "{failed}");
    let migrating = project.database.while_held(lock, || {
        let migrating = project.portcullis.spawn(["migrate", "--all"]);
        migrating.wait_for_line("attempt 2 of 3");
        migrating
    });
    migrating.wait().exits(0);
    project.portcullis.run(["verify"]).exits(0);
    // Another failure is final.
    let invalid = "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    \
                   dependencies = [(\"finance\", \"0004_invoice_payment\")]\n    operations = [migrations.RunSQL(\"SELECT 1 / 0\")]\n";
    fs::write(project.portcullis.path("finance/migrations/0005_invalid.py"), invalid).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    project
        .portcullis
        .run(["migrate", "--tenant", "acme"])
        .exits(1)
        .prints("division by zero")
        .prints_not("attempt");
}
