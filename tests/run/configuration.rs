//! The configuration file before any step: missing, empty, checked, planned.

use crate::support::{
    portcullis::Portcullis,
    sample::{Engine, Sample},
};

#[test]
fn an_empty_configuration_hands_over_at_once() {
    Portcullis::new().config("").run(["run", "--", "echo", "handed over"]).exits(0).prints("handed over");
}

#[test]
fn a_variable_names_the_configuration_file() {
    let portcullis = Portcullis::new().file("elsewhere.toml", "");
    portcullis.run(["run", "--", "true"]).exits(78);
    portcullis.env("PORTCULLIS_CONFIG", "elsewhere.toml").run(["run", "--", "true"]).exits(0);
}

#[test]
fn check_reports_every_error_at_once() {
    let text =
        "[server]\ncomand = [\"true\"]\n\n[[step]]\nname = \"a\"\nwait.database = { timeout = \"soon\" }\n";
    let outcome = Portcullis::new().config(text).run(["check"]).exits(78);
    outcome.prints("comand").prints("soon");
}

#[test]
fn the_shipped_file_is_valid() {
    let sample = Sample::on(Engine::Sqlite);
    sample.portcullis.run(["check"]).exits(0);
    assert!(!sample.portcullis.path("var").exists(), "`check` is offline");
}

#[test]
fn plan_has_no_side_effects_and_explains_skipped_steps() {
    let sample = Sample::on(Engine::Sqlite).env("SKIP_MIGRATIONS", "yes");
    sample.portcullis.run(["plan"]).exits(0).prints("tenant schemas").prints("SKIP_MIGRATIONS");
    let json = sample.portcullis.run(["plan", "--format", "json"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON alone on standard output");
    assert!(json.to_string().contains("every tenant is complete"), "{json}");
    assert!(!sample.portcullis.path("var").exists());
}

#[test]
fn a_configuration_path_that_is_no_file_is_reported_by_its_kind() {
    let portcullis = Portcullis::new();
    portcullis.run(["run", "--config", "."]).exits(78).prints("set the path of the file, not of its folder");
    std::fs::write(portcullis.path("config.toml"), b"role = \"\xff\"").unwrap();
    portcullis.run(["run"]).exits(78).prints("save the file as UTF-8");
}

#[test]
fn problem_reports_fit_eighty_columns() {
    let config = "[database]\nhost = \"db\"\nsslmode = \"requird\"\n[gate]\nsettle_timeout = 120\n";
    let portcullis = Portcullis::new().config(config);
    let outcome = portcullis.run(["check"]).exits(78).prints("verify-full");
    let long: Vec<_> = outcome
        .stderr
        .lines()
        .chain(outcome.stdout.lines())
        .filter(|line| line.chars().count() > 80)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}
