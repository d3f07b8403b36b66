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
    let portcullis = Portcullis::new().config(text);
    portcullis.run(["check"]).exits(78).prints("comand").prints("soon").prints("then run this command again");
    let plan = portcullis.run(["plan", "--config", "config.toml"]).exits(78);
    plan.prints(" --config config.toml check\n").prints_not("check --config");
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

/// The programs of steps, of the server and of `passthrough`.
#[test]
fn programs_that_do_not_exist_are_named_before_anything_is_changed() {
    let config = "role = \"web\"\n[server]\ncommand = [\"gunicorn-of-nowhere\"]\npassthrough = [[\"fancy-shell\"], [\"sh\"]]\n\
                  [[step]]\nname = \"static files\"\ncommand.run = [\"./collect\"]\n\
                  [[step]]\nname = \"skipped\"\nwhen = { role = \"worker\" }\ncommand.run = [\"./worker\"]\n";
    let portcullis = Portcullis::new().config(config);
    for command in ["check", "plan"] {
        portcullis
            .run([command])
            .exits(0)
            .prints("not on this machine: cannot find `gunicorn-of-nowhere` ([server] command)")
            .prints("cannot find `fancy-shell` ([server] passthrough)")
            .prints("cannot find `./collect` (the step `static files`)")
            .prints_not("./worker")
            .prints_not("`sh`");
    }
    let json = portcullis.run(["plan", "--format", "json"]).exits(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["missing_programs"][0]["program"], "./collect");
}

#[test]
fn a_misspelled_role_is_reported_and_an_undeclared_one_is_an_error() {
    let steps =
        "[[step]]\nname = \"jobs\"\nwhen = { role = [\"worker\", \"celery-*\"] }\ncommand.run = [\"true\"]\n";
    let portcullis = Portcullis::new().config(steps);
    portcullis
        .run(["check", "--role", "wroker"])
        .exits(0)
        .prints("no step is for the role `wroker`")
        .prints("did you mean `worker`?");
    portcullis.run(["run", "--role", "wroker", "--", "true"]).exits(0).prints("did you mean `worker`?");
    // Not every role needs a step of its own.
    portcullis.run(["check", "--role", "web"]).exits(0).prints_not("warning");
    portcullis.run(["check", "--role", "celery-mail"]).exits(0).prints_not("warning");

    let declared = |roles: &str| Portcullis::new().config(&format!("roles = {roles}\n{steps}"));
    let portcullis = declared("[\"web\", \"worker\", \"celery-mail\"]");
    portcullis.run(["check", "--role", "web"]).exits(0);
    portcullis
        .run(["run", "--role", "wbe", "--", "true"])
        .exits(78)
        .prints("`roles` does not contain the role `wbe`")
        .prints("did you mean `web`?");
    declared("[\"web\", \"worker\"]")
        .run(["check", "--role", "web"])
        .exits(78)
        .prints("is for `celery-*`, which is none of `roles`")
        .prints("when = { role = ");
}

#[test]
fn a_command_of_portcullis_runs_no_step_even_with_an_invalid_configuration() {
    let step = "[[step]]\nname = \"blocks\"\ncommand.run = [\"false\"]\n";
    let program = env!("CARGO_BIN_EXE_portcullis");
    let valid = Portcullis::new().config(step);
    valid.run(["run", "--", program, "plan"]).exits(0).prints("then: none").prints_not("[1/1] blocks");
    valid.run(["run", "--", program, "run", "--no-config", "--", "true"]).exits(79);
    valid.run(["run", "--", program, "init", "--", "true"]).exits(79);
    let invalid = Portcullis::new().config("rol = 1\n");
    invalid.run(["run", "--", program, "schema"]).exits(0).prints("$schema");
    invalid.run(["run", "--", "sh", "-c", "true"]).exits(78);
}
