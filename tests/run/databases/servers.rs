//! Several servers of tenants' databases: the doctor checks each.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Project;
use crate::support::{http::free_port, server::Server};

/// The outcome and the message of each check of the servers of tenants, by its id.
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
    let assert = |port: u16, check: &str, outcome: &str, message: &str| {
        let found = checks(&project);
        let id = format!("server 127.0.0.1:{port}{check}");
        let is = |(found, text): &(String, String)| found == outcome && text.contains(message);
        assert!(found.get(&id).is_some_and(is), "{id}: {found:#?}");
        found
    };
    let found = assert(other.port(), " role-privileges", "failed", "`plain` lacks CREATEDB");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert(project.server.port(), " role-privileges", "warned", "superuser");
    assert(gone, " database-reachable", "failed", &gone.to_string());

    // Each fault of a server is reported.
    other.execute("postgres", "ALTER ROLE plain CONNECTION LIMIT 4");
    assert(other.port(), " role-privileges", "failed", "`plain` lacks CREATEDB");
    assert(other.port(), " server-limits", "warned", "the role may have 4 sessions");
    other.execute("postgres", "ALTER ROLE plain CREATEDB CONNECTION LIMIT -1");
    assert(other.port(), "", "passed", "1 database of tenants");
    // Another database of the server answers for one that is missing.
    other.execute("postgres", "DROP DATABASE app_far");
    assert(other.port(), "", "passed", "1 database of tenants");
    project.portcullis.run(["doctor"]).exits(1).prints(&format!("127.0.0.1:{gone}: "));
}

#[test]
fn the_doctor_says_that_an_unreadable_registry_hides_the_servers() {
    let project = Project::new("{url}", ", url text", "{ url = \"app_{schema}\" }");
    project.start().exits(0);
    project
        .server
        .execute("postgres", "ALTER TABLE tenants RENAME TO other; CREATE VIEW tenants AS SELECT 1 AS n");
    let found = checks(&project);
    let (outcome, message) = &found["servers"];
    assert!(
        outcome == "failed" && message.contains("the registry, which names them, cannot be read"),
        "{found:#?}"
    );
}
