//! Each kind of broken tenant: the next start ends at once with the box, and the server never starts.

use super::on_both_engines;
use crate::support::{
    http::{get, is_listening},
    process::Outcome,
    sample::{Engine, Sample},
};

on_both_engines! {
    a_lying_ledger_closes_the_gate
    a_missing_column_closes_the_gate
    a_lost_schema_closes_the_gate_and_is_not_created_again
    a_lost_ledger_closes_the_gate
    a_migration_recorded_as_failed_closes_the_gate
    an_altered_migration_closes_the_gate
    a_deleted_ledger_row_makes_migrate_fail_on_the_existing_table
    a_tenant_ahead_of_the_code_is_served_with_a_warning
    a_tenant_that_is_ahead_and_behind_closes_the_gate
    a_manually_registered_tenant_closes_the_gate
    every_broken_tenant_is_named
    a_broken_shared_schema_closes_the_gate
    the_verify_command_reports_the_same
    a_pending_migration_is_applied_at_the_next_start
    an_empty_database_is_the_same_for_the_gate_the_doctor_and_the_tenant_commands
}

const LYING: &str = "DROP TABLE finance_invoice";

fn a_lying_ledger_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), LYING);
    let demo = blocked(&sample);
    let all = blocked(&sample.env("SKIP_DEMO_TENANTS", "true"));
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("lying_ledger_of_a_demo_tenant", demo.failure_box());
        insta::assert_snapshot!("lying_ledger_of_any_tenant", all.failure_box());
    });
    assert!(demo.failure_box().lines().all(|line| line.chars().count() <= 80), "{demo}");
}

fn a_missing_column_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), "ALTER TABLE finance_invoice DROP COLUMN paid_on");
    blocked(&sample).prints("acme").prints("paid_on");
}

fn a_lost_schema_closes_the_gate_and_is_not_created_again(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.drop_schema("globex");
    blocked(&sample).prints("globex");
    blocked(&sample).prints("globex");
}

fn a_lost_ledger_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("globex"), "DROP TABLE _sqlx_migrations");
    blocked(&sample).prints("globex");
}

fn a_migration_recorded_as_failed_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("demo"), "UPDATE _sqlx_migrations SET success = false WHERE version = 4");
    blocked(&sample).prints("demo").prints("4 invoice paid on");
}

fn an_altered_migration_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(
        Some("acme"),
        "UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 1) \
         WHERE version = 2",
    );
    blocked(&sample).prints("acme").prints("2 invoices");
}

fn a_deleted_ledger_row_makes_migrate_fail_on_the_existing_table(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), "DELETE FROM _sqlx_migrations WHERE version = 2");
    let outcome = blocked(&sample).prints("acme").prints("finance_invoice").prints("already exists");
    assert!(outcome.failure_box().contains("2_invoices.sql"), "{outcome}");
    assert_eq!(sample.number(Some("acme"), "SELECT count(*) FROM {}_sqlx_migrations"), 3);
    assert_eq!(sample.number(Some("acme"), "SELECT count(*) FROM {}finance_invoice"), 4);
}

fn a_tenant_ahead_of_the_code_is_served_with_a_warning(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), &from_the_future());
    let server = sample.serve();
    assert_eq!(get(sample.port, "/acme/finance/invoices/").0, 200);
    server.signal(nix::sys::signal::Signal::SIGTERM);
    server.wait().exits(0).prints("acme").prints("ahead");
}

fn a_tenant_that_is_ahead_and_behind_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), &from_the_future());
    sample.execute(
        Some("acme"),
        "DELETE FROM _sqlx_migrations WHERE version = 3; DROP INDEX finance_invoice_customer",
    );
    blocked(&sample).prints("acme").prints("99");
    // A diverged tenant is not migrated, although the pending file alone would succeed.
    assert_eq!(sample.number(Some("acme"), "SELECT count(*) FROM {}_sqlx_migrations WHERE version = 3"), 0);
}

fn a_manually_registered_tenant_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(None, "INSERT INTO tenants (schema_name, name) VALUES ('initech', 'Initech')");
    blocked(&sample).prints("initech");
}

fn every_broken_tenant_is_named(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), LYING);
    sample.execute(Some("globex"), "DROP TABLE finance_invoice; DROP TABLE crm_customer");
    // The check of named tenants comes first and would hide the other tenants.
    let outcome = blocked(&sample.env("SKIP_DEMO_TENANTS", "true"));
    for word in ["acme", "globex", "finance_invoice", "crm_customer"] {
        assert!(outcome.failure_box().contains(word), "{word}: {outcome}");
    }
}

fn a_broken_shared_schema_closes_the_gate(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(None, "DROP TABLE billing_plan");
    blocked(&sample).prints("billing_plan");
}

fn the_verify_command_reports_the_same(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.portcullis.run(["verify"]).exits(0);
    sample.execute(Some("acme"), LYING);
    sample.portcullis.run(["verify"]).exits(1).prints("acme").prints("finance_invoice");
    sample.portcullis.run(["verify", "--tenant", "demo"]).exits(0);
    let json = sample.portcullis.run(["verify", "--format", "json"]).exits(1).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON alone on standard output");
    assert!(json.to_string().contains("finance_invoice"), "{json}");
}

fn a_pending_migration_is_applied_at_the_next_start(engine: Engine) {
    let mut sample = Sample::complete_on(engine);
    sample.portcullis = sample
        .portcullis
        .file("migrations/tenant/5_notes.sql", "CREATE TABLE crm_note (id bigint PRIMARY KEY);\n");
    // The manifest does not contain the file yet.
    sample.portcullis.run(["run", "--no-server"]).exits(78).prints("portcullis manifest sql");
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["verify"]).exits(1).prints("5 notes");
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    assert_eq!(sample.number(Some("demo"), "SELECT count(*) FROM {}crm_note"), 0);
}

/// A start that must end with 1, the box, and no server.
#[track_caller]
fn blocked(sample: &Sample) -> Outcome {
    let outcome = sample.run().exits(1).prints_not("invoices: listening");
    assert!(!is_listening(sample.port));
    assert!(outcome.failure_box().contains("THE SERVER WAS NOT STARTED"), "{outcome}");
    outcome
}

fn from_the_future() -> String {
    "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
     SELECT 99, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1"
        .to_owned()
}

fn an_empty_database_is_the_same_for_the_gate_the_doctor_and_the_tenant_commands(engine: Engine) {
    let sample = Sample::on(engine);
    let empty = "the database is empty: this is its first start";
    let flat = |outcome: &crate::support::process::Outcome| {
        outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for command in ["verify", "tenant create acme", "tenant delete acme --yes", "tenant bootstrap"] {
        let outcome = sample.portcullis.paste(&format!("portcullis {command}")).exits(1);
        assert!(flat(&outcome).contains(empty), "{command:?}: {outcome}");
        assert!(flat(&outcome).contains(" migrate"), "{command:?}: {outcome}");
    }
    sample.portcullis.run(["tenant", "list"]).exits(0).prints("no tenant: the database is empty");
    sample.portcullis.run(["tenant", "show", "acme"]).exits(1).prints("not registered");
    let doctor = sample.portcullis.run(["doctor"]).exits(1).prints(empty);
    let failed: Vec<&str> = doctor.stdout.lines().filter(|line| line.contains("FAILED")).collect();
    assert!(failed.len() == 1 && failed[0].contains("shared schema"), "{doctor}");
    // The command of the advice resolves it.
    sample.portcullis.run(["migrate"]).exits(0);
    sample.portcullis.run(["tenant", "create", "acme"]).exits(0);
    sample.portcullis.run(["verify"]).exits(0).prints("1 tenant complete");
}

#[test]
fn a_lost_shared_schema_with_tenants_is_not_an_empty_database() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.database().execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    let outcome = sample.portcullis.run(["verify"]).exits(1);
    outcome.prints_not("first start").prints("schemas without a tenant: acme, demo, globex");
    sample.portcullis.run(["doctor"]).exits(1).prints("the registry has no row for acme, demo, globex");
}
