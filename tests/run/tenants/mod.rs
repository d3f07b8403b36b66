//! `portcullis tenant`: whole or absent, whatever ends a creation, and nothing touched that is anybody else's.

mod concurrent;
mod create;
mod delete;
mod interrupted;
mod names;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{process::Outcome, project::Project};

/// A file that runs outside a transaction, and long enough to be met in the middle.
const SLOW: &str = "-- no-transaction\nCREATE TABLE slow (id int);\nSELECT pg_sleep(50) WHERE current_schema() NOT LIKE 'portcullis%';\n";

/// Fails wherever a tenant is made of it, and not where the manifest is.
const BAD: &str = "CREATE TABLE x (id int);\nDO $$ BEGIN IF current_schema() NOT LIKE 'portcullis%' THEN RAISE EXCEPTION 'bad'; END IF; END $$;\n";

/// The shared schema is there, and no tenant.
fn empty(apply: &str) -> Project {
    let project = Project::new(apply);
    project.portcullis.run(["migrate", "--shared"]).exits(0);
    project
}

/// With another file, which the manifest knows.
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

/// Starts a creation and returns once its slow file runs.
fn killed_in_the_middle(project: &Project, tenant: &str, signal: Signal) -> Outcome {
    let running = project.portcullis.spawn(["tenant", "create", tenant]);
    project.until_sleeping();
    running.signal(signal);
    running.wait()
}
