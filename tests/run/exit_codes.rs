//! The table of `docs/exit-codes.md`, one test per line.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, process::Command};

use nix::sys::signal::Signal;

use crate::support::{
    cluster::{Database, cluster},
    http::free_port,
    portcullis::Portcullis,
    process::Running,
    sample::{Engine, Sample},
};

#[test]
fn zero_when_every_step_succeeds() {
    Sample::on(Engine::Sqlite).portcullis.run(["run", "--no-server"]).exits(0);
}

#[test]
fn one_when_a_tenant_is_proven_incomplete() {
    let sample = Sample::complete_on(Engine::Sqlite);
    sample.drop_schema("acme");
    sample.portcullis.run(["verify"]).exits(1);
}

#[test]
fn one_when_a_migration_fails() {
    let mut sample = Sample::complete_on(Engine::Sqlite);
    let table = "CREATE TABLE crm_note (id bigint PRIMARY KEY);\n";
    sample.execute(Some("acme"), table);
    sample.portcullis = sample.portcullis.file("migrations/tenant/5_notes.sql", table);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["run", "--no-server"]).exits(1).prints("5_notes.sql");
}

#[test]
fn sixty_four_for_an_unknown_argument() {
    Portcullis::new().run(["run", "--no-such-thing"]).exits(64);
}

#[test]
fn sixty_four_for_no_configuration_and_no_server() {
    Portcullis::new().run(["run", "--no-config"]).exits(64).prints("<SERVER>");
}

#[test]
fn sixty_nine_when_a_wait_times_out() {
    let wait = format!("wait.tcp = {{ address = \"127.0.0.1:{}\", timeout = \"300ms\" }}", free_port());
    step(&wait).run(["run"]).exits(69).prints("refused");
}

#[test]
fn seventy_three_when_a_tenant_cannot_be_provisioned() {
    let sample = Sample::complete_on(Engine::Postgres);
    sample.execute(None, "DELETE FROM tenants WHERE schema_name = 'demo'");
    // A schema of that name exists, and nothing proves that Portcullis created it.
    sample.portcullis.run(["run", "--no-server"]).exits(73).prints("demo");
}

#[test]
fn seventy_four_when_completeness_cannot_be_proved() {
    let database = Database::fresh();
    let role = format!("{}_reader", database.name());
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", &database.url());
    sample.portcullis.run(["run", "--no-server"]).exits(0);
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT USAGE ON SCHEMA public TO {role}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    ));
    let url = database.url();
    let (_, server) = url.split_once('@').unwrap();
    let sample = sample.env("DATABASE_URL", &format!("postgres://{role}:reader@{server}"));
    let outcome = sample.portcullis.run(["verify"]);
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    outcome.exits(74).prints("demo");
}

#[test]
fn seventy_seven_when_the_password_is_wrong() {
    let url = cluster();
    let (_, server) = url.split_once('@').unwrap();
    let portcullis = step("wait.database = { timeout = \"30s\" }");
    let text = format!("[database]\nurl = \"postgres://postgres:wr0ng@{server}\"\n");
    let config = fs::read_to_string(portcullis.path("config.toml")).unwrap();
    portcullis.config(&(text + &config)).run(["run"]).exits(77).prints("password").prints_not("wr0ng");
}

#[test]
fn seventy_seven_when_the_database_does_not_exist() {
    let (server, _) = cluster().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let sample = Sample::on(Engine::Sqlite).env("DATABASE_URL", &format!("{server}/no_such_database"));
    sample.portcullis.run(["run"]).exits(77).prints("no_such_database");
}

#[test]
fn seventy_when_there_are_too_few_descriptors() {
    let portcullis = step("command.run = [\"true\"]");
    for limit in 4..8 {
        let mut command = Command::new("prlimit");
        command.args([&format!("--nofile={limit}"), "--", env!("CARGO_BIN_EXE_portcullis"), "run"]);
        command.current_dir(portcullis.folder());
        Running::start(command, false).wait().exits(70).prints("exit 70 (out-of-resources)");
    }
}

#[test]
fn seventy_eight_without_a_configuration_file() {
    Portcullis::new().run(["run", "--", "true"]).exits(78).prints("config.toml");
}

#[test]
fn seventy_eight_for_an_invalid_configuration() {
    step("comand = { run = [\"true\"] }").run(["run"]).exits(78).prints("command");
}

#[test]
fn seventy_eight_without_a_manifest() {
    let sample = Sample::on(Engine::Sqlite);
    fs::remove_file(sample.portcullis.path("portcullis.manifest.json")).unwrap();
    sample.portcullis.run(["run"]).exits(78).prints("portcullis manifest sql");
}

#[test]
fn seventy_nine_when_a_command_fails() {
    step("command = { run = [\"sh\", \"-c\", \"echo it was me; exit 5\"] }")
        .run(["run"])
        .exits(79)
        .prints("5")
        .prints("it was me");
}

#[test]
fn seventy_nine_when_a_command_is_missing() {
    step("command = { run = [\"no-such-program\"] }").run(["run"]).exits(79).prints("no-such-program");
}

#[test]
fn one_hundred_and_twenty_four_when_a_command_takes_too_long() {
    step("command = { run = [\"sleep\", \"100\"], timeout = \"300ms\" }").run(["run"]).exits(124);
}

#[test]
fn one_hundred_and_twenty_six_when_the_server_cannot_be_executed() {
    let portcullis = Portcullis::new().config("").file("server", "");
    fs::set_permissions(portcullis.path("server"), fs::Permissions::from_mode(0o644)).unwrap();
    portcullis.run(["run", "--", "./server"]).exits(126).prints("server");
}

#[test]
fn one_hundred_and_twenty_seven_when_the_server_is_not_found() {
    Portcullis::new().config("").run(["run", "--", "no-such-server"]).exits(127).prints("no-such-server");
}

#[test]
fn one_hundred_and_forty_three_when_a_step_is_stopped_by_term() {
    let running = step("command = { run = [\"sh\", \"-c\", \"echo under way; sleep 100\"] }")
        .in_own_pid_namespace()
        .spawn(["run"]);
    running.wait_for_line("under way");
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("SIGTERM");
}

#[test]
fn one_hundred_and_thirty_when_a_wait_is_stopped_by_int() {
    // The listener never accepts, so the login gets no response.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let wait = format!("wait.redis = {{ url = \"redis://127.0.0.1:{port}\", timeout = \"50s\" }}");
    let running = step(&wait).in_own_pid_namespace().spawn(["run"]);
    running.wait_for_line("the only step");
    running.signal(Signal::SIGINT);
    running.wait().exits(130);
}

#[test]
fn the_server_keeps_its_own_code() {
    Portcullis::new().config("").run(["run", "--", "sh", "-c", "exit 42"]).exits(42);
}

/// A configuration with one step, and a server whose start is visible.
fn step(kind: &str) -> Portcullis {
    Portcullis::new().config(&format!(
        "[server]\ncommand = [\"echo\", \"the server started\"]\n\n[[step]]\nname = \"the only step\"\n{kind}\n"
    ))
}
