//! `detect`, and `init-config` with a database: each ledger is recognised by its columns, with the files that fit it.

use std::{fs, process::Command};

use super::project::Project;
use crate::documents::blocks::{block, run};
use crate::support::{
    cluster::Database,
    django,
    portcullis::Portcullis,
    process::{Outcome, Running},
    sample::{Engine, Sample},
};

/// Two tenants in `customer.schema`, each with this ledger; the name of a third column is a decoy.
fn database(ledger: &str, columns: &str) -> Database {
    let database = Database::fresh();
    database.execute(
        "CREATE TABLE customer (id int PRIMARY KEY, name text UNIQUE, schema varchar(63) UNIQUE);
         INSERT INTO customer VALUES (1, 'A', 'a'), (2, 'B', 'b'), (3, 'C', 'public')",
    );
    for schema in ["a", "b"] {
        database.execute(&format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.{ledger} ({columns})"));
    }
    database
}

fn detect(database: &Database) -> Outcome {
    Portcullis::new().env("DATABASE_URL", &database.url()).run(["detect"])
}

/// The configuration that `init-config` writes for a project whose own was removed, after `check` and `verify`.
pub fn assert_written(project: &Project, tool: &str) {
    let path = project.path("config.toml");
    let own = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let detected =
        project.portcullis.run(["detect"]).exits(0).prints(tool).prints("`tenants` lists these schemas");
    detected.prints("each is recorded in a");
    project.portcullis.run(["init-config"]).exits(0).prints(&format!("{tool}'s ledger"));
    project.portcullis.run(["check"]).exits(0).prints_not("warning");
    project.manifest();
    project.portcullis.run(["verify"]).exits(0).prints("complete");
    fs::write(path, own).unwrap();
}

#[test]
fn the_ledgers_of_other_tools_are_told_apart_by_their_columns() {
    for (tool, ledger, columns, line) in [
        (
            "Flyway",
            "flyway_schema_history",
            "installed_rank int, version text, description text, type text, script text, checksum int, \
             installed_by text, installed_on timestamp, execution_time int, success bool",
            "id = \"version\"",
        ),
        (
            "goose",
            "goose_db_version",
            "id int, version_id bigint, is_applied bool, tstamp timestamp",
            "where = \"version_id > 0\"",
        ),
        ("golang-migrate", "schema_migrations", "version bigint, dirty bool", "rows = \"latest\""),
        ("Ecto", "schema_migrations", "version bigint, inserted_at timestamp", "\"ecto.migrate\""),
        (
            "EF Core",
            "\"__EFMigrationsHistory\"",
            "\"MigrationId\" text, \"ProductVersion\" text",
            "recorded_as = ",
        ),
        (
            "Atlas",
            "atlas_schema_revisions",
            "version text, applied int, total int, error text",
            "applied = total",
        ),
        (
            "Liquibase",
            "databasechangelog",
            "id text, author text, filename text, dateexecuted timestamp, orderexecuted int, exectype text, md5sum text",
            "tenant = \"changesets.txt\"",
        ),
        // Under another name, the same columns show the tool.
        ("Alembic", "app_migrations", "version_num text", "ledger = { table = \"app_migrations\" }"),
        ("golang-migrate", "app_migrations", "version bigint, dirty bool", "table = \"app_migrations\""),
    ] {
        let database = database(ledger, columns);
        let outcome = detect(&database).exits(0);
        outcome
            .prints(&format!("{tool}: `{}` in 2 schemas (a, b)", ledger.trim_matches('"')))
            .prints("`customer` lists these schemas")
            .prints("registry = { table = \"customer\", schema_column = \"schema\" }")
            .prints(line);
        let portcullis = Portcullis::new().env("DATABASE_URL", &database.url());
        portcullis.run(["init-config"]).exits(0).prints(&format!("{tool}'s ledger"));
        portcullis.run(["check"]).exits(0).prints_not("warning");
    }
}

#[test]
fn every_ledger_of_a_database_is_listed_also_an_unknown_one() {
    let database = database("knex_migrations", "id int, name text, batch int, migration_time timestamp");
    database.execute(
        "CREATE TABLE alembic_version (version_num text); CREATE TABLE a.alembic_version (version_num text);
         CREATE TABLE b.knex_migrations_lock (index int, is_locked int);
         CREATE TABLE b.migrations (id int, batch int)",
    );
    let outcome = detect(&database).exits(0);
    outcome
        .prints("Knex: `knex_migrations` in 2 schemas (a, b)")
        .prints("Alembic: `alembic_version` in a and the shared schema")
        .prints("unknown ledger: `migrations` (id, batch) in b")
        .prints("no folder here has a migration that is recorded in a")
        .prints_not("knex_migrations_lock");
    let json = Portcullis::new().env("DATABASE_URL", &database.url()).run(["detect", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.exits(0).stdout).unwrap();
    assert_eq!(json["ledgers"][0]["framework"], "knex");
    assert_eq!(json["unknown"][0]["table"], "migrations");
}

#[test]
fn a_schema_of_the_tool_itself_is_no_tenant() {
    let database = database("__drizzle_migrations", "id int, hash text, created_at bigint");
    let own = "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id int, hash text, created_at bigint)";
    database.execute(own);
    detect(&database)
        .exits(0)
        .prints("Drizzle: `__drizzle_migrations` in 2 schemas (a, b) and its own schema `drizzle`")
        .prints("`customer` lists these schemas")
        .prints_not("except for");
    let alone = Database::fresh();
    alone.execute(own);
    detect(&alone)
        .exits(0)
        .prints("in its own schema `drizzle`")
        .prints("none: the gate reads ledgers in the shared schema")
        .prints_not("[tenants]");
}

#[test]
fn a_ledger_that_cannot_be_read_is_named_with_the_grant() {
    let database = database("pgmigrations", "id int, name text, run_on timestamp");
    let role = format!("{}_reader", database.name());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'one'; GRANT SELECT ON customer TO {role}; GRANT USAGE ON SCHEMA a TO {role};
         GRANT SELECT ON a.pgmigrations TO {role}"
    ));
    let url = database.url();
    let (scheme, rest) = url.split_once("://").unwrap();
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let outcome = Portcullis::new()
        .env("DATABASE_URL", &format!("{scheme}://{role}:one@{rest}"))
        .run(["detect"])
        .exits(74);
    outcome
        .prints("node-pg-migrate: `pgmigrations` in 2 schemas (a, b)")
        .prints("may not read b.pgmigrations")
        .prints_not("a.pgmigrations")
        .prints("GRANT");
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_database_that_cannot_be_read_is_named() {
    let url = "postgres://app:geheim@127.0.0.1:1/app";
    let portcullis = Portcullis::new().env("DATABASE_URL", url);
    portcullis.run(["init-config"]).exits(0).prints("no database, because").prints_not("geheim");
    portcullis.run(["check"]).exits(0);
    Portcullis::new().run(["init-config", "--database", url]).exits(74).prints_not("geheim");
    Portcullis::new().run(["detect", "--database", url]).exits(74).prints_not("geheim");
    Portcullis::new().run(["detect", "--database", "mysql://x"]).exits(78).prints("postgres");
    Portcullis::new().run(["detect"]).exits(64).prints("--database URL");
    let empty = Database::fresh();
    detect(&empty).exits(1).prints("no table has the name or the columns of a ledger");
    let portcullis = Portcullis::new();
    portcullis.run(["init-config", "--database", &empty.url()]).exits(0).prints("no known ledger");
    let text = fs::read_to_string(portcullis.path("config.toml")).unwrap();
    assert!(!text.contains("[tenants]") && text.contains("${DATABASE_URL"), "{text}");
}

/// The configuration may be for another framework than the database's.
#[test]
fn a_gate_without_a_ledger_points_at_the_ledger_that_is_there() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(None, "ALTER TABLE acme._sqlx_migrations RENAME TO moved_migrations");
    sample.portcullis.run(["verify"]).exits(1).prints("no ledger").prints("portcullis detect");
    sample.portcullis.run(["detect"]).exits(0).prints("sqlx: `moved_migrations` in acme");
}

/// Each file is a schema.
#[test]
fn other_ledgers_in_sqlite_are_recognised_and_not_configured() {
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.execute(
        Some("acme"),
        "CREATE TABLE knex_migrations (id int, name text, batch int, migration_time int)",
    );
    sample.execute(None, "CREATE TABLE schema_migrations (note text)");
    let outcome = sample.portcullis.run(["detect"]).exits(0);
    outcome
        .prints("sqlx: `_sqlx_migrations` in 3 schemas (acme, demo, globex) and the shared schema")
        .prints("Knex: `knex_migrations` in acme")
        .prints("in SQLite, the gate reads the ledger of plain SQL migrations only")
        .prints("unknown ledger: `schema_migrations` (note) in shared");
}

#[test]
fn sql_migrations_are_configured_by_their_ledger_when_the_folders_tell_nothing() {
    sql_migrations_are_configured_by_their_ledger(&Sample::complete_on(Engine::Postgres));
    let sample = Sample::complete_on(Engine::Sqlite).env("DATABASE_URL", "sqlite://var");
    sql_migrations_are_configured_by_their_ledger(&sample);
}

fn sql_migrations_are_configured_by_their_ledger(sample: &Sample) {
    let path = |name: &str| sample.portcullis.path(name);
    fs::remove_file(path("config.toml")).unwrap();
    // Deeper than `init-config` searches for folders.
    fs::create_dir_all(path("services/billing/database")).unwrap();
    let mut copy = Command::new("mv");
    copy.arg(path("migrations")).arg(path("services/billing/database/tenant_changes"));
    Running::start(copy, false).wait().exits(0);
    sample
        .portcullis
        .run(["init-config"])
        .exits(0)
        .prints("sqlx's ledger `_sqlx_migrations` in 3 schemas of the database")
        .prints("the tenants in the table `tenants`");
    sample.portcullis.run(["check"]).exits(0).prints_not("warning");
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["verify"]).exits(0).prints("3 tenants");
    run(&sample.portcullis, &block("docs/ledgers.md", "$ portcullis detect"));
}

#[test]
fn a_django_database_is_recognised_and_its_configuration_verifies() {
    let project = django::Project::complete();
    let portcullis = &project.portcullis;
    fs::remove_file(portcullis.path("config.toml")).unwrap();
    portcullis
        .run(["detect"])
        .exits(0)
        .prints("Django: `django_migrations` in demo and the shared schema")
        .prints("`customers_client` lists these schemas");
    portcullis.run(["init-config"]).exits(0).prints("Django's ledger `django_migrations` in 1 schema");
    portcullis.run(["check"]).exits(0).prints_not("warning");
    portcullis.run(["verify"]).exits(0).prints("1 tenant complete");
}
