//! The termination message, the metrics file and the notification command.

use std::{fs, time::Instant};

use serde_json::Value;

use crate::support::{portcullis::Portcullis, time_limits::was_prompt};

const BLOCKED: &str =
    "[[step]]\nname = \"files\"\ncommand = { run = [\"sh\", \"-c\", \"echo no space; exit 5\"] }\n";

#[test]
fn a_wrong_configuration_leaves_a_termination_message() {
    let portcullis = Portcullis::new().config("rol = 1").env("PORTCULLIS_TERMINATION_LOG", "termination");
    portcullis.run(["run"]).exits(78);
    let message = fs::read_to_string(portcullis.path("termination")).unwrap();
    assert!(message.starts_with("portcullis: exit 78 (config-invalid)"), "{message}");
    assert!(message.contains("portcullis check"), "{message}");
}

#[test]
fn the_metrics_file_remembers_the_last_success() {
    let metrics = "[metrics]\nfile = \"out.prom\"\n";
    let ok = "[[step]]\nname = \"fine\"\ncommand = { run = [\"true\"] }\n";
    let portcullis = Portcullis::new().config(&format!("{metrics}{ok}"));
    portcullis.run(["run"]).exits(0);
    let success = line(&portcullis, "portcullis_last_success_timestamp_seconds ");
    let portcullis = portcullis.config(&format!("{metrics}{BLOCKED}"));
    portcullis.run(["run"]).exits(79);
    assert_eq!(line(&portcullis, "portcullis_last_success_timestamp_seconds "), success);
    line(&portcullis, "portcullis_failure{failure=\"command-failed\",exit_code=\"79\"} 1");
    line(&portcullis, "portcullis_step_state{step=\"files\",state=\"failed\"} 1");
    let others = fs::read_dir(portcullis.folder())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".new"));
    assert_eq!(others.count(), 0, "a staging file remains");
}

#[test]
fn an_unwritable_file_is_a_warning() {
    let ok = "[[step]]\nname = \"fine\"\ncommand = { run = [\"true\"] }\n";
    let portcullis = Portcullis::new().config(&format!("[metrics]\nfile = \"/nowhere/out.prom\"\n{ok}"));
    portcullis.run(["run"]).exits(0).prints("warning: cannot write `/nowhere/out.prom`");
}

#[test]
fn an_address_in_use_is_a_warning() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ok = "[[step]]\nname = \"fine\"\ncommand = { run = [\"true\"] }\n";
    let portcullis = Portcullis::new().config(&format!("[status]\nlisten = \"{address}\"\n{ok}"));
    portcullis.run(["run"]).exits(0).prints("warning: cannot listen at");
}

#[test]
fn a_notification_has_the_facts_without_passwords() {
    let notify = "[notify]\ncommand = [\"sh\", \"-c\", 'cat > notification; printf %s \"$PORTCULLIS_NOTIFICATION\" > summary']\n";
    let step =
        "[[step]]\nname = \"leaky\"\ncommand = { run = [\"sh\", \"-c\", \"echo got $API_TOKEN; exit 5\"] }\n";
    let portcullis = Portcullis::new().config(&format!("{notify}{step}")).env("API_TOKEN", "correct-horse");
    portcullis.run(["run"]).exits(79).prints("got ********").prints_not("correct-horse");
    let notification = fs::read_to_string(portcullis.path("notification")).unwrap();
    assert!(!notification.contains("correct-horse"), "{notification}");
    let notification: Value = serde_json::from_str(&notification).unwrap();
    assert_eq!(notification["status"], "blocked");
    assert_eq!(notification["failure"]["output"], serde_json::json!(["got ********"]));
    let summary = fs::read_to_string(portcullis.path("summary")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["status"], "blocked");
    assert!(summary["text"].as_str().unwrap().contains("exit 79"), "{summary}");
}

#[test]
fn a_notification_has_every_field() {
    let notify = "[notify]\ncommand = [\"sh\", \"-c\", 'cat > notification']\n";
    let step = "[[step]]\nname = \"long\"\n\
                command.run = [\"sh\", \"-c\", \"for i in $(seq 20); do printf '%016000d\\\\n' 0; done; exit 5\"]\n";
    let portcullis = Portcullis::new().config(&format!("{notify}{step}"));
    portcullis.run(["run"]).exits(79).prints_not("[notify]");
    let notification: Value =
        serde_json::from_str(&fs::read_to_string(portcullis.path("notification")).unwrap()).unwrap();
    assert_eq!(notification["failure"]["output"].as_array().unwrap().len(), 20);
}

#[test]
fn a_hanging_or_missing_notification_program_has_no_effect() {
    let notify =
        "[notify]\ncommand = [\"sh\", \"-c\", \"trap '' TERM; sleep 100 & wait\"]\ntimeout = \"500ms\"\n";
    let started = Instant::now();
    let portcullis = Portcullis::new().config(&format!("{notify}{BLOCKED}"));
    portcullis.run(["run"]).exits(79).prints("[notify] command: it ran longer than 500 ms");
    was_prompt(started);
    let portcullis = portcullis.config(&format!("[notify]\ncommand = [\"/nowhere/notify\"]\n{BLOCKED}"));
    portcullis.run(["run"]).exits(79).prints("[notify] command: it could not be started");
}

#[test]
fn a_failed_creation_notifies_even_if_the_step_only_warns() {
    let config = "[notify]\ncommand = [\"sh\", \"-c\", 'cat > notification']\n\
                  [database]\nurl = \"sqlite://var\"\n\
                  [tenants]\nregistry = { table = \"tenants\", schema_column = \"schema_name\" }\n\
                  [migrations]\nshared = \"shared\"\ntenant = \"tenant\"\nmanifest.auto = true\n\
                  [[step]]\nname = \"shared schema\"\nmigrate.shared = {}\n\
                  [[step]]\nname = \"demo\"\nbootstrap = { tenants = [\"demo\"] }\non_failure = \"warn\"\n\
                  [server]\ncommand = [\"echo\", \"served\"]\n";
    let portcullis = Portcullis::new()
        .config(config)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (schema_name text PRIMARY KEY);\n")
        .file("tenant/1_notes.sql", "CREATE TABLE notes (id integer PRIMARY KEY);\n")
        // The owner of the schema cannot be proven.
        .file("var/tenants/demo.sqlite", "not a database");
    portcullis.run(["run"]).exits(0).prints("served\n");
    let notification: Value =
        serde_json::from_str(&fs::read_to_string(portcullis.path("notification")).unwrap()).unwrap();
    assert_eq!(notification["warned"][0]["name"], "demo", "{notification}");
    assert!(
        notification["warned"][0]["message"].as_str().unwrap().contains("cannot provision `demo`"),
        "{notification}"
    );
}

#[test]
fn the_log_of_three_hundred_broken_tenants_ends_with_the_most_useful_lines() {
    let config = "[database]\nurl = \"sqlite://var\"\n\
                  [tenants]\nregistry = { table = \"tenants\", schema_column = \"schema_name\" }\n\
                  [migrations]\nshared = \"shared\"\ntenant = \"tenant\"\nmanifest.auto = true\n\
                  [[step]]\nname = \"shared schema\"\nmigrate.shared = {}\n\
                  [[step]]\nname = \"every tenant\"\nverify = { tenants = \"all\" }\n";
    let tenants = "CREATE TABLE tenants (schema_name text PRIMARY KEY);\n\
                   WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 300)\n\
                   INSERT INTO tenants SELECT 'tenänt_of_a_rather_long_name_' || n FROM number;\n";
    let portcullis = Portcullis::new()
        .config(config)
        .file("shared/1_tenants.sql", tenants)
        .file("tenant/1_notes.sql", "CREATE TABLE notes (id integer PRIMARY KEY);\n")
        .env("PORTCULLIS_TERMINATION_LOG", "termination");
    let words = ["exit 1 (incomplete)", "every tenant", "restore tenänt_of", "tenant delete"];
    let positions = |text: &str| {
        let position = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word:?} is not in {text}"));
        words.map(position)
    };

    let log = portcullis.run(["run"]).exits(1).stderr;
    // Kubernetes shows the end of a log: 2048 bytes or 80 lines, whichever is less.
    let begin = log.ceil_char_boundary(log.len().saturating_sub(2_048));
    let shown: Vec<_> = log[begin..].lines().rev().take(80).collect();
    let shown: Vec<_> = shown.into_iter().rev().collect();
    positions(&shown.join("\n"));

    let message = fs::read(portcullis.path("termination")).unwrap();
    assert!(message.len() <= 4_096, "{}", message.len());
    assert!(
        positions(std::str::from_utf8(&message).unwrap()).is_sorted(),
        "the most useful line comes first"
    );

    let json = portcullis.run(["run", "--log-format", "json"]).exits(1).stderr;
    let last = json.lines().next_back().unwrap();
    assert!(last.len() < 2_048, "{}", last.len());
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"summary".into(), &1.into()));
    assert!(positions(last["message"].as_str().unwrap()).is_sorted(), "the most useful line comes first");
}

#[test]
fn a_failure_that_only_warns_sends_no_notification() {
    let notify = "[notify]\ncommand = [\"touch\", \"notification\"]\n";
    let portcullis = Portcullis::new().config(&format!("{notify}{BLOCKED}on_failure = \"warn\"\n"));
    portcullis.run(["run"]).exits(0);
    assert!(!portcullis.path("notification").exists());
}

#[track_caller]
fn line(portcullis: &Portcullis, begins: &str) -> String {
    let text = fs::read_to_string(portcullis.path("out.prom")).unwrap();
    text.lines()
        .find(|line| line.starts_with(begins))
        .unwrap_or_else(|| panic!("no {begins}:\n{text}"))
        .to_owned()
}
