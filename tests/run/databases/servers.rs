//! Several servers of tenants' databases: the doctor checks each.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Project;
use crate::support::{http::free_port, server::Server};

/// The outcome and the message of the check of each server of tenants, by its id.
fn checks(project: &Project) -> BTreeMap<String, (String, String)> {
    let printed = project.portcullis.run(["doctor", "--format", "json"]);
    let printed: Value = serde_json::from_str(&printed.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = printed["checks"].as_array().unwrap().iter();
    let servers = checks.filter(|check| check["name"] == "server of tenants");
    servers.map(|check| (text(&check["id"]), (text(&check["outcome"]), text(&check["message"])))).collect()
}

#[test]
fn the_doctor_checks_each_server_and_one_without_a_connection_hides_no_other() {
    let project = Project::new("{url}", ", url text", "{ url = \"app_{schema}\" }");
    project.start().exits(0);
    let (other, gone) = (Server::start(""), free_port());
    other.execute("postgres", "CREATE ROLE plain LOGIN");
    other.execute("postgres", "CREATE DATABASE app_far");
    let far = format!("postgres://plain@127.0.0.1:{}/app_far", other.port());
    project.server.execute(
        "postgres",
        &format!("INSERT INTO tenants VALUES ('far', '{far}'), ('gone', 'postgres://127.0.0.1:{gone}/x')"),
    );
    let id = |port: u16| format!("server 127.0.0.1:{port}");
    let assert = |port: u16, outcome: &str, message: &str| {
        let found = checks(&project);
        let check = &found[&id(port)];
        assert!(check.0 == outcome && check.1.contains(message), "{found:#?}");
        found
    };
    let found = assert(other.port(), "failed", "`plain` lacks CREATEDB");
    assert_eq!(found.len(), 3, "{found:#?}");
    let (outcome, message) = &found[&id(project.server.port())];
    assert!(outcome == "warned" && message.contains("superuser"), "{found:#?}");
    let (outcome, message) = &found[&id(gone)];
    assert!(outcome == "failed" && message.contains(&gone.to_string()), "{found:#?}");

    other.execute("postgres", "ALTER ROLE plain CREATEDB");
    assert(other.port(), "passed", "1 database of tenants");
    // Another database of the server answers for one that is missing.
    other.execute("postgres", "DROP DATABASE app_far");
    assert(other.port(), "passed", "1 database of tenants");
    other.execute("postgres", "ALTER ROLE plain CONNECTION LIMIT 4");
    assert(other.port(), "warned", "the role may have 4 sessions");
    project.portcullis.run(["doctor"]).exits(1).prints(&format!("127.0.0.1:{gone}: "));
}
