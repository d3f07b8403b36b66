//! The gate inspects again while another run migrates, and decides at once otherwise.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::support::sample::{Engine, Sample};

/// A release with one more tenant migration than the sample.
fn next_release(sample: Sample, sql: &str) -> Sample {
    let config = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml")).unwrap();
    let config = config.replace(r#"file = "portcullis.manifest.json""#, "auto = true");
    sample.file("config.toml", &config).file("migrations/tenant/99_slow.sql", sql)
}

#[test]
fn a_gate_waits_for_the_run_that_holds_the_lock() {
    let sample = next_release(Sample::complete_on(Engine::Postgres), "SELECT pg_sleep(2);");
    let migrating = sample.portcullis.spawn(["migrate"]);
    let judged = sample.portcullis.run(["verify"]).exits(0);
    judged.prints("in progress: portcullis ");
    migrating.wait().exits(0);
}

#[test]
fn a_gate_waits_for_the_file_lock_holder() {
    let sample = next_release(Sample::complete_on(Engine::Sqlite), "SELECT 1;");
    let lock = File::open(sample.portcullis.path("var/portcullis.lock")).unwrap();
    lock.lock().unwrap();
    let judging = sample.portcullis.spawn(["verify"]);
    judging.wait_for_line("in progress: portcullis ");
    drop(lock);
    sample.portcullis.run(["migrate"]).exits(0);
    judging.wait().exits(0);
}

#[test]
fn an_unchanged_pending_state_is_final_after_the_second_inspection() {
    let sample = next_release(Sample::complete_on(Engine::Sqlite), "SELECT 1;");
    let judged = sample.portcullis.run(["verify"]).exits(1);
    judged.prints("checking again").prints("99 slow");
}

#[test]
fn a_missing_table_is_not_inspected_again() {
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    sample.portcullis.run(["verify"]).exits(1).prints_not("checking again");
}
