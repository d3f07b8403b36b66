//! The example's configuration is short and has every step of the shell script that it replaces.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::portcullis::Portcullis;

/// The actions of the script, in order.
const STEPS: [&str; 16] = [
    "database",
    "redis",
    "broker",
    "extensions",
    "shared schema",
    "tenant schemas",
    "demo tenants",
    "demo tenant is complete",
    "every tenant is complete",
    "invoice totals",
    "cache table",
    "static files",
    "demo data",
    "geocoding",
    "deployment check",
    "test suite",
];

/// The actions that need a flag.
const FLAGGED: [&str; 7] = [
    "demo tenants",
    "demo tenant is complete",
    "demo data",
    "geocoding",
    "deployment check",
    "test suite",
    "broker",
];

const FLAGS: [&str; 5] =
    ["CREATE_DEMO_TENANT", "LOAD_DEMO_DATA", "RUN_GEOCODING", "RUN_DEPLOY_CHECK", "RUN_TESTS"];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The steps that a container does not skip.
fn plan(env: &[(&str, &str)]) -> Vec<String> {
    let mut portcullis =
        Portcullis::new().config(&read("examples/django/config.toml")).env("DB_PASSWORD", "x");
    for (name, value) in env {
        portcullis = portcullis.env(name, value);
    }
    let result = portcullis.run(["plan", "--format", "json"]).exits(0);
    let plan: Value = serde_json::from_str(&result.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let run = steps.iter().filter(|step| step["decision"].get("skip").is_none());
    run.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

fn without(skipped: &[&str]) -> Vec<&'static str> {
    STEPS.into_iter().filter(|step| !skipped.contains(step)).collect()
}

#[test]
fn the_configuration_is_short_and_has_every_step_of_the_script() {
    let lines = read("examples/django/config.toml").lines().count();
    assert!(lines <= 120, "{lines} lines");
    assert!(read("docs/from-entrypoint-sh.md").contains(&format!("the same in {lines} lines")), "{lines}");

    let all: Vec<(&str, &str)> = FLAGS.map(|flag| (flag, "yes")).into();
    assert_eq!(plan(&all), without(&["broker"]), "a web container with every flag");
    assert_eq!(plan(&[]), without(&FLAGGED), "a web container");
    let worker = plan(&[all.as_slice(), &[("SERVICE_TYPE", "celery-mail")]].concat());
    let waits = ["database", "redis", "broker", "demo tenant is complete", "every tenant is complete"];
    assert_eq!(worker, [waits.as_slice(), &["deployment check"]].concat(), "a worker writes nothing");
    let skipping = [("SKIP_MIGRATIONS", "1"), ("SKIP_BACKFILL", "true"), ("SKIP_COLLECTSTATIC", "on")];
    let remaining = ["database", "redis", "extensions", "every tenant is complete", "cache table"];
    assert_eq!(plan(&skipping), remaining, "whatever is skipped, every tenant is verified");
}
