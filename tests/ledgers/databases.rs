//! Tenants with their own databases, migrated by the real tools: each command receives its tenant's database.

use super::{
    alembic,
    node::{KNEX, PRISMA},
    project::Project,
    rails::RAILS,
    tool::Tool,
};
use crate::{documents::blocks::block, support::server::Server};

/// As `alembic init` writes it, with the URL from the environment.
const ENV: &str = r#"
import os

import sqlalchemy
from alembic import context

url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://", 1)
with sqlalchemy.create_engine(url).connect() as connection:
    context.configure(connection=connection, target_metadata=None, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"#;

const SIX_COLUMNS: &str = "ALTER TABLE account ADD COLUMN street text, ADD COLUMN city text, ADD COLUMN zip text, \
                           ADD COLUMN country text, ADD COLUMN email text, ADD COLUMN phone text";

/// Makes the tenants databases of their own, which the column `url` names.
fn separate(project: &Project, command: &str) {
    project.database.execute("DROP SCHEMA a; DROP SCHEMA b; DROP SCHEMA c; TRUNCATE tenants; ALTER TABLE tenants ADD COLUMN url text");
    let config = project.read("config.toml");
    let (before, after) = config.split_once("run = [").unwrap();
    let (_, after) = after.split_once(']').unwrap();
    let config = format!("{before}run = [{command}]{after}");
    let registry = "schema_column = \"name\"";
    project.write("config.toml", &config.replace(registry, &format!("{registry}, database = \"{{url}}\"")));
}

/// The story of 148 tenants that were stamped at Alembic's head with six columns missing, and of an init container
/// that was content with the exit code.
#[test]
fn a_database_that_alembic_stamped_and_never_migrated_is_found_by_its_name_with_its_columns() {
    let project = alembic::project();
    separate(&project, "\"alembic\", \"upgrade\", \"heads\"");
    project.write("migrations/env.py", ENV);
    let second = project.path("migrations/versions/2222_second.py");
    let text = std::fs::read_to_string(&second).unwrap();
    let one_column = "ALTER TABLE account ADD COLUMN total int";
    assert!(text.contains(one_column));
    std::fs::write(&second, text.replace(one_column, SIX_COLUMNS)).unwrap();
    project.manifest();

    let other = Server::start("");
    let url = |tenant: &str| other.url(&format!("app_{tenant}"));
    let alembic = |tenant: &str, arguments: &[&str]| {
        let url = format!("DATABASE_URL={}", url(tenant));
        project.tool("env", &[&[&url, "alembic"], arguments].concat()).exits(0);
    };
    let commands = block("docs/databases.md", "portcullis tenant create ci");
    let commands = commands.replace("create ci", &format!("create ci --set url={}", url("ci")));
    project.portcullis.paste(&format!("set -e\n{commands}")).exits(0).prints("1 table");
    // Any migrated database shows the same tables.
    std::fs::remove_file(project.path("portcullis.manifest.json")).unwrap();
    let from = ["manifest", "structure", "--from", &url("ci"), "--tenant", "public"];
    project.portcullis.run(from).exits(0).prints("1 table");
    for tenant in ["late", "altered", "stamped"] {
        other.execute("postgres", &format!("CREATE DATABASE app_{tenant}"));
        let row = format!("INSERT INTO tenants VALUES ('{tenant}', '{}')", url(tenant));
        project.database.execute(&row);
    }
    alembic("late", &["upgrade", "1111"]);
    alembic("altered", &["upgrade", "1111"]);
    alembic("altered", &["stamp", "head"]);
    alembic("stamped", &["stamp", "head"]);

    let outcome = project.portcullis.run(["run", "--no-server"]).exits(1);
    let text = outcome.failure_box();
    for expected in
        ["altered", "stamped", "account (its ledger is complete)", "account.street", "account.phone"]
    {
        assert!(text.contains(expected), "{expected}: {outcome}");
    }
    // Alembic has migrated the tenant that was late, in its own database.
    project.verify("late").exits(0);
    assert_eq!(
        other.one(
            "app_late",
            "SELECT count(*)::text FROM information_schema.columns WHERE table_name = 'account'"
        ),
        "7"
    );
    other.execute("app_altered", SIX_COLUMNS);
    project.verify("altered").exits(0);
    project.portcullis.run(["verify"]).exits(1).prints("stamped").prints_not("altered");
}

/// The tool migrates a new tenant in its own database, over which it has Portcullis's time-outs and name.
fn migrates_its_own_database(tool: &Tool, command: &str) {
    let project = tool.empty_project();
    separate(&project, command);
    let bill = "CREATE TABLE bill AS SELECT name, setting FROM pg_settings WHERE name IN ('lock_timeout', 'application_name')";
    tool.write(&project, 1, "First", bill, "DROP TABLE bill");
    project.manifest();
    let url = format!("{}_fresh", project.database.url());
    project.portcullis.run(["tenant", "create", "fresh", "--set", &format!("url={url}")]).exits(0);
    project.verify("fresh").exits(0);
    let psql = ["-qtAX", &url, "-c", "SELECT setting FROM bill ORDER BY name"];
    project.tool("psql", &psql).exits(0).prints("portcullis:").prints("7000");
    tool.write(&project, 2, "Second", "CREATE TABLE note (id int)", "DROP TABLE note");
    project.manifest();
    project.portcullis.run(["migrate", "fresh"]).exits(0);
    project.verify("fresh").exits(0);
    project.portcullis.run(["tenant", "delete", "fresh", "--yes"]).exits(0);
}

#[test]
fn prisma_migrates_each_tenants_own_database() {
    migrates_its_own_database(&PRISMA, "\"env\", \"TENANT=public\", \"prisma\", \"migrate\", \"deploy\"");
}

#[test]
fn knex_migrates_each_tenants_own_database() {
    migrates_its_own_database(&KNEX, "\"env\", \"TENANT=public\", \"knex\", \"migrate:latest\"");
}

#[test]
fn rails_migrates_each_tenants_own_database() {
    let command = "\"env\", \"RAILS_ENV=production\", \"TENANT=public\", \"bin/rails\", \"db:migrate\"";
    migrates_its_own_database(&RAILS, command);
}
