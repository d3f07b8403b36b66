//! The manifest: missing, stale, invalid, derived, and of the next release.

use std::fs;

use super::on_both_engines;
use crate::support::sample::{Engine, Sample};

const MANIFEST: &str = "portcullis.manifest.json";
const MAKE: &str = "portcullis manifest sql";

on_both_engines! {
    a_manifest_that_does_not_match_its_files_stops_the_start
    the_next_releases_manifest_shows_the_future_pending_migrations
    the_manifest_contains_every_column
}

fn a_manifest_that_does_not_match_its_files_stops_the_start(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    let before = fs::read_to_string(sample.portcullis.path(MANIFEST)).unwrap();
    let index =
        fs::read_to_string(sample.portcullis.path("migrations/tenant/3_invoice_customer_index.sql")).unwrap();

    // A changed file.
    sample.portcullis = sample
        .portcullis
        .file("migrations/tenant/3_invoice_customer_index.sql", &(index.clone() + "-- changed\n"));
    stale(&sample, "3 invoice customer index");
    sample.portcullis = sample.portcullis.file("migrations/tenant/3_invoice_customer_index.sql", &index);
    sample.portcullis.run(["run", "--no-server"]).exits(0);

    // A file added to the shared folder.
    sample.portcullis = sample
        .portcullis
        .file("migrations/shared/9_later.sql", "CREATE TABLE later (id bigint PRIMARY KEY);\n");
    stale(&sample, "9 later");
    fs::remove_file(sample.portcullis.path("migrations/shared/9_later.sql")).unwrap();

    // A removed file.
    fs::remove_file(sample.portcullis.path("migrations/tenant/4_invoice_paid_on.sql")).unwrap();
    stale(&sample, "4 invoice paid on");
    assert_eq!(
        fs::read_to_string(sample.portcullis.path(MANIFEST)).unwrap(),
        before,
        "`--check` writes nothing"
    );
}

fn the_next_releases_manifest_shows_the_future_pending_migrations(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    let now = fs::read_to_string(sample.portcullis.path(MANIFEST)).unwrap();
    let table = "CREATE TABLE crm_note (id bigint PRIMARY KEY);\n";
    sample.portcullis = sample.portcullis.file("migrations/tenant/5_notes.sql", table);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    fs::rename(sample.portcullis.path(MANIFEST), sample.portcullis.path("next.json")).unwrap();
    fs::remove_file(sample.portcullis.path("migrations/tenant/5_notes.sql")).unwrap();
    sample.portcullis = sample.portcullis.file(MANIFEST, &now);
    sample.portcullis.run(["verify"]).exits(0);
    let outcome = sample.portcullis.run(["verify", "--manifest", "next.json"]).exits(1);
    outcome.prints("demo").prints("acme").prints("globex").prints("5 notes");
    sample.portcullis.run(["verify", "--manifest", "none.json"]).exits(78).prints("none.json");
}

fn the_manifest_contains_every_column(engine: Engine) {
    let sample = Sample::on(engine);
    fs::remove_file(sample.portcullis.path(MANIFEST)).unwrap();
    sample.portcullis.run(["manifest", "sql", "--check"]).exits(78).prints(MAKE);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    let text = fs::read_to_string(sample.portcullis.path(MANIFEST)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let columns = manifest["tenant"]["tables"]["finance_invoice"].as_array().unwrap();
    assert!(columns.iter().any(|column| column == "paid_on"), "{columns:?}");
    // The derivation created nothing in this database.
    assert_eq!(sample.portcullis.run(["verify"]).exits(1).signal, None);
}

#[test]
fn an_unreadable_manifest_names_the_command_that_builds_it() {
    for text in ["", "{", "{\"format\": 99}", "null"] {
        let mut sample = Sample::on(Engine::Sqlite);
        sample.portcullis = sample.portcullis.file(MANIFEST, text);
        sample.run().exits(78).prints(MANIFEST).prints(MAKE);
    }
}

#[test]
fn an_automatic_manifest_is_derived_at_the_start() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut sample = Sample::on(engine);
        fs::remove_file(sample.portcullis.path(MANIFEST)).unwrap();
        let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
        let derived = config
            .replace("manifest = { file = \"portcullis.manifest.json\" }", "manifest = { auto = true }");
        assert_ne!(config, derived);
        sample.portcullis = sample.portcullis.config(&derived);
        sample.portcullis.run(["run", "--no-server"]).exits(0);
        sample.execute(Some("acme"), "ALTER TABLE finance_invoice DROP COLUMN paid_on");
        sample.portcullis.run(["run", "--no-server"]).exits(1).prints("paid_on");
        assert!(!sample.portcullis.path(MANIFEST).exists());
    }
}

#[test]
fn check_and_plan_name_a_stale_manifest_without_a_database() {
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", "postgres://app@localhost:1/nothing");
    sample.portcullis.run(["check"]).exits(0).prints_not("manifest");
    sample.portcullis.run(["plan"]).exits(0).prints_not("manifest");
    let sample = sample.file("migrations/tenant/9_later.sql", "CREATE TABLE later (n INT);\n");
    let stale = "it does not contain the current version of the tenant migration `9 later`";
    let flat = |outcome: crate::support::process::Outcome| {
        (outcome.stdout + &outcome.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let checked = flat(sample.portcullis.run(["check"]).exits(78));
    assert!(checked.contains(stale) && checked.contains(MAKE), "{checked}");
    let planned = flat(sample.portcullis.run(["plan"]).exits(0));
    assert!(planned.contains("a start would be refused") && planned.contains(stale), "{planned}");
    sample.portcullis.run(["plan", "--format", "json"]).exits(0).prints(stale);
    // A file that would not be applied.
    fs::rename(
        sample.portcullis.path("migrations/tenant/9_later.sql"),
        sample.portcullis.path("migrations/tenant/9-later.sql"),
    )
    .unwrap();
    let checked = flat(sample.portcullis.run(["check"]).exits(78));
    assert!(checked.contains("`9-later.sql` would not be applied"), "{checked}");
    fs::remove_file(sample.portcullis.path("migrations/tenant/9-later.sql")).unwrap();
    // An edited and a missing manifest.
    let text = fs::read_to_string(sample.portcullis.path(MANIFEST)).unwrap();
    let sample = sample.file(MANIFEST, &text.replace("crm_customer", "crm_other"));
    sample.portcullis.run(["check"]).exits(78).prints("edited");
    fs::remove_file(sample.portcullis.path(MANIFEST)).unwrap();
    sample
        .portcullis
        .run(["check"])
        .exits(0)
        .prints("not on this machine")
        .prints(MANIFEST)
        .prints("`portcullis manifest sql` writes it");
}

#[track_caller]
fn stale(sample: &Sample, migration: &str) {
    let outcome = sample.run().exits(78).prints_not("invoices: listening");
    assert!(outcome.failure_box().contains(MAKE), "{outcome}");
    outcome.prints("stale").prints(migration);
    sample.portcullis.run(["manifest", "sql", "--check"]).exits(78).prints(MAKE);
}
