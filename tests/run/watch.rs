//! `verify --every`: each change is reported once, and the list of quarantined tenants follows the tenants.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    http::{free_port, get},
    process::Running,
    project::Project,
    sample::{Engine, Sample},
    time_limits::until_true,
};

/// Ends the watch, which is a success.
fn end(watch: Running) -> String {
    watch.signal(Signal::SIGTERM);
    watch.wait().exits(0).stdout
}

#[test]
fn each_change_is_reported_once_and_a_lost_server_is_a_finding() {
    // The first notification fails and is sent again.
    let notify = "[notify]\ncommand = [\"sh\", \"-c\", \"test -e failed || { touch failed; exit 1; }; \
                  cat >> notifications; echo >> notifications\"]\n[metrics]\nfile = \"m.prom\"\n";
    let project = Project::complete("").step(notify);
    let role = format!("{}_watch", project.database.name());
    project.give_to(&role, "");
    let (server, _) = super::fence::server();
    let url = format!("postgres://{role}:x@{server}/{}", project.database.name());
    let project = project.env("DATABASE_URL", &url);
    let watch = project.portcullis.spawn(["verify", "--every", "2s"]);
    watch.wait_for_line("complete: the shared schema and 3 tenants complete");
    project.database.execute("DROP TABLE b.item");
    watch.wait_for_line("b: incomplete: table missing: item");
    let metrics = || fs::read_to_string(project.portcullis.path("m-watch.prom")).unwrap_or_default();
    let bad = "portcullis_schema_bad{schema=\"tenant\",tenant=\"b\",outcome=\"incomplete\"} 1";
    until_true("the metrics of the tenant", || metrics().contains(bad));
    assert!(!metrics().contains("tenant=\"a\""), "{}", metrics());
    // Two rounds without a change.
    let rounds = |number: usize| format!("portcullis_watch_rounds_total {number}\n");
    let round = (1..1_000).find(|number| metrics().contains(&rounds(*number))).unwrap();
    until_true("two more rounds", || metrics().contains(&rounds(round + 2)));
    project.database.execute(&format!("ALTER ROLE {role} NOLOGIN"));
    watch.wait_for_line("not proven: ");
    project.database.execute(&format!("ALTER ROLE {role} LOGIN"));
    watch.wait_for_line("proven again");
    project.database.execute(&format!("CREATE TABLE b.item (n bigint); ALTER TABLE b.item OWNER TO {role}"));
    watch.wait_for_line("b: complete again");
    until_true("the metrics of the repair", || !metrics().contains("portcullis_schema_bad"));
    let notifications = || fs::read_to_string(project.portcullis.path("notifications")).unwrap_or_default();
    until_true("the last notification", || notifications().contains("\"repaired\""));

    let printed = end(watch);
    for text in ["b: incomplete: ", "not proven: ", "proven again", "b: complete again"] {
        assert_eq!(printed.matches(text).count(), 1, "{text}\n{printed}");
    }
    let notifications = notifications();
    let changes: Vec<Value> = notifications
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .flat_map(|facts| facts["changes"].as_array().unwrap().clone())
        .collect();
    let kinds: Vec<&str> = changes.iter().map(|change| change["change"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["incomplete", "not_proven", "proven", "repaired"], "{notifications}");
    project.take_from(&role);
}

#[test]
fn the_sample_serves_a_repaired_tenant_again_without_a_restart() {
    let sample = Sample::complete_on(Engine::Postgres);
    let path = sample.portcullis.path("config.toml");
    let gate =
        "[gate]\nincomplete = \"quarantine\"\nmax_quarantined = 1\nquarantine_file = \"quarantined.json\"\n";
    fs::write(&path, fs::read_to_string(&path).unwrap() + gate).unwrap();
    let broken = "ALTER TABLE finance_invoice RENAME TO lost";
    let repaired = "ALTER TABLE lost RENAME TO finance_invoice";
    let sample = sample.env("SKIP_DEMO_TENANTS", "1");
    let status = |tenant: &str| get(sample.port, &format!("/{tenant}/finance/invoices/")).0;

    sample.execute(Some("acme"), broken);
    let server = sample.serve();
    assert_eq!((status("acme"), status("globex")), (503, 200));
    let watch = sample.portcullis.spawn(["verify", "--every", "2s"]);
    watch.wait_for_line("acme: incomplete");
    sample.execute(Some("acme"), repaired);
    until_true("the repaired tenant", || status("acme") == 200);
    watch.wait_for_line("no tenant is quarantined");
    sample.execute(Some("globex"), broken);
    until_true("the withdrawal of the broken tenant", || status("globex") == 503);
    watch.wait_for_line("quarantined: globex");
    // Above the maximum, the list stays.
    sample.execute(Some("acme"), broken);
    watch.wait_for_line("the list of quarantined tenants stays unchanged");
    assert_eq!(fs::read_to_string(sample.portcullis.path("quarantined.json")).unwrap(), "[\"globex\"]");
    end(watch);
    server.signal(Signal::SIGTERM);
    server.wait().exits(0);
}

#[test]
fn a_round_is_one_line_of_json_and_the_endpoint_has_the_last_one() {
    let port = free_port();
    let project = Project::complete("").step(&format!("[status]\nlisten = \"127.0.0.1:{port}\"\n"));
    project.database.execute("DROP TABLE b.item");
    let watch = project.portcullis.spawn(["verify", "--every", "2s", "--format", "json"]);
    watch.wait_for_line("\"round\":2");
    let last: Value = serde_json::from_str(&get(port, "/readyz").1).unwrap();
    assert_eq!(last["tenants"]["b"]["outcome"], "incomplete", "{last}");
    assert!(get(port, "/metrics").1.contains("portcullis_schemas{state=\"incomplete\"} 1\n"));
    let rounds: Vec<Value> = end(watch).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rounds[0]["changes"][0]["schema"], "b", "{}", rounds[0]);
    assert_eq!((&rounds[1]["changes"], &rounds[1]["outcome"]), (&Value::Array(vec![]), &"incomplete".into()));
    assert!(rounds[1]["tenants"].get("a").is_none());
}

#[test]
fn between_two_rounds_no_session_is_open() {
    let project = Project::complete("");
    let watch = project.portcullis.spawn(["verify", "--every", "10s"]);
    watch.wait_for_line("complete: ");
    let sessions = "SELECT pid::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    until_true("the end of the round's sessions", || project.database.column(sessions).is_empty());
    end(watch);
}

#[test]
fn an_interval_that_is_too_short_and_a_wrong_configuration_are_errors() {
    let project = Project::complete("");
    for (arguments, words) in [
        (["verify", "--every", "1s", "--structure"], "at least 2s"),
        (["verify", "--every", "5", "--structure"], "a number and a unit"),
        (["verify", "--every", "5m", "a"], "cannot be used with"),
        (["verify", "--every", "5m", "--format=junit"], "must be `text` or `json`"),
    ] {
        project.portcullis.run(arguments).exits(64).prints(words);
    }
    let project = project.replace("auto = true", "file = \"missing.json\"");
    project.portcullis.run(["verify", "--every", "2s"]).exits(78);
}
