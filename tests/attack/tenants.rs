//! The gate over many tenants, some of which have failures of every kind: it names exactly these.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Instant,
};

use fastrand::Rng;
use serde_json::Value;

use super::tries::{attack, seconds, seed};
use crate::support::{
    fleet::{complete, copies, findings, names},
    server::Server,
    time_limits::ENOUGH,
};

/// The SQL of a failure in the current schema, and its finding.
const FAILURES: [(&str, &str); 7] = [
    ("DELETE FROM _sqlx_migrations WHERE version = 2; ALTER TABLE item DROP COLUMN note", "pending"),
    ("UPDATE _sqlx_migrations SET success = false WHERE version = 2", "dirty"),
    ("UPDATE _sqlx_migrations SET checksum = 'other' WHERE version = 1", "altered"),
    ("DROP TABLE item", "missing_tables"),
    ("ALTER TABLE item DROP COLUMN note", "missing_columns"),
    ("DROP TABLE _sqlx_migrations", "no_ledger"),
    ("DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema); END $$", "no_schema"),
];

/// A start without migrations.
const GATE: &str = r#"
database = { url = "${DATABASE_URL}" }
tenants = { registry = { table = "tenants", schema_column = "name" } }
migrations = { shared = "shared", tenant = "tenant" }
[server]
command = ["echo", "the server started"]
[[step]]
name = "gate"
verify = { tenants = "all" }
"#;

/// A transaction has a lock for each table of its tenants.
const AT_A_TIME: usize = 50;

/// The limits of the box in lines, of JSON in bytes for each tenant, and of a termination message in bytes.
const BOX: usize = 80;
const JSON: usize = 100;
const TERMINATION_MESSAGE: usize = 4_096;

#[test]
fn among_many_tenants_exactly_the_broken_ones_are_named() {
    let count = if seconds().is_some() { 10_000 } else { 300 };
    attack("gate", 1, vec![(format!("{count} tenants, every tenth broken"), ())], |_, (), _| judged(count));
}

fn judged(count: usize) {
    let server = Server::start("");
    let url = server.url("postgres");
    let project = complete(&url).env("PORTCULLIS_TERMINATION_LOG", "termination");
    let names = names(count);
    for chunk in names.chunks(AT_A_TIME) {
        server.execute("postgres", &copies(chunk));
    }
    let mut random = Rng::with_seed(seed());
    let broken: BTreeMap<&String, usize> = random
        .choose_multiple(&names, count / 10)
        .into_iter()
        .enumerate()
        .map(|(number, name)| (name, number % FAILURES.len()))
        .collect();
    let sql: Vec<String> = broken
        .iter()
        .map(|(name, kind)| format!("SET search_path TO {name}; {};\n", FAILURES[*kind].0))
        .collect();
    for chunk in sql.chunks(AT_A_TIME) {
        server.execute("postgres", &chunk.concat());
    }
    server.execute("postgres", "ANALYZE");

    let start = Instant::now();
    let outcome = project.spawn(["verify", "--format", "json"]).wait_up_to(ENOUGH * 2).exits(1);
    println!("{count} tenants, {} of them broken: {:.1} s", broken.len(), start.elapsed().as_secs_f64());
    let expected: BTreeSet<(String, String)> =
        broken.iter().map(|(name, kind)| ((*name).clone(), FAILURES[*kind].1.to_owned())).collect();
    assert_eq!(findings(&outcome).into_iter().collect::<BTreeSet<_>>(), expected);
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let summary = format!("{} of {} schemas incomplete", broken.len(), count + 2);
    assert_eq!(report["summary"], summary);
    assert_eq!(report["tenants"].as_object().unwrap().len(), count + 1);
    assert!(outcome.stdout.len() < JSON * count, "{} bytes", outcome.stdout.len());

    let project = project.config(GATE);
    let start = project.spawn(["run"]).wait_up_to(ENOUGH * 2).exits(1).prints_not("the server started");
    let text = start.failure_box();
    assert!(text.contains(&summary) && text.lines().count() <= BOX, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let groups = text.lines().filter_map(|line| line.trim().split_once(" schemas: ")?.0.parse().ok());
    let mut groups: Vec<usize> = groups.collect();
    let of = |kind| broken.values().filter(|of| **of == kind).count();
    let mut wanted: Vec<usize> = (0..FAILURES.len()).map(of).collect();
    groups.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(groups, wanted, "{text}");
    let message = fs::read_to_string(project.path("termination")).unwrap();
    assert!(message.len() <= TERMINATION_MESSAGE && message.contains(&summary), "{message}");

    project.file("tenant/3_next.sql", "SELECT 1;\n").run(["verify"]).exits(78).prints("3 next");
}
