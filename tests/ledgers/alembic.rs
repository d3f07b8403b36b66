//! Alembic: the graph of its revisions, one row for each head, and Flask-Migrate.

use std::fs;

use super::{detect::assert_written, project::Project};
use crate::{
    documents::blocks::block,
    support::{cluster::cluster, process::Outcome},
};

const MIGRATIONS: &str = r#"
framework = "alembic"
tenant = "migrations/versions"
apply = { run = ["alembic", "-x", "tenant={schema}", "upgrade", "heads"] }
"#;

/// Two revisions, which no tenant has yet.
pub fn project() -> Project {
    project_of(MIGRATIONS)
}

fn project_of(migrations: &str) -> Project {
    let project = Project::new("alembic", migrations, "alembic/bin");
    for (id, message, previous, upgrade, downgrade) in [
        ("1111", "first", "None", "CREATE TABLE account (id int PRIMARY KEY)", "DROP TABLE account"),
        (
            "2222",
            "second",
            "'1111'",
            "ALTER TABLE account ADD COLUMN total int",
            "ALTER TABLE account DROP COLUMN total",
        ),
    ] {
        // As Alembic writes it.
        let text = project
            .read("migrations/script.py.mako")
            .replace("${message}", message)
            .replace("${repr(up_revision)}", &format!("'{id}'"))
            .replace("${repr(down_revision)}", previous)
            .replace("${upgrades if upgrades else \"pass\"}", &format!("op.execute(\"{upgrade}\")"))
            .replace("${downgrades if downgrades else \"pass\"}", &format!("op.execute(\"{downgrade}\")"));
        let lines = text.lines().map(|line| match line.split_once("${") {
            Some((name, _)) if name.ends_with(" = ") => format!("{name}None"),
            Some((text, _)) => text.to_owned(),
            None => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        project.write(&format!("migrations/versions/{id}_{message}.py"), &text);
    }
    project.manifest();
    project
}

/// The same with complete tenants: Alembic migrates one, of which the others are copies.
fn complete() -> Project {
    let project = project();
    alembic(&project, "a", &["upgrade", "heads"]).exits(0);
    for tenant in ["b", "c"] {
        for table in ["account", "alembic_version"] {
            project.database.execute(&format!(
                "CREATE TABLE {tenant}.{table} (LIKE a.{table} INCLUDING ALL); \
                 INSERT INTO {tenant}.{table} SELECT * FROM a.{table}"
            ));
        }
    }
    project
}

/// Has Alembic write a revision file after the current head, with this statement.
fn revision(project: &Project, id: &str, message: &str, options: &[&str], sql: &str) {
    let arguments = [&["-x", "tenant=a", "revision", "--rev-id", id, "-m", message], options].concat();
    project.tool("alembic", &arguments).exits(0);
    let path = project.path(&format!("migrations/versions/{id}_{message}.py"));
    let text = fs::read_to_string(&path).unwrap();
    let (upgrade, downgrade) = text.split_once("def downgrade").unwrap();
    let undo = match sql.split(' ').nth(2).unwrap() {
        name if sql.starts_with("CREATE TABLE") => format!("DROP TABLE {name}"),
        table => format!("ALTER TABLE {table} DROP COLUMN {}", sql.split(' ').nth(5).unwrap()),
    };
    let upgrade = upgrade.replace("pass", &format!("op.execute(\"{sql}\")"));
    fs::write(
        path,
        format!("{upgrade}def downgrade{}", downgrade.replace("pass", &format!("op.execute(\"{undo}\")"))),
    )
    .unwrap();
}

fn alembic(project: &Project, tenant: &str, arguments: &[&str]) -> Outcome {
    let tenant = format!("tenant={tenant}");
    project.tool("alembic", &[&["-x", &tenant], arguments].concat())
}

/// The gate and Alembic must agree on whether a tenant is at every head.
#[track_caller]
fn assert_verdict(project: &Project, tenant: &str, is_complete: bool) -> Outcome {
    let code = i32::from(!is_complete);
    alembic(project, tenant, &["current", "--check-heads"]).exits(if is_complete { 0 } else { 255 });
    project.verify(tenant).exits(code)
}

#[test]
fn alembic_applies_what_is_pending_and_the_gate_agrees_with_it() {
    project().verify("a").exits(1).prints("no ledger").prints("portcullis detect");
    let project = complete();
    assert_verdict(&project, "a", true);
    assert_written(&project, "Alembic");
    revision(&project, "3333", "third", &[], "CREATE TABLE bill (id int PRIMARY KEY)");
    project.portcullis.run(["verify"]).exits(78).prints("`3333 third`").prints("portcullis manifest files");
    project.manifest();
    assert_verdict(&project, "a", false).prints("3333 third");
    project.portcullis.run(["migrate", "a"]).exits(0);
    assert_verdict(&project, "a", true);
    assert_verdict(&project, "b", false).prints("3333 third");
}

#[test]
fn alembic_has_the_time_outs_and_the_name_of_the_run() {
    let time_outs = "apply = { lock_timeout = \"7s\", statement_timeout = \"3m\",";
    let project = project_of(&MIGRATIONS.replace("apply = {", time_outs));
    alembic(&project, "a", &["upgrade", "heads"]).exits(0);
    let bill = "CREATE TABLE bill AS SELECT name, setting FROM pg_settings \
                WHERE name IN ('lock_timeout', 'statement_timeout', 'application_name')";
    revision(&project, "3333", "third", &[], bill);
    project.manifest();
    project.portcullis.run(["migrate", "a"]).exits(0);
    let settings = project.database.column("SELECT setting FROM a.bill ORDER BY name");
    assert!(settings[0].starts_with("portcullis:"), "{settings:?}");
    assert_eq!(settings[1..], ["7000", "180000"]);
}

#[test]
fn a_downgraded_tenant_is_pending() {
    let project = complete();
    alembic(&project, "b", &["downgrade", "-1"]).exits(0);
    assert_verdict(&project, "b", false).prints("2222 second").prints_not("1111 first");
    alembic(&project, "b", &["downgrade", "base"]).exits(0);
    assert_verdict(&project, "b", false).prints("2222 second").prints("1111 first");
}

#[test]
fn a_failed_revision_is_named_and_stays_pending() {
    let project = complete();
    revision(&project, "3333", "third", &[], "CREATE TABLE bill (id int PRIMARY KEY)");
    revision(&project, "4444", "fourth", &[], "ALTER TABLE missing ADD COLUMN total int");
    project.manifest();
    project.portcullis.run(["run"]).exits(1).prints("4444").prints("relation \"missing\" does not exist");
    assert_verdict(&project, "a", false).prints("4444 fourth").prints_not("3333 third");
}

#[test]
fn a_concurrent_index_waits_longer_than_the_time_outs() {
    let time_outs = "apply = { lock_timeout = \"1s\", statement_timeout = \"1s\",";
    let project = project_of(&MIGRATIONS.replace("apply = {", time_outs));
    alembic(&project, "a", &["upgrade", "heads"]).exits(0);
    revision(&project, "3333", "third", &[], "CREATE TABLE bill (total int)");
    let path = project.path("migrations/versions/3333_third.py");
    let text = fs::read_to_string(&path).unwrap();
    let execute = "op.execute(\"CREATE TABLE bill (total int)\")";
    let index = "with op.get_context().autocommit_block():\n        \
                 op.create_index(\"account_total\", \"account\", [\"total\"], postgresql_concurrently=True)";
    assert!(text.contains(execute));
    fs::write(&path, text.replace(execute, index)).unwrap();
    project.manifest();
    let snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    let migrating = project.database.while_held(snapshot, || {
        let migrating = project.portcullis.spawn(["migrate", "a"]);
        let waits = "SELECT 'yes' FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                     AND query LIKE 'CREATE INDEX CONCURRENTLY%' AND now() - query_start > interval '2 s'";
        project.database.until(true, waits);
        migrating
    });
    migrating.wait().exits(0);
    assert_verdict(&project, "a", true);
}

#[test]
fn every_branch_must_be_at_its_head() {
    let project = complete();
    revision(&project, "3333", "left", &[], "CREATE TABLE bill (id int PRIMARY KEY)");
    let right = ["--splice", "--head", "2222", "--branch-label", "right"];
    revision(&project, "4444", "right", &right, "CREATE TABLE note (id int PRIMARY KEY)");
    project.manifest();
    alembic(&project, "a", &["upgrade", "3333"]).exits(0);
    assert_verdict(&project, "a", false).prints("4444 right").prints_not("3333 left");
    project.portcullis.run(["migrate", "a"]).exits(0);
    assert_verdict(&project, "a", true);
    assert_eq!(
        project.database.column("SELECT version_num::text FROM a.alembic_version ORDER BY 1"),
        ["3333", "4444"]
    );

    alembic(&project, "a", &["merge", "--rev-id", "5555", "-m", "merge", "heads"]).exits(0);
    let base = ["--head", "base", "--depends-on", "right"];
    revision(&project, "6666", "billing", &base, "CREATE TABLE invoice (id int PRIMARY KEY)");
    project.manifest();
    assert_verdict(&project, "a", false).prints("5555 merge").prints("6666 billing");
    project.portcullis.run(["migrate", "a"]).exits(0);
    assert_verdict(&project, "a", true);
    assert_eq!(
        project.database.column("SELECT version_num::text FROM a.alembic_version ORDER BY 1"),
        ["5555", "6666"]
    );
}

#[test]
fn tenants_that_were_stamped_and_never_migrated_are_found() {
    let project = project();
    // CI migrates a new database and reads its tables.
    alembic(&project, "a", &["upgrade", "head"]).exits(0);
    project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(0).prints("1 table");
    alembic(&project, "b", &["stamp", "head"]).exits(0);
    alembic(&project, "c", &["upgrade", "1111"]).exits(0);
    alembic(&project, "c", &["stamp", "head"]).exits(0);
    let outcome = project.portcullis.run(["run"]).exits(1).prints_not("the server started");
    outcome
        .prints("table missing   account (its ledger is complete)")
        .prints("column missing  account.total");
    project.verify("a").exits(0);

    // Another revision makes the tables stale, and only a migrated database can renew them.
    revision(&project, "3333", "third", &[], "CREATE TABLE bill (id int PRIMARY KEY)");
    for command in [["manifest", "files"].as_slice(), &["manifest", "files", "--check"], &["verify"]] {
        let outcome = match command {
            [first, second, third] => project.portcullis.run([first, second, third]),
            [first, second] => project.portcullis.run([first, second]),
            _ => project.portcullis.run([command[0]]),
        };
        outcome.exits(78).prints("portcullis manifest structure");
    }
    project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(1).prints("3333 third");
    alembic(&project, "a", &["upgrade", "head"]).exits(0);
    project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(0).prints("2 tables");
    project.portcullis.run(["manifest", "files"]).exits(0).prints("2 tables");
    project.verify("a").exits(0);
}

#[test]
fn a_tenant_of_a_newer_release_is_ahead_only_if_its_tables_prove_this_one() {
    let project = project();
    alembic(&project, "a", &["upgrade", "head"]).exits(0);
    let manifest = project.path("portcullis.manifest.json");
    let without_tables = fs::read(&manifest).unwrap();
    project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(0);
    revision(&project, "3333", "third", &[], "CREATE TABLE bill (id int PRIMARY KEY)");
    for tenant in ["a", "b"] {
        alembic(&project, tenant, &["upgrade", "head"]).exits(0);
    }
    fs::remove_file(project.path("migrations/versions/3333_third.py")).unwrap();
    project.database.execute("ALTER TABLE b.account DROP COLUMN total");
    project.verify("a").exits(0).prints("3333");
    project.verify("b").exits(1).prints("account.total");
    fs::write(manifest, without_tables).unwrap();
    project.verify("a").exits(1).prints("3333").prints("2222 second");
}

#[test]
fn a_new_tenant_is_created_by_alembic() {
    let project = complete();
    project.portcullis.run(["tenant", "create", "fresh"]).exits(0);
    assert_verdict(&project, "fresh", true);
    revision(&project, "3333", "third", &[], "ALTER TABLE missing ADD COLUMN total int");
    project.manifest();
    project.portcullis.run(["tenant", "create", "broken"]).exits(73).prints("3333");
    assert!(
        project.database.column("SELECT nspname::text FROM pg_namespace WHERE nspname = 'broken'").is_empty()
    );
}

#[test]
fn a_computed_revision_is_refused_and_a_list_replaces_the_files() {
    let project = complete();
    let path = project.path("migrations/versions/2222_second.py");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("= '2222'", "= str(2222)")).unwrap();
    let outcome = project.portcullis.run(["manifest", "files"]).exits(78);
    outcome.prints("2222_second.py").prints("`revision` is not a literal");
    let list = block("docs/ledgers.md", "RUN python -c");
    project.portcullis.paste(list.trim_start_matches("RUN ")).exits(0);
    let config = fs::read_to_string(project.path("config.toml")).unwrap();
    project.write("config.toml", &config.replace("migrations/versions", "revisions.txt"));
    project.manifest();
    assert_verdict(&project, "a", true);
    alembic(&project, "a", &["downgrade", "-1"]).exits(0);
    assert_verdict(&project, "a", false).prints("2222");
}

#[test]
fn the_tables_come_from_a_fresh_database_as_the_documents_say() {
    let project = project();
    let commands = block("docs/ledgers.md", "createdb fresh");
    let url = cluster();
    let (server, _) = url.rsplit_once('/').unwrap();
    let fresh = format!("{server}/fresh");
    let commands = commands
        .replace("createdb fresh", &format!("createdb --maintenance-db={url} fresh"))
        .replace("postgres://ci@db/fresh", &fresh);
    project.portcullis.paste(&format!("set -e\n{commands}")).exits(0).prints("2 migrations, 1 table");
    // The configured database has no migrated tenant.
    fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
    let structure =
        |from| project.portcullis.run(["manifest", "structure", "--tenant", "demo", "--from", from]);
    project.portcullis.run(["manifest", "structure", "--tenant", "a"]).exits(1).prints("no ledger");
    structure(&fresh).exits(0).prints("2 migrations, 1 table");
    project.database.execute("DROP DATABASE fresh");
    let unreachable = "postgres://app:geheim@127.0.0.1:1/app";
    structure(unreachable).exits(74).prints_not("geheim");
    structure("mysql://x:geheim@y").exits(78).prints_not("geheim");
    structure("").exits(78).prints("DATABASE_URL");
}

/// A Flask application with one database and no tenants.
const FLASK: &str = r#"
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://", 1)
db = SQLAlchemy(app)
Migrate(app, db)


class Account(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    total = db.Column(db.Integer)
"#;

#[test]
fn a_flask_application_without_tenants_is_judged_by_its_own_database() {
    let project = Project::new("alembic", MIGRATIONS, "alembic/bin");
    let config = "[database]\nurl = \"${DATABASE_URL}\"\n[migrations]\nframework = \"alembic\"\n\
                  shared = \"flask/versions\"\n";
    project.write("config.toml", config);
    project.write("app.py", FLASK);
    let flask = |arguments: &[&str]| {
        project
            .tool("flask", &[&["--app", "app", "db"], arguments, &["--directory", "flask"]].concat())
            .exits(0)
    };
    flask(&["init"]);
    flask(&["migrate", "--rev-id", "1111", "-m", "first"]);
    project.manifest();
    project.portcullis.run(["verify"]).exits(1);
    flask(&["upgrade"]);
    project.portcullis.run(["verify"]).exits(0);
    project.portcullis.run(["manifest", "structure"]).exits(0).prints("1 migration, 1 table");
    project.database.execute("ALTER TABLE account DROP COLUMN total");
    project.portcullis.run(["verify"]).exits(1).prints("account.total");
}
