//! `portcullis tenant`: a tenant is complete or absent after any interruption, and other objects are not changed.

mod concurrent;
mod create;
mod delete;
mod interrupted;
mod names;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{process::Outcome, project::Project};

/// A file that runs outside a transaction, long enough to be interrupted.
const SLOW: &str = "-- no-transaction\nCREATE TABLE slow (id int);\nSELECT pg_sleep(50) WHERE current_schema() NOT LIKE 'portcullis%';\n";

/// Fails in the creation of a tenant, and not in the derivation of the manifest.
const BAD: &str = "CREATE TABLE x (id int);\nDO $$ BEGIN IF current_schema() NOT LIKE 'portcullis%' THEN RAISE EXCEPTION 'bad'; END IF; END $$;\n";

/// A project with a shared schema and without tenants.
fn empty(apply: &str) -> Project {
    let project = Project::new(apply);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project
}

/// Adds a file and derives the manifest.
fn with(project: Project, name: &str, text: &str) -> Project {
    let mut project = project.file(name, text);
    let config = std::fs::read_to_string(project.portcullis.path("config.toml")).unwrap();
    if config.contains("auto = true") {
        project = project.replace("auto = true", "file = \"manifest.json\"");
    }
    project.portcullis.run(["manifest", "sql"]).exits(0);
    project
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"))
}

fn tenants(project: &Project) -> Vec<String> {
    project.database.column("SELECT name FROM tenants ORDER BY 1")
}

fn journal(project: &Project) -> Vec<String> {
    project.database.column("SELECT tenant || ' ' || kind FROM portcullis.journal ORDER BY 1")
}

/// Starts a creation and sends the signal while its slow file runs.
fn signalled_during_creation(project: &Project, tenant: &str, signal: Signal) -> Outcome {
    let running = project.portcullis.spawn(["tenant", "create", tenant]);
    project.until_sleeping();
    running.signal(signal);
    running.wait()
}
