//! Damage specific to PostgreSQL: invalid indexes, unreadable ledgers, unregistered schemas.

use crate::support::{cluster::Database, fleet};

#[test]
fn an_invalid_index_is_found_among_few_tenants_and_among_many() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&["index"]));
    database.execute(
        "CREATE UNIQUE INDEX bad ON \"index\".item (n); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"index\".bad'::regclass",
    );
    // The query for indexes differs for many schemas.
    for more in [0, 30] {
        database.execute(&fleet::copies(&fleet::names(more)));
        let outcome = fleet.run(["verify", "--format", "json"]).exits(1);
        assert_eq!(fleet::findings(&outcome), [("index".into(), "invalid_index".into())], "{outcome}");
        fleet.run(["verify"]).exits(1).prints("bad");
    }
}

#[test]
fn an_unreadable_ledger_does_not_hide_the_others() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&fleet::names(7)));
    database.execute("ALTER TABLE t3._sqlx_migrations DROP COLUMN checksum; DROP TABLE t5.item");
    let outcome = fleet.run(["verify", "--format", "json"]).exits(1);
    let findings = fleet::findings(&outcome);
    let [(unreadable, why), (broken, kind)] = &findings[..] else { panic!("{outcome}") };
    assert_eq!((unreadable.as_str(), broken.as_str(), kind.as_str()), ("t3", "t5", "missing_tables"));
    assert!(why.contains("checksum"), "{why}");
}

#[test]
fn an_unregistered_schema_and_an_unregistered_tenant_are_named() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&["orphan"]));
    database.execute("DELETE FROM tenants WHERE name = 'orphan'");
    let outcome = fleet.run(["verify", "--format", "json"]).exits(0);
    let printed: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["orphans"], serde_json::json!(["orphan"]), "{outcome}");
    fleet.run(["verify", "--tenant", "nobody"]).exits(1).prints("nobody");
}
