//! Log formats for programs: JSON, GitHub's workflow commands, colours.

use serde_json::Value;

use crate::support::portcullis::Portcullis;

const STEPS: &str = "[[step]]\nname = \"talk\"\ncommand = { run = [\"sh\", \"-c\", \"echo out $TRACEPARENT; echo err >&2\"] }\n\
                     [[step]]\nname = \"other role\"\nwhen = { role = [\"worker\"] }\ncommand = { run = [\"true\"] }\n\
                     [[step]]\nname = \"optional\"\non_failure = \"warn\"\ncommand = { run = [\"false\"] }\n";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn every_line_is_an_object_with_the_documented_fields() {
    let portcullis = Portcullis::new().config(STEPS).env("TRACEPARENT", TRACE);
    let outcome = portcullis.run(["run", "--role", "web", "--log-format", "json"]).exits(0);
    let lines: Vec<Value> =
        outcome.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for field in ["time", "level", "event", "message", "run", "role", "traceparent"] {
            assert!(line[field].is_string(), "{field}: {line}");
        }
    }
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let mut streams: Vec<_> =
        of("output").iter().map(|line| (line["stream"].clone(), line["line"].clone())).collect();
    streams.sort_by_key(|(stream, _)| stream.to_string());
    assert_eq!(streams, [("stderr".into(), "err".into()), ("stdout".into(), format!("out {TRACE}").into())]);
    assert_eq!(of("step_skipped")[0]["step"], "other role");
    assert_eq!(of("step_failed")[0]["blocking"], false);
    let states: Vec<_> =
        of("finished")[0]["steps"].as_array().unwrap().iter().map(|step| step["state"].clone()).collect();
    assert_eq!(states, ["ok", "skipped", "warned"]);
}

#[test]
fn an_invalid_configuration_is_also_reported_as_json() {
    let portcullis = Portcullis::new().config("rol = \"web\"").env("PORTCULLIS_LOG_FORMAT", "json");
    let outcome = portcullis.run(["run"]).exits(78);
    let line: Value = serde_json::from_str(outcome.stderr.trim_end()).expect(&outcome.stderr);
    assert_eq!((&line["event"], &line["blocked"]["exit_code"]), (&"blocked".into(), &78.into()));
    assert!(line["problems"].as_str().unwrap().contains("did you mean `role`?"), "{line}");
}

#[test]
fn the_log_level_filters_lines() {
    let portcullis = Portcullis::new().config(STEPS);
    let quiet = portcullis.run(["run", "--role", "web", "--log-level", "warn"]).exits(0);
    assert_eq!(quiet.stderr.lines().count(), 1, "{quiet}");
    quiet.prints("failed, continuing");
    let silent = portcullis.run(["run", "--role", "web", "--log-level", "error"]).exits(0);
    assert_eq!(silent.stderr, "");
}

#[test]
fn the_longest_output_is_still_one_object_per_line() {
    let mut portcullis = Portcullis::new().config(STEPS).env("API_TOKEN", "correct-horse");
    for (level, variable) in [("debug", ""), ("info", "trace")] {
        portcullis = portcullis.env("PORTCULLIS_LOG", variable);
        let arguments = ["run", "--role", "web", "--log-format", "json", "--log-level", level];
        let outcome = portcullis.run(arguments).exits(0).prints_not("correct-horse");
        let lines = outcome.stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        let diagnostics = lines.filter(|line| line["event"] == "diagnostic").count();
        assert!(diagnostics > 0, "{outcome}");
    }
    let portcullis = portcullis.env("PORTCULLIS_LOG", "");
    portcullis.run(["run", "--role", "web", "--log-level", "debug"]).exits(0).prints("DEBUG portcullis");
    portcullis.run(["run", "--role", "web"]).exits(0).prints_not("DEBUG");
}

#[test]
fn the_log_ends_with_a_table_of_the_steps() {
    let outcome = Portcullis::new().config(STEPS).run(["run", "--role", "web"]).exits(0);
    let table: Vec<_> = outcome.stderr.lines().rev().skip(1).take(3).collect();
    for (line, words) in
        table.iter().rev().zip([["1  ok", "talk"], ["2  skipped", "other role"], ["3  warned", "optional"]])
    {
        assert!(words.iter().all(|word| line.contains(word)), "{line}\n{outcome}");
    }
}

#[test]
fn github_gets_groups_and_annotations() {
    let outcome =
        Portcullis::new().config(STEPS).env("GITHUB_ACTIONS", "true").run(["run", "--role", "web"]).exits(0);
    outcome
        .prints("::group::talk\n")
        .prints("::endgroup::\n")
        .prints("::warning title=optional::`false` exited with 1\n");
}

#[test]
fn colours_are_printed_on_terminals_and_on_request() {
    let portcullis = Portcullis::new().config(STEPS);
    portcullis.run(["run", "--role", "web"]).exits(0).prints_not("\u{1b}");
    portcullis.run(["run", "--role", "web", "--color", "always"]).exits(0).prints("\u{1b}[");
    let forced = portcullis.env("FORCE_COLOR", "1");
    forced.run(["run", "--role", "web"]).exits(0).prints("\u{1b}[");
    forced.run(["run", "--role", "web", "--color", "never"]).exits(0).prints_not("\u{1b}");
}
