//! `portcullis doctor`: each check passes on a correct installation, fails on a broken one, and hides no other.

mod host;
mod server;
mod tenants;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{portcullis::Portcullis, process::Outcome};

/// Each check's outcome and message by its name.
fn checks(outcome: &Outcome) -> BTreeMap<String, (String, String)> {
    let printed: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |check: &Value| (text(&check["id"]), (text(&check["outcome"]), text(&check["message"])));
    printed["checks"].as_array().unwrap().iter().map(one).collect()
}

fn examine(portcullis: &Portcullis) -> BTreeMap<String, (String, String)> {
    checks(&portcullis.run(["doctor", "--format", "json"]))
}

/// Asserts the outcome of these checks, and that no other check failed.
#[track_caller]
fn assert_outcomes(portcullis: &Portcullis, expected: &[(&str, &str)]) -> BTreeMap<String, (String, String)> {
    let outcome = portcullis.run(["doctor", "--format", "json"]);
    let found = checks(&outcome);
    for (id, outcome) in expected {
        assert_eq!(found[*id].0, *outcome, "{id}\n{found:#?}");
    }
    let others = found
        .iter()
        .filter(|(id, (outcome, _))| outcome == "failed" && !expected.iter().any(|(one, _)| one == id));
    assert_eq!(others.count(), 0, "{found:#?}");
    let fails = expected.iter().any(|(_, outcome)| *outcome == "failed");
    outcome.exits(i32::from(fails));
    found
}
