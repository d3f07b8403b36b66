//! What is said, and that nothing depends on somebody being there to hear it.

use std::{
    fs::{File, OpenOptions},
    process::{Command, Stdio},
};

use crate::support::{
    portcullis::Portcullis,
    sample::{Engine, Sample},
};

/// Valid, with a warning: nothing verifies every tenant.
const WARNED: &str = "[database]\nurl = \"sqlite://var\"\n[tenants]\nregistry = { table = \"tenants\", \
                      schema_column = \"schema_name\" }\n[server]\ncommand = [\"true\"]\n";

#[test]
fn a_full_standard_error_changes_no_exit_code() {
    let warned = Portcullis::new().config(WARNED);
    assert_eq!(with_full_error(&warned, &["run"]), Some(0));
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.drop_schema("acme");
    for command in ["verify", "migrate"] {
        assert_eq!(with_full_error(&sample.portcullis, &[command]), Some(1), "{command}");
    }
}

#[test]
fn a_warning_ends_with_its_line() {
    let portcullis = Portcullis::new().config(WARNED);
    let said = portcullis.run(["check"]).exits(0).stdout;
    assert!(said.lines().any(|line| line == "config.toml: valid, 0 steps"), "{said}");
    let step = "\n[[step]]\nname = \"a\"\ncommand = { run = [\"true\"] }\n";
    let said = portcullis.config(&(WARNED.to_owned() + step)).run(["run"]).exits(0).stderr;
    assert!(said.lines().any(|line| line.starts_with("portcullis ")), "{said}");
}

#[test]
fn without_a_server_none_is_said_to_start() {
    let config =
        "[[step]]\nname = \"a\"\ncommand = { run = [\"true\"] }\n[server]\ncommand = [\"sleep\", \"60\"]\n";
    Portcullis::new().config(config).run(["run", "--no-server"]).exits(0).says_not("starting");
}

#[test]
fn diagnostics_show_no_argument_of_a_step() {
    let config = "[[step]]\nname = \"a\"\ncommand = { run = [\"true\", \"${TOKEN}\"] }\n[server]\ncommand = [\"true\"]\n";
    let portcullis = Portcullis::new().config(config).env("TOKEN", "hunter2");
    portcullis.env("PORTCULLIS_LOG", "trace").run(["run"]).exits(0).says_not("hunter2");
}

#[test]
fn an_argv_that_is_let_past_the_gate_is_said_to_be() {
    let config = "[server]\ncommand = [\"false\"]\npassthrough = [[\"sh\"]]\n";
    let outcome = Portcullis::new().config(config).run(["run", "--", "sh", "-c", "echo alone"]).exits(0);
    assert_eq!(outcome.stdout, "alone\n");
    outcome.says("no step runs and nothing is proved");
}

fn with_full_error(portcullis: &Portcullis, arguments: &[&str]) -> Option<i32> {
    let full: File = OpenOptions::new().write(true).open("/dev/full").unwrap();
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .current_dir(portcullis.folder())
        .env_remove("DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(full)
        .status()
        .unwrap()
        .code()
}
