//! Two runs never change one tenant's database at the same time, whether or not they have the same registry.

use std::process::Command;

use super::{CONFIG, MORE, Project};
use crate::support::{portcullis::Portcullis, process::Running, server::Server, time_limits::until_true};

const COMMAND: &str = r#"
[database]
url = "${DATABASE_URL}"
[tenants]
registry = { table = "tenants", schema_column = "name", database = "app_{name}" }
[migrations]
framework = "custom"
tenant = "changes"
ledger = { table = "applied", id = "name", files = ["{id}.sql"] }
apply = { run = ["sh", "apply.sh"], lock_timeout = "2m" }
"#;
const APPLY: &str = "psql -qX -v ON_ERROR_STOP=1 \"$DATABASE_URL\" \
                     -c \"SELECT pg_advisory_xact_lock(7); INSERT INTO applied VALUES ('one')\"\n";

/// While a run waits in a migration, a run of the same registry waits for it, and one of another registry with the same
/// database fails.
fn excludes(server: &Server, first: &Portcullis, second: &Portcullis) {
    let mut psql = Command::new("psql");
    psql.args(["-qX", &server.url("app_a"), "-c", "SELECT pg_advisory_lock(7), pg_sleep(600)"]);
    let holder = Running::start(psql, false);
    let count = |condition: &str| {
        let sql =
            format!("SELECT count(*)::text FROM pg_stat_activity WHERE datname = 'app_a' AND {condition}");
        server.one("postgres", &sql)
    };
    until_true("the lock is held", || count("wait_event = 'PgSleep'") == "1");
    let migrating = first.spawn(["migrate", "a"]);
    let waits = "wait_event_type = 'Lock' AND query LIKE '%pg_advisory_xact_lock(7)%'";
    until_true("the migration waits", || count(waits) == "1");

    second.run(["migrate", "a"]).exits(1).prints("another session is changing the database of `a`");
    let other = first.spawn(["migrate", "a"]);
    other.wait_for_line("waiting for the lock");
    assert_eq!(count(waits), "1");

    server.execute(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
    );
    holder.wait();
    migrating.wait().exits(0);
    other.wait().exits(0).prints("nothing pending");
    second.run(["migrate", "a"]).exits(0).prints("nothing pending");
}

#[test]
fn runs_of_one_registry_and_of_two_exclude_each_other() {
    let project = Project::named();
    project.start().exits(0);
    project.server.execute("postgres", "CREATE DATABASE second");
    let config = CONFIG.replace("DATABASE\"", "app_{name}\"").replace("VALUES", "{}");
    let config = config.replace("[gate]", "apply = { lock_timeout = \"2m\" }\n[gate]");
    let project = project.file("config.toml", &config);
    let second = project.portcullis.copy().env("DATABASE_URL", &project.server.url("second"));
    second.run(["migrate", "--shared"]).exits(0);
    project.server.execute("second", "INSERT INTO tenants VALUES ('a')");
    let waits = "SELECT pg_advisory_xact_lock(7);\n";
    let (project, second) =
        (project.file("tenant/2_waits.sql", waits), second.file("tenant/2_waits.sql", waits));
    excludes(&project.server, &project.portcullis, &second);
}

#[test]
fn commands_of_one_registry_and_of_two_exclude_each_other() {
    let server = Server::start("");
    server.execute("postgres", "CREATE DATABASE app_a");
    server.execute("postgres", "CREATE DATABASE second");
    server.execute("app_a", "CREATE TABLE applied (name text)");
    let portcullis = |database: &str| {
        server.execute(
            database,
            "CREATE TABLE tenants (name text PRIMARY KEY); INSERT INTO tenants VALUES ('a')",
        );
        let portcullis = Portcullis::new().env("DATABASE_URL", &server.url(database)).config(COMMAND);
        let portcullis = portcullis.file("changes/one.sql", "").file("apply.sh", APPLY);
        portcullis.run(["manifest", "files"]).exits(0);
        portcullis
    };
    excludes(&server, &portcullis("postgres"), &portcullis("second"));
}

/// Only a session's own role may end it.
#[test]
fn a_killed_runs_sessions_are_ended_by_the_roles_of_their_databases() {
    let project = Project::new("{url}", ", url text", "{ url = \"postgres://{schema}@/app_{schema}\" }");
    let roles = "CREATE ROLE a LOGIN CREATEDB; CREATE ROLE b LOGIN CREATEDB; CREATE ROLE c LOGIN CREATEDB";
    project.server.execute("postgres", roles);
    project.start().exits(0);
    let run = project.server.one("postgres", "SELECT run FROM portcullis.run LIMIT 1");
    let mut psql = Command::new("psql");
    let url = project.server.url("app_b").replace("postgres@", "b@");
    psql.args(["-qX", &url, "-c", "SELECT pg_sleep(600)"]).env("PGAPPNAME", format!("portcullis:{run}"));
    let orphan = Running::start(psql, false);
    let sleeps = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'b'";
    until_true("the session sleeps", || project.server.one("postgres", sleeps) == "1");
    let project = project.file("tenant/2_more.sql", MORE);
    project.start().exits(0).prints("the server started");
    orphan.wait();
    assert_eq!(project.server.one("postgres", sleeps), "0");
}
