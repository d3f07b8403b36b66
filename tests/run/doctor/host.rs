//! Checks of the configuration, the image and the process, and how they are printed.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{assert_outcomes, checks};
use crate::support::{
    portcullis::Portcullis,
    process::Running,
    sample::{Engine, Sample},
};

#[test]
fn an_invalid_configuration_is_the_only_failure() {
    let broken =
        Portcullis::new().config("[databse]\nurl = \"sqlite://var\"\n").file("Dockerfile", "FROM a\n");
    assert_outcomes(
        &broken,
        &[("configuration-valid", "failed"), ("lock", "not_applicable"), ("entrypoint", "warned")],
    );
    assert_outcomes(
        &Portcullis::new(),
        &[("configuration-valid", "failed"), ("gate-blocks", "not_applicable")],
    );
}

#[test]
fn secret_files_that_every_user_may_read_are_a_warning() {
    let sample = Sample::complete_on(Engine::Sqlite).file("token", "abcd1234\n").file("key", "efgh5678\n");
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let (token, key) = (sample.portcullis.path("token"), sample.portcullis.path("key"));
    let step = "[[step]]\nname = \"tokens\"\ncommand = { run = [\"true\"], \
        env = { A = { file = \"token\" }, B = { env = \"KEY\" } } }\n";
    let sample =
        sample.file("config.toml", &format!("{config}\n{step}")).env("KEY_FILE", &key.display().to_string());
    for (mode, outcome) in [(0o644, "warned"), (0o440, "passed")] {
        for file in [&token, &key] {
            fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let found = assert_outcomes(&sample.portcullis, &[("secret-files", outcome)]);
        let message = &found["secret-files"].1;
        let is_named = |file: &str| message.contains(file);
        assert_eq!((is_named("token"), is_named("key")), (mode == 0o644, mode == 0o644), "{message}");
    }
}

#[test]
fn a_server_that_cannot_run_and_an_ungated_start_are_failures() {
    let sample = Sample::complete_on(Engine::Sqlite).env("INVOICES", "/nonexistent/invoices");
    assert_outcomes(&sample.portcullis, &[("server-command", "failed"), ("step-programs", "failed")]);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let sample = sample.file(
        "config.toml",
        &config.replace("verify = { tenants = \"all\" }", "verify = { tenants = [\"demo\"] }"),
    );
    assert_outcomes(
        &sample.portcullis,
        &[
            ("gate-blocks", "failed"),
            ("server-command", "failed"),
            ("step-programs", "failed"),
            ("configuration-valid", "warned"),
        ],
    );
    let conditional = config.replace(
        "verify = { tenants = \"all\" }",
        "when = { env = \"GATE\" }\nverify = { tenants = \"all\" }",
    );
    let sample = sample.file("config.toml", &conditional);
    assert_outcomes(
        &sample.portcullis,
        &[("gate-blocks", "warned"), ("server-command", "failed"), ("step-programs", "failed")],
    );
    let few =
        config.replace("schema_column = \"schema_name\"", "schema_column = \"schema_name\", min_rows = 9");
    let sample = sample.file("config.toml", &few);
    assert_outcomes(
        &sample.portcullis,
        &[("registry-readable", "failed"), ("server-command", "failed"), ("step-programs", "failed")],
    );
}

#[test]
fn the_doctor_reports_the_program_with_pid_1() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let own = sample.env("A", "b");
    let first = own.portcullis.run(["doctor", "--format", "json"]);
    assert_ne!(checks(&first)["pid-1"].0, "passed", "{first}");
    let portcullis = Portcullis::new().config("").in_own_pid_namespace();
    assert_eq!(checks(&portcullis.run(["doctor", "--format", "json"]))["pid-1"].0, "passed");
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        "\"$0\" doctor --format json; true",
    ]);
    command.arg(env!("CARGO_BIN_EXE_portcullis")).current_dir(own.portcullis.folder());
    let under_a_shell = Running::start(command, true).wait();
    assert_eq!(checks(&under_a_shell)["pid-1"].0, "warned", "{under_a_shell}");
}

#[test]
fn an_unwritable_termination_message_is_a_failure() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let path = sample.portcullis.path("message").display().to_string();
    let sample = sample.env("PORTCULLIS_TERMINATION_LOG", &path);
    assert_outcomes(&sample.portcullis, &[("termination-log", "passed")]);
    let sample = sample.env("PORTCULLIS_TERMINATION_LOG", "/nonexistent/message");
    assert_outcomes(&sample.portcullis, &[("termination-log", "failed")]);
}

#[test]
fn an_image_that_does_not_start_with_portcullis_is_a_failure() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let sample = sample.file("Dockerfile", "FROM scratch\nENTRYPOINT [\"/portcullis\", \"run\", \"--\"]\n");
    assert_outcomes(&sample.portcullis, &[("entrypoint", "passed")]);
    let sample = sample.file("Dockerfile", "FROM scratch\nENTRYPOINT exec /portcullis run --\n");
    assert_outcomes(&sample.portcullis, &[("entrypoint", "failed")]);
}

#[test]
fn the_doctor_prints_junit_for_a_ci_server() {
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let junit = sample.portcullis.run(["doctor", "--format", "junit"]).exits(1);
    fs::write(sample.portcullis.path("doctor.xml"), &junit.stdout).unwrap();
    let script = "import sys, xml.etree.ElementTree as x\n\
        suite = x.parse('doctor.xml').getroot()[0]\n\
        failed = [c.get('name') for c in suite if c.find('failure') is not None]\n\
        print(len(suite) == int(suite.get('tests')), failed)";
    let mut python = Command::new("python3");
    python.args(["-c", script]).current_dir(sample.portcullis.folder());
    Running::start(python, false).wait().exits(0).prints("True ['demo-complete', 'tenants-complete']");
}
