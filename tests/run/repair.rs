//! `portcullis repair TENANT`: five steps on either engine; each can be the last.

use serde_json::Value;

use super::on_both_engines;
use crate::support::{
    cluster::Database,
    sample::{Engine, Sample},
};

on_both_engines! {
    a_tenant_with_pending_migrations_is_repaired_in_five_steps
    a_dry_run_lists_the_pending_migrations_and_changes_nothing
    a_complete_tenant_is_verified_too
    the_repair_stops_at_the_failing_step
    the_json_output_has_the_same_facts
}

const BEHIND: &str =
    "DELETE FROM _sqlx_migrations WHERE version = 4; ALTER TABLE finance_invoice DROP COLUMN paid_on";

fn a_tenant_with_pending_migrations_is_repaired_in_five_steps(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), BEHIND);
    let repaired = sample.portcullis.run(["repair", "acme"]).exits(0);
    let steps: Vec<&str> = repaired.stderr.lines().collect();
    assert_eq!(steps.len(), 5, "{repaired}");
    for (number, (line, printed)) in steps
        .iter()
        .zip([
            "`acme` is registered",
            "pending: 4 invoice paid on",
            "1 migration applied: 4 invoice paid on",
            "complete",
            "crm_customer",
        ])
        .enumerate()
    {
        assert!(line.starts_with(&format!("{}/5  ok", number + 1)) && line.contains(printed), "{line}");
    }
    assert!(repaired.stdout.contains("acme: complete"), "{repaired}");
    sample.portcullis.run(["verify"]).exits(0);
}

fn a_dry_run_lists_the_pending_migrations_and_changes_nothing(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), BEHIND);
    let dry = sample.portcullis.run(["repair", "acme", "--dry-run"]).exits(0);
    dry.prints("would be applied: 4 invoice paid on")
        .prints("1 migration would be applied")
        .prints_not("complete");
    sample.portcullis.run(["verify", "--tenant", "acme"]).exits(1);
}

fn a_complete_tenant_is_verified_too(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), "DELETE FROM finance_invoice");
    let repaired = sample.portcullis.run(["repair", "acme", "--dry-run"]).exits(0);
    repaired.prints("nothing to apply").prints("finance_invoice 0 rows");
}

fn the_repair_stops_at_the_failing_step(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample
        .portcullis
        .run(["repair", "nobody"])
        .exits(1)
        .prints("1/5  FAILED")
        .prints("stopped at 1")
        .prints_not("2/5");
    sample.execute(Some("demo"), "DROP TABLE finance_invoice");
    let lying = sample.portcullis.run(["repair", "demo"]).exits(1);
    lying.prints("2/5  FAILED").prints("finance_invoice").prints("stopped at 2: its state").prints_not("3/5");
    sample.execute(Some("acme"), "DELETE FROM _sqlx_migrations WHERE version = 4");
    let fails = sample.portcullis.run(["repair", "acme"]).exits(1);
    fails.prints("3/5  FAILED").prints("4 invoice paid on").prints("stopped at 3: apply").prints_not("4/5");
    sample.drop_schema("globex");
    sample.portcullis.run(["repair", "globex"]).exits(1).prints("no schema").prints("stopped at 2");
}

fn the_json_output_has_the_same_facts(engine: Engine) {
    let sample = Sample::complete_on(engine);
    sample.execute(Some("acme"), BEHIND);
    let repaired = sample.portcullis.run(["repair", "acme", "--format", "json"]).exits(0);
    let printed: Value = serde_json::from_str(&repaired.stdout).unwrap();
    let tenant = &printed["tenants"][0];
    assert_eq!(printed["outcome"], "done");
    assert_eq!(tenant["applied"][0], "4 invoice paid on");
    assert_eq!(tenant["steps"].as_array().unwrap().len(), 5);
    assert!(tenant["tables"].as_array().unwrap().iter().all(|table| table["rows"].is_u64()), "{printed}");

    sample.execute(Some("demo"), "DROP TABLE finance_invoice");
    let failed = sample.portcullis.run(["repair", "demo", "--format", "json"]).exits(1);
    let printed: Value = serde_json::from_str(&failed.stdout).unwrap();
    let failure = &printed["tenants"][0]["failure"];
    assert_eq!((printed["outcome"].as_str(), failure["step"]["number"].as_u64()), (Some("failed"), Some(2)));
    assert!(!failure["next"].as_array().unwrap().is_empty(), "{printed}");
}

#[test]
fn a_table_without_read_permission_stops_the_repair_at_the_last_step() {
    let database = Database::fresh();
    let role = format!("{}_reader", database.name());
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", &database.url());
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA public, acme TO {role};
         GRANT SELECT ON ALL TABLES IN SCHEMA public, acme TO {role};
         REVOKE SELECT ON acme.finance_invoice FROM {role}"
    ));
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let sample = sample.env("DATABASE_URL", &format!("postgres://{role}:reader@{server}"));
    let outcome = sample.portcullis.run(["repair", "acme"]);
    database.execute(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    outcome
        .exits(74)
        .prints("5/5  FAILED")
        .prints("permission denied for table finance_invoice")
        .prints_not("row, ");
}

#[test]
fn repair_steps_are_coloured_only_on_request() {
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.portcullis.run(["repair", "acme"]).exits(0).prints_not("\u{1b}[");
    sample.portcullis.run(["--color", "always", "repair", "acme"]).exits(0).prints("\u{1b}[32mok");
    let forced = sample.env("FORCE_COLOR", "1");
    forced.portcullis.run(["repair", "acme"]).exits(0).prints("\u{1b}[32mok");
    forced.env("NO_COLOR", "1").portcullis.run(["repair", "acme"]).exits(0).prints_not("\u{1b}[");
}
