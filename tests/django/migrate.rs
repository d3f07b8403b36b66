//! `migrate` with the project's command: only tenants with pending migrations, each with its own output.

use serde_json::Value;
use sha2::Digest as _;

use crate::support::{django::Project, time_limits::until_true};

const BEHIND: &str = "DELETE FROM {}.django_migrations WHERE name = '0004_invoice_payment'; \
    ALTER TABLE {}.finance_invoice DROP COLUMN total, DROP COLUMN paid_on;";

pub(super) fn behind(project: &Project, names: &[&str]) {
    project.copies(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    for name in names {
        project.database.execute(&BEHIND.replace("{}", name));
    }
}

#[test]
fn pending_tenants_are_migrated_and_a_failing_one_is_shown_with_its_output() {
    let project = Project::complete();
    behind(&project, &["acme", "bad", "corp"]);
    project.database.execute("ALTER TABLE bad.finance_invoice ADD COLUMN total int");
    project.configure("apply     = {", "apply     = { on_tenant_failure = \"continue\",");

    let outcome = project.portcullis.run(["migrate", "--all"]).exits(1);
    let text = outcome.failure_box();
    for word in [
        "bad",
        "finance.0004_invoice_payment",
        "already exists",
        "ProgrammingError",
        "2 of 3 schemas migrated",
    ] {
        assert!(text.contains(word) || outcome.stderr.contains(word), "{word}: {outcome}");
    }
    project.portcullis.run(["verify"]).exits(1).prints("1 of 5 schemas incomplete").prints("bad");

    project.database.execute("ALTER TABLE bad.finance_invoice DROP COLUMN total");
    project.portcullis.run(["migrate"]).exits(0).prints("1 migration applied");
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn the_first_of_several_parallel_failures_reports_the_right_number_of_migrated_tenants() {
    let project = Project::complete();
    behind(&project, &["acme", "bad", "corp", "dune"]);
    project.database.execute("ALTER TABLE bad.finance_invoice ADD COLUMN total int");
    let outcome = project.portcullis.run(["migrate", "--all"]).exits(1);
    let migrated = project.database.column(
        "SELECT table_schema::text FROM information_schema.columns WHERE table_name = 'finance_invoice' \
         AND column_name = 'paid_on' AND table_schema IN ('acme', 'bad', 'corp', 'dune') ORDER BY 1",
    );
    let outcome = outcome.prints(&format!("{} of 4 schemas migrated", migrated.len()));
    for name in ["acme", "corp", "dune"].iter().filter(|name| !migrated.iter().any(|other| other == *name)) {
        assert!(
            outcome.stderr.contains("not started: ") && outcome.stderr.contains(name),
            "{name}: {outcome}"
        );
    }
    let recorded = project
        .database
        .column("SELECT DISTINCT tenant FROM portcullis.change WHERE what LIKE '%0004_invoice%' AND tenant IS NOT NULL ORDER BY 1");
    assert_eq!(recorded, migrated);
}

#[test]
fn the_configured_command_gets_each_schema_as_one_argument() {
    let project = Project::complete();
    behind(&project, &["acme"]);
    let run = "run = [\"python\", \"manage.py\", \"migrate_schemas\", \"--schema={schema}\"],";
    project.configure("apply     = {", &format!("apply = {{ {run}"));
    project.portcullis.run(["migrate"]).exits(0).prints("1 migration applied");
    project.portcullis.run(["verify"]).exits(0);
}

/// Waits until another command runs in parallel, and records how many run.
const PARALLEL: &str = r#"
set -e
mkdir "started/$1" "running/$1"
ls "running" | wc -l >> counts
until [ "$(ls started | wc -l)" -ge 2 ]; do sleep 0.05; done
python manage.py migrate_schemas --tenant --schema="$1"
rmdir "running/$1"
"#;

#[test]
fn the_configured_number_of_commands_runs_in_parallel_and_no_name_is_split() {
    let project = Project::complete();
    behind(&project, &["acme", "bolt", "corp", "odd"]);
    let odd = "Odd $(touch pwned) & `more` *";
    project.database.execute(&format!(
        "ALTER SCHEMA odd RENAME TO \"{odd}\"; UPDATE customers_client SET schema_name = '{odd}' WHERE schema_name = 'odd'"
    ));
    for folder in ["started", "running"] {
        std::fs::create_dir(project.portcullis.path(folder)).unwrap();
    }
    std::fs::write(project.portcullis.path("together.sh"), PARALLEL).unwrap();
    project.configure("jobs = 4", "jobs = 2, run = [\"sh\", \"together.sh\", \"{schema}\"]");
    project.portcullis.run(["migrate"]).exits(0).prints("4 migrations applied to 4 schemas");
    let counts = std::fs::read_to_string(project.portcullis.path("counts")).unwrap();
    assert_eq!(counts.split_whitespace().max(), Some("2"), "{counts}");
    assert!(
        project.portcullis.path(&format!("started/{odd}")).exists()
            && !project.portcullis.path("pwned").exists()
    );
    project.portcullis.run(["verify"]).exits(0);

    // The same with one Python for many tenants, and with a command in the box.
    project.database.execute(&BEHIND.replace("{}", &format!("\"{odd}\"")));
    project.configure(", run = [\"sh\", \"together.sh\", \"{schema}\"]", "");
    project.portcullis.run(["migrate"]).exits(0).prints("1 migration applied");
    project.database.execute(&format!("DROP TABLE \"{odd}\".finance_invoice"));
    let typed = format!("portcullis repair '{odd}' --replay finance");
    project.portcullis.run(["verify"]).exits(1).prints(&typed);
    project.portcullis.run(["repair", odd, "--replay", "finance"]).exits(0);
}

#[test]
fn a_ledger_with_unknown_migrations_is_never_migrated() {
    let project = Project::complete();
    behind(&project, &["acme"]);
    project.database.execute(
        "INSERT INTO acme.django_migrations (app, name, applied) VALUES ('finance', '0004_other', now())",
    );
    project.portcullis.run(["migrate"]).exits(1).prints("diverged").prints("0004_other");
    let rows = project
        .database
        .column("SELECT name::text FROM acme.django_migrations WHERE name = '0004_invoice_payment'");
    assert!(rows.is_empty());
}

#[test]
fn every_line_names_its_tenant_and_each_failure_shows_its_own_lines() {
    let project = Project::complete();
    behind(&project, &["acme", "bad", "worse"]);
    project.database.execute(
        "ALTER TABLE bad.finance_invoice ADD COLUMN total int; ALTER TABLE worse.finance_invoice ADD COLUMN paid_on int",
    );
    project.configure("apply     = {", "apply     = { on_tenant_failure = \"continue\",");
    let outcome = project.portcullis.run(["--log-format", "json", "run"]).exits(1);
    let lines: Vec<Value> =
        outcome.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |tenant: &str| {
        let its = |line: &&Value| line["event"] == "output" && line["tenant"] == tenant;
        let printed: Vec<&str> =
            lines.iter().filter(its).map(|line| line["line"].as_str().unwrap()).collect();
        printed.join("\n")
    };
    assert!(of("acme").contains("Applying finance.0004_invoice_payment... OK"), "{outcome}");
    assert!(of("bad").contains("column \"total\"") && !of("bad").contains("paid_on"), "{outcome}");
    assert!(of("worse").contains("column \"paid_on\""), "{outcome}");
    let output = lines.iter().find(|line| line["event"] == "output").unwrap();
    assert_eq!((&output["step"], &output["stream"]), (&"tenant schemas".into(), &"stdout".into()));
    let history = project.portcullis.run(["history", "--limit", "1", "--format", "json"]).exits(0).stdout;
    let history: Value = serde_json::from_str(&history).unwrap();
    let changed: Vec<_> = history[0]["changes"].as_array().unwrap().iter().map(|c| &c["tenant"]).collect();
    assert_eq!((&history[0]["exit_code"], changed), (&1.into(), vec![&"acme".into()]), "{history}");

    let again = project.portcullis.run(["migrate"]).exits(1);
    let text = again.failure_box();
    for line in ["bad: ", "worse: "] {
        assert!(
            text.lines().any(|printed| printed.contains("   | ") && printed.contains(line)),
            "{line}: {again}"
        );
    }
}

pub(super) const RECORD_SESSION: &str = r#"
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("finance", "0004_invoice_payment")]
    operations = [
        migrations.RunSQL(
            "CREATE TABLE session AS SELECT current_setting('application_name') AS name, current_setting('lock_timeout') "
            "AS lock_timeout, current_setting('statement_timeout') AS statement_timeout, current_setting('work_mem') AS work_mem"
        ),
    ]
"#;

#[test]
fn project_commands_bypass_the_pooler_and_carry_the_run_identifier() {
    let mut project = Project::complete();
    let host = "host     = \"${DB_HOST:-localhost}\"";
    project.configure(host, "host     = \"127.0.0.1\"");
    project.configure("apply     = {", "apply     = { env = { DB_HOST = \"127.0.0.1\" },");
    std::fs::write(project.portcullis.path("finance/migrations/0005_session.py"), RECORD_SESSION).unwrap();
    // The address in the settings without `apply.env` is unreachable.
    project.set("DB_HOST", "192.0.2.1");
    project.portcullis.run(["manifest", "django"]).exits(0);
    project.portcullis.run(["migrate"]).exits(0);
    let names = project.database.column("SELECT name FROM demo.session");
    assert!(names[0].starts_with("portcullis:"), "{names:?}");
    project.portcullis.run(["verify"]).exits(0);
}

#[test]
fn cooperating_replicas_never_migrate_the_same_tenant() {
    let project = Project::complete();
    behind(&project, &["acme", "corp", "held"]);
    let digest = sha2::Sha256::digest("portcullis schema held");
    let key = digest.iter().take(8).fold(0_i64, |key, byte| (key << 8) | i64::from(*byte));
    // As if another replica held it.
    let hold = format!("SELECT pg_advisory_lock({key})::text, pg_sleep(3600)");
    let mut psql = std::process::Command::new("psql");
    psql.args(["-qX", &project.database.url(), "-c", &hold]);
    let other = crate::support::process::Running::start(psql, false);
    let granted = "SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND granted \
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    project.database.until(true, granted);
    let runs = [(); 2].map(|()| project.portcullis.spawn(["migrate", "--all", "--cooperate"]));
    for run in &runs {
        run.wait_for_line("other replicas are migrating");
    }
    let applied = |tenant: &str| {
        project.database.column(&format!(
            "SELECT count(*)::text FROM {tenant}.django_migrations WHERE name = '0004_invoice_payment'"
        ))
    };
    // Either of the two can have them.
    until_true("both to be applied", || [applied("acme"), applied("corp")] == [["1"], ["1"]]);
    assert_eq!(applied("held"), ["0"]);
    drop(other);
    let end = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    project.database.column(end);
    for run in runs {
        run.wait().exits(0);
    }
    assert_eq!(applied("held"), ["1"]);
    project.portcullis.run(["verify"]).exits(0);
}

const HALF: &str = r#"
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("finance", "0004_invoice_payment")]
    operations = [migrations.RunSQL("CREATE TABLE half ()"), migrations.RunSQL("SELECT 1 / 0")]
"#;

#[test]
fn a_failing_migration_that_committed_is_not_reported_as_rolled_back() {
    let project = Project::complete();
    std::fs::write(project.portcullis.path("finance/migrations/0005_half.py"), HALF).unwrap();
    project.portcullis.run(["manifest", "django"]).exits(0);
    let failed = project.portcullis.run(["migrate"]).exits(1);
    let text = failed.failure_box();
    assert!(text.contains("finance.0005_half") && text.contains("could not be rolled back"), "{failed}");
    assert_eq!(
        project.database.column("SELECT count(*)::text FROM pg_tables WHERE tablename = 'half'"),
        ["1"]
    );
}

#[test]
fn a_failing_canary_stops_all_other_tenants() {
    let project = Project::complete();
    behind(&project, &["acme", "corp"]);
    project.database.execute(&BEHIND.replace("{}", "demo"));
    project.database.execute("ALTER TABLE demo.finance_invoice ADD COLUMN total int");
    project.portcullis.run(["migrate"]).exits(1).prints("demo").prints("0 of 3 schemas migrated");
    let applied = "SELECT 'yes' FROM acme.django_migrations WHERE name = '0004_invoice_payment'";
    assert!(project.database.column(applied).is_empty());
    project.database.execute("ALTER TABLE demo.finance_invoice DROP COLUMN total");
    project.portcullis.run(["migrate"]).exits(0);
    project.portcullis.run(["verify"]).exits(0);
}
