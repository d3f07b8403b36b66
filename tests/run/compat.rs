//! `[gate] compat`: a start judges the release that serves before it migrates anything.

use std::fs;

use super::on_both_engines;
use crate::support::{
    process::Outcome,
    project::Project,
    sample::{Engine, Sample},
};

const DROPS: &str = "ALTER TABLE finance_invoice DROP COLUMN paid_on;\n";
const ADDS: &str = "ALTER TABLE finance_invoice ADD COLUMN note text;\n";
/// Nothing proves that the code survives it.
const RESTRICTS: &str = "CREATE UNIQUE INDEX one_name ON crm_customer (name);\n";

/// The first file that `next` writes.
const CHANGE: &str = "migrations/tenant/5_change.sql";

on_both_engines! {
    a_change_that_breaks_the_serving_release_is_not_applied
    an_override_opens_the_gate_for_it_once
    a_compatible_change_is_applied_and_its_release_serves
    a_warning_names_what_breaks
    only_what_certainly_breaks_blocks_if_so_configured
    the_first_recorded_release_is_not_judged
    a_tenant_is_restored_by_the_release_that_serves
    nothing_is_recorded_without_the_key
}

fn a_change_that_breaks_the_serving_release_is_not_applied(engine: Engine) {
    let sample = next(serving(engine, "block"), DROPS);
    let outcome = start(&sample).exits(1).prints_not("HANDING OVER");
    let text = words(outcome.failure_box());
    for part in [
        "exit 1 (incompatible)",
        "still serves, and its code would run on the migrated schema: 1 change would break it",
        "every tenant breaks column finance_invoice.paid_on: missing; statements that use it fail",
        "PORTCULLIS_OVERRIDE=\"gate:REASON\"",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(sample.number(Some("acme"), "SELECT count(paid_on) FROM {}finance_invoice"), 2);
    // Every other replica, too.
    start(&sample).exits(1);
}

fn an_override_opens_the_gate_for_it_once(engine: Engine) {
    let sample =
        next(serving(engine, "block"), DROPS).env("PORTCULLIS_OVERRIDE", "gate:all old pods are stopped");
    start(&sample).exits(0).prints("all old pods are stopped").prints("finance_invoice.paid_on");
    sample.portcullis.run(["history", "--limit", "1"]).exits(0).prints("all old pods are stopped");
    // The release serves now, and has nothing pending.
    let sample = sample.env("PORTCULLIS_OVERRIDE", "");
    start(&sample).exits(0);
}

fn a_compatible_change_is_applied_and_its_release_serves(engine: Engine) {
    let sample = next(serving(engine, "block"), ADDS);
    start(&sample).exits(0).prints_not("still serves");
    start(&sample).exits(0).prints_not("not recorded");
    // The next release is judged by this one: it knows the new column.
    let sample = next(sample, "ALTER TABLE finance_invoice DROP COLUMN note;\n");
    start(&sample).exits(1).prints("finance_invoice.note");
}

fn a_warning_names_what_breaks(engine: Engine) {
    let sample = next(serving(engine, "warn"), DROPS);
    let outcome = start(&sample).exits(0);
    let text = words(&outcome.stderr);
    assert!(text.contains("every tenant: column finance_invoice.paid_on: missing"), "{text}");
    start(&sample).exits(0).prints_not("still serves");
}

fn only_what_certainly_breaks_blocks_if_so_configured(engine: Engine) {
    let sample = next(serving(engine, "breaks"), RESTRICTS);
    start(&sample).exits(0).prints("not proven to be harmless");
    start(&next(sample, DROPS)).exits(1);
    start(&next(serving(engine, "block"), RESTRICTS)).exits(1).prints("index one_name");
}

fn the_first_recorded_release_is_not_judged(engine: Engine) {
    let sample = next(configured(Sample::complete_on(engine), "block"), DROPS);
    start(&sample).exits(0);
}

fn a_tenant_is_restored_by_the_release_that_serves(engine: Engine) {
    let sample = serving(engine, "block");
    sample.execute(
        Some("acme"),
        "ALTER TABLE finance_invoice DROP COLUMN paid_on; DELETE FROM _sqlx_migrations WHERE version = 4",
    );
    start(&sample).exits(0).prints_not("still serves");
    assert_eq!(sample.number(Some("acme"), "SELECT count(paid_on) FROM {}finance_invoice"), 2);
}

fn nothing_is_recorded_without_the_key(engine: Engine) {
    let sample = Sample::complete_on(engine);
    start(&sample).exits(0);
    let sample = next(configured(sample, "block"), DROPS);
    start(&sample).exits(0);
}

#[test]
fn several_replicas_of_a_release_record_it_once_and_none_is_judged() {
    let sample = next(serving(Engine::Postgres, "block"), ADDS);
    let runs = [(); 3].map(|()| sample.portcullis.spawn(["run", "--", "echo", "it serves"]));
    for run in runs {
        run.wait().exits(0).prints("it serves").prints_not("not recorded");
    }
    let rows = sample.database().column("SELECT release FROM portcullis.serving");
    assert_eq!(rows.len(), 2, "{rows:?}");
    let releases = sample
        .database()
        .column("SELECT manifest::json ->> 'digest' FROM portcullis.serving ORDER BY since DESC");
    let manifest = fs::read_to_string(sample.portcullis.path("portcullis.manifest.json")).unwrap();
    assert!(manifest.contains(&releases[0]), "{releases:?}");
}

#[test]
fn every_replica_of_a_release_that_breaks_the_serving_one_is_blocked() {
    let sample = next(serving(Engine::Postgres, "block"), DROPS);
    let runs = [(); 3].map(|()| sample.portcullis.spawn(["run", "--", "echo", "it serves"]));
    for run in runs {
        run.wait().exits(1).prints_not("it serves");
    }
    // The old release still starts: a rolling deployment replaces a crashed container.
    fs::remove_file(sample.portcullis.path(CHANGE)).unwrap();
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    start(&sample).exits(0);
}

#[test]
fn a_record_that_cannot_be_read_is_no_proof() {
    for damage in [
        "UPDATE portcullis.serving SET manifest = '{}'",
        "UPDATE portcullis.serving SET manifest = replace(manifest, 'crm_customer', 'crm_other')",
        "UPDATE portcullis.serving SET manifest = replace(manifest, '\"format\":4', '\"format\":99')",
        "DROP TABLE portcullis.serving; CREATE VIEW portcullis.serving AS SELECT 1 AS nothing",
    ] {
        let sample = next(serving(Engine::Postgres, "block"), ADDS);
        sample.database().execute(damage);
        let outcome = start(&sample).exits(74).prints_not("it serves");
        assert!(
            words(outcome.failure_box()).contains("which still serves, works on the migrated schema"),
            "{outcome}"
        );
        assert_eq!(
            sample.number(None, "SELECT count(*) FROM information_schema.columns WHERE column_name = 'note'"),
            0
        );
        start(&configured(sample, "warn")).exits(0).prints("which still serves").prints("it serves");
    }
}

#[test]
fn a_release_that_cannot_be_recorded_starts_with_a_warning() {
    let project = Project::complete("").step("[gate]\ncompat = \"block\"\n");
    project.database.execute("DROP TABLE portcullis.serving");
    project.database.execute("CREATE VIEW portcullis.serving AS SELECT 'x' AS release, 'y' AS manifest, now() AS since WHERE false");
    project.start().exits(0).prints("this release is not recorded as serving").prints("the server started");
}

#[test]
fn a_job_that_migrates_is_judged_by_the_release_that_serves() {
    let sample = next(serving(Engine::Postgres, "block"), DROPS);
    sample.portcullis.run(["run", "--no-server"]).exits(1).prints("incompatible");
    // A job starts no server, so that its release does not serve.
    fs::remove_file(sample.portcullis.path(CHANGE)).unwrap();
    let sample = next(sample, ADDS);
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    assert_eq!(sample.database().column("SELECT release FROM portcullis.serving").len(), 1);
}

/// A sample whose release has started its server.
fn serving(engine: Engine, compat: &str) -> Sample {
    let sample = configured(Sample::complete_on(engine), compat);
    // The shipped manifest is of one engine.
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    start(&sample).exits(0);
    sample
}

fn configured(sample: Sample, compat: &str) -> Sample {
    let path = sample.portcullis.path("config.toml");
    let text = fs::read_to_string(path).unwrap();
    let (before, _) = text.split_once("\n[gate]\n").unwrap_or((&text, ""));
    let text = format!("{before}\n[gate]\ncompat = \"{compat}\"\n");
    sample.file("config.toml", &text)
}

/// The next release: one more migration.
fn next(sample: Sample, change: &str) -> Sample {
    let file = |number| format!("migrations/tenant/{number}_change.sql");
    let number = (5..9).find(|number| !sample.portcullis.path(&file(*number)).exists()).unwrap();
    let sample = sample.file(&file(number), change);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample
}

fn start(sample: &Sample) -> Outcome {
    sample.portcullis.run(["run", "--", "echo", "it serves"])
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
