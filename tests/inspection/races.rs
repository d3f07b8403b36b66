//! Other sessions make changes during an inspection: every verdict was true at some moment.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::support::{cluster::Database, fleet};

#[test]
fn tenants_created_or_deleted_during_an_inspection_get_no_wrong_verdict() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    database.execute(&fleet::copies(&fleet::names(60)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Relaxed) {
                for name in ["a1", "m1", "z1"] {
                    // Each creation is one transaction, as in a correct application.
                    database.execute(&fleet::copy(name));
                }
                for name in ["z1", "a1", "m1"] {
                    database.execute(&format!(
                        "DELETE FROM tenants WHERE name = '{name}'; DROP SCHEMA {name} CASCADE"
                    ));
                }
                rounds += 1;
            }
            rounds
        });
        let outcomes: Vec<_> = (0..20).map(|_| fleet.run(["verify", "--format", "json"])).collect();
        done.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            assert!(matches!(outcome.code, Some(0 | 74)), "{outcome}");
            for (tenant, kind) in fleet::findings(&outcome) {
                let comes_and_goes = ["a1", "m1", "z1"].contains(&tenant.as_str());
                assert!(comes_and_goes && kind == "vanished", "{tenant}: {kind}");
            }
        }
        assert!(others.join().unwrap() > 0);
    });
}

#[test]
fn a_tenant_migrated_during_an_inspection_has_no_lying_ledger() {
    let database = Database::fresh();
    let fleet = fleet::complete(&database.url());
    let names = fleet::names(60);
    for few in names.chunks(10) {
        database.execute(&fleet::copies(few));
    }
    let behind = "DELETE FROM {}._sqlx_migrations WHERE version = 2; ALTER TABLE {}.item DROP COLUMN note;";
    let ahead = "ALTER TABLE {}.item ADD COLUMN note text; \
        INSERT INTO {}._sqlx_migrations SELECT * FROM demo._sqlx_migrations WHERE version = 2";
    for few in names.chunks(10) {
        database.execute(&few.iter().map(|name| behind.replace("{}", name)).collect::<String>());
    }
    thread::scope(|scope| {
        let migrating = scope.spawn(|| {
            for name in &names {
                database.execute(&ahead.replace("{}", name));
            }
        });
        let mut found = Vec::new();
        while !migrating.is_finished() {
            let outcome = fleet.run(["verify", "--manifest", "portcullis.manifest.json", "--format", "json"]);
            found.extend(fleet::findings(&outcome));
        }
        assert!(found.iter().all(|(_, kind)| kind == "pending"), "{found:?}");
        migrating.join().unwrap();
    });
    fleet.run(["verify"]).exits(0);
}
