//! The registry: which rows are tenants; an unreadable registry never counts as empty.

use crate::support::{cluster::Database, fleet, portcullis::Portcullis};

fn with_registry(fleet: Portcullis, registry: &str) -> Portcullis {
    let config = std::fs::read_to_string(fleet.path("config.toml")).unwrap();
    fleet.config(&config.replace("table = \"tenants\", schema_column = \"name\"", registry))
}

#[test]
fn a_missing_registry_is_not_an_empty_registry() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute("CREATE TABLE others (LIKE tenants); INSERT INTO others SELECT * FROM tenants");
    let fleet = with_registry(fleet, "table = \"others\", schema_column = \"name\"");
    fleet.run(["verify"]).exits(0);
    // No migration creates the registry, so only its own query can report that it is missing.
    database.execute("DROP TABLE others");
    fleet.run(["verify"]).exits(74).prints("others");
}

#[test]
fn a_registry_created_by_migrations_is_reported_missing_in_the_shared_schema() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute("DROP TABLE tenants");
    fleet.run(["verify"]).exits(1).prints("the shared schema").prints("table missing   tenants");
}

#[test]
fn the_condition_decides_which_rows_are_tenants() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&["live"]));
    database.execute(
        "ALTER TABLE tenants ADD COLUMN status text; UPDATE tenants SET status = 'live'; \
         INSERT INTO tenants VALUES ('absent', 'pending'), ('unknown', NULL)",
    );
    fleet.run(["verify"]).exits(1).prints("absent").prints("unknown");
    let condition =
        "table = \"public.tenants\", schema_column = \"name\", where = \"status <> 'pending' -- not yet\"";
    let fleet = with_registry(fleet, condition);
    fleet.run(["verify"]).exits(0).prints("2 tenants complete");
}

#[test]
fn a_registry_read_that_times_out_is_unproven() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    let config = std::fs::read_to_string(fleet.path("config.toml")).unwrap();
    let fleet =
        fleet.config(&config.replace("tenants = \"all\" }", "tenants = \"all\", timeout = \"300ms\" }"));
    let outcome = database.while_held("LOCK TABLE tenants", || fleet.run(["run"]));
    outcome.exits(74).prints_not("the server started");
}

/// Makes the registry another relation with these rows hidden, which the gate cannot exclude.
fn with_registry_as(database: &Database, create: &str) -> Portcullis {
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&["hidden"]));
    database.execute(create);
    with_registry(fleet, "table = \"companies\", schema_column = \"name\"")
}

fn assert_not_listed(fleet: &Portcullis, registry: &str) {
    let why = format!("the registry, {registry}, has no row for it");
    let flat = fleet.run(["verify"]).exits(74).stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("hidden") && flat.contains(&why), "{flat}");
    fleet.run(["run"]).exits(74).prints_not("the server started");
    fleet.run(["doctor"]).exits(1).prints("hidden: not listed");
    fleet.run(["tenant", "list"]).exits(0).prints("hidden").prints("not listed");
}

#[test]
fn a_view_as_the_registry_may_hide_rows_so_a_schema_without_a_row_closes_the_gate() {
    let database = Database::fresh();
    let fleet = with_registry_as(
        &database,
        "CREATE VIEW companies WITH (security_barrier) AS SELECT name FROM tenants WHERE name <> 'hidden'",
    );
    assert_not_listed(&fleet, "a view");
    database.execute("CREATE OR REPLACE VIEW companies AS SELECT name FROM tenants");
    fleet.run(["verify"]).exits(0).prints("2 tenants complete");
}

#[test]
fn a_stale_materialized_view_as_the_registry_closes_the_gate() {
    let database = Database::fresh();
    let create = "DELETE FROM tenants WHERE name = 'hidden'; CREATE MATERIALIZED VIEW companies AS SELECT name FROM tenants; \
         INSERT INTO tenants VALUES ('hidden')";
    let fleet = with_registry_as(&database, create);
    assert_not_listed(&fleet, "a materialized view");
    database.execute("REFRESH MATERIALIZED VIEW companies");
    fleet.run(["verify"]).exits(0).prints("2 tenants complete");
}

#[test]
fn a_foreign_table_as_the_registry_may_hide_rows() {
    let database = Database::fresh();
    let create = "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; \
         CREATE FOREIGN TABLE companies (name text) SERVER files OPTIONS (program 'echo demo')";
    assert_not_listed(&with_registry_as(&database, create), "a foreign table");
}

#[test]
fn a_partitioned_registry_has_the_rows_of_every_partition() {
    let database = Database::fresh();
    let create = "CREATE TABLE companies (name text) PARTITION BY HASH (name); \
         CREATE TABLE one PARTITION OF companies FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE two PARTITION OF companies FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
         INSERT INTO companies SELECT name FROM tenants";
    let fleet = with_registry_as(&database, create);
    fleet.run(["verify"]).exits(0).prints("2 tenants complete");
    database.execute("DELETE FROM companies WHERE name = 'hidden'");
    fleet.run(["verify"]).exits(0).prints("schemas without a tenant: hidden").prints("1 tenant complete");
}

#[test]
fn excluded_and_repeated_rows_of_the_registry_are_named() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(
        "ALTER TABLE tenants DROP CONSTRAINT tenants_pkey; ALTER TABLE tenants ALTER name DROP NOT NULL; \
         INSERT INTO tenants VALUES ('demo'), ('archived'), (NULL), ('')",
    );
    let fleet =
        with_registry(fleet, "table = \"tenants\", schema_column = \"name\", where = \"name = 'demo'\"");
    let excluded = "`where` excludes archived, rows without a name";
    let verified = fleet.run(["verify"]).exits(0).prints(&format!("1 tenant complete; {excluded}"));
    verified.prints("several rows of the registry for one schema: demo");
    fleet.run(["doctor"]).prints(&format!("1 tenant; {excluded}"));
    fleet.run(["tenant", "list"]).exits(0).prints(excluded).prints("several rows");
    fleet.run(["tenant", "list", "--format", "json"]).exits(0).prints("\"archived\"");
    fleet.run(["verify", "--format", "json"]).exits(0).prints("\"archived\"");
}
