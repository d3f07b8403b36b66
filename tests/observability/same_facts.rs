//! A failing step: text, JSON, the endpoint, the termination message and the exit code report the same.

use std::fs;

use serde_json::Value;

use crate::support::{
    http::{free_port, get},
    process::Outcome,
    sample::{Engine, Sample},
};

#[test]
fn five_outputs_contain_the_same_facts() {
    let mut sample = Sample::complete_on(Engine::Sqlite);
    sample.execute(Some("acme"), "DROP TABLE finance_invoice");
    let port = free_port();
    // The endpoint still responds while the notification runs.
    let notify = "until [ -e asked ]; do sleep 0.05; done";
    let listen = format!("[status]\nlisten = \"127.0.0.1:{port}\"\n");
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let config = config.replace("[status]\n", &listen)
        + &format!("\n[notify]\ncommand = [\"sh\", \"-c\", \"{notify}\"]\ntimeout = \"1m\"\n");
    sample.portcullis = sample.portcullis.config(&config).env("PORTCULLIS_TERMINATION_LOG", "termination");

    let (text, state, page) = blocked(&sample, port, "plain", "THE SERVER WAS NOT STARTED");
    let (json, state_again, _) = blocked(&sample, port, "json", "\"event\":\"blocked\"");
    let termination = fs::read_to_string(sample.portcullis.path("termination")).unwrap();

    let line = json.stderr.lines().find(|line| line.contains("\"event\":\"blocked\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let facts = &line["blocked"];
    for state in [&state, &state_again] {
        assert_eq!(state["status"], "blocked");
        assert_eq!(&state["failure"], facts, "the endpoint differs from the log");
    }
    assert_eq!(facts["exit_code"], i64::from(text.code.unwrap()));
    assert_eq!(text.code, json.code);

    let tenant = facts["schemas"][0]["tenant"].as_str().unwrap();
    assert_eq!((tenant, facts["schemas"].as_array().unwrap().len()), ("acme", 1));
    let command = facts["next"][0]["command"].as_str().unwrap();
    let step = facts["step"]["name"].as_str().unwrap();
    let words = [
        format!("exit {} ({})", facts["exit_code"], facts["failure"].as_str().unwrap()),
        step.to_owned(),
        facts["what"].as_str().unwrap().to_owned(),
        tenant.to_owned(),
        "finance_invoice (its ledger is complete)".to_owned(),
        command.to_owned(),
    ];
    let cause = facts["likely_cause"].as_str().unwrap();
    for word in &words {
        assert!(text.failure_box().contains(word), "the box lacks {word:?}\n{text}");
        assert!(termination.contains(word), "the termination message lacks {word:?}\n{termination}");
    }
    for word in [tenant, "finance_invoice (its ledger is complete)", command, cause] {
        assert!(page.contains(word), "the page lacks {word:?}\n{page}");
    }
    assert!(termination.contains(cause) && termination.len() <= 4_096, "{termination}");
    assert!(text.failure_box().contains(&format!("{} of {}", facts["step"]["number"], facts["step"]["of"])));
}

/// Runs a blocked start with a log format, and reads the endpoint before the end.
fn blocked(sample: &Sample, port: u16, format: &'static str, line: &str) -> (Outcome, Value, String) {
    let asked = sample.portcullis.path("asked");
    let _ = fs::remove_file(&asked);
    let running = sample.portcullis.spawn(["run", "--log-format", format]);
    running.wait_for_line(line);
    let (status, body) = get(port, "/readyz");
    let (_, page) = get(port, "/");
    fs::write(asked, "").unwrap();
    assert_eq!(status, 503, "{body}");
    (running.wait().exits(1), serde_json::from_str(&body).expect(&body), page)
}
