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
