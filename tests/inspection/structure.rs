//! The comparison of structures: what is found, and that nothing else is.

use std::process::Command;

use crate::support::{cluster::Database, portcullis::Portcullis, process::Outcome};

pub(super) const EVERY_KIND: &str = include_str!("../fixtures/structure/every_kind.sql");

/// Tenants whose schema has an object of every kind.
pub(super) fn every_kind(url: &str, tenants: &[&str]) -> Portcullis {
    let config = r#"
        database = { url = "${DATABASE_URL}" }
        tenants = { registry = { table = "tenants", schema_column = "name" } }
        migrations = { shared = "shared", tenant = "tenant" }
        gate = { structure = "${STRUCTURE:-block}" }
        [server]
        command = ["echo", "the server started"]
        [[step]]
        name = "shared schema"
        migrate.shared = {}
        [[step]]
        name = "gate"
        verify = { tenants = "all" }
    "#;
    let portcullis = Portcullis::new()
        .config(config)
        .env("DATABASE_URL", url)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
        .file("tenant/1_objects.sql", EVERY_KIND);
    portcullis.run(["manifest", "sql"]).exits(0);
    portcullis.run(["migrate", "--shared"]).exits(0);
    for tenant in tenants {
        portcullis.run(["tenant", "create", tenant]).exits(0);
    }
    portcullis
}

/// The differences of each tenant: its name, the object, and whether it is missing, unexpected or changed.
fn differences(outcome: &Outcome) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON on standard output");
    let report = report.get("judgement").unwrap_or(&report);
    let mut all = Vec::new();
    for (tenant, verdict) in report["tenants"].as_object().unwrap() {
        for finding in verdict["findings"].as_array().unwrap() {
            for one in finding["differences"].as_array().into_iter().flatten() {
                let how = match (one["expected"].is_null(), one["actual"].is_null()) {
                    (false, true) => "missing",
                    (true, false) => "unexpected",
                    _ => "changed",
                };
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                all.push(format!("{tenant}: {} {}.{} {how}", text("object"), text("table"), text("name")));
            }
        }
    }
    all
}

#[test]
fn an_untouched_schema_with_every_kind_of_object_has_the_structure_of_its_manifest() {
    let database = Database::fresh();
    let portcullis = every_kind(&database.url(), &["acme", "B-2 \"x\""]);
    let outcome = portcullis.run(["verify", "--format", "json"]).exits(0);
    assert_eq!(differences(&outcome), [""; 0], "{outcome}");
    portcullis.run(["run"]).exits(0).prints("the server started");

    // A dump and its restoration change the text of some expressions, not the structure.
    let url = database.url();
    let arguments = ["--schema=acme", "--quote-all-identifiers", "--inserts", &url];
    let dump = Command::new("pg_dump").args(arguments).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dump = String::from_utf8(dump.stdout).unwrap().replace("\"acme\"", "\"restored\"");
    let lines: Vec<&str> = dump.lines().filter(|line| !line.starts_with('\\')).collect();
    database.execute(&lines.join("\n"));
    database.execute("INSERT INTO public.tenants VALUES ('restored')");
    let outcome = portcullis.run(["verify", "--format", "json"]).exits(0);
    assert_eq!(differences(&outcome), [""; 0], "{outcome}");
}

#[test]
fn a_difference_blocks_warns_or_is_not_looked_for_as_the_gate_says() {
    let database = Database::fresh();
    let portcullis = every_kind(&database.url(), &["acme", "globex"]);
    database.execute("ALTER TABLE acme.booking ALTER COLUMN room TYPE bigint");
    let text = "column booking.room: bigint NOT NULL, not integer NOT NULL";
    portcullis.run(["run"]).exits(1).prints("1 of 3 schemas incomplete").prints(text);
    portcullis.run(["verify"]).exits(1).prints(text);
    let portcullis = portcullis.env("STRUCTURE", "warn");
    portcullis.run(["run"]).exits(0).prints(text).prints("the server started");
    let portcullis = portcullis.env("STRUCTURE", "off");
    portcullis.run(["run"]).exits(0).prints_not("structure");
    let outcome = portcullis.run(["verify", "--structure", "--format", "json"]).exits(1);
    assert_eq!(differences(&outcome), ["acme: column booking.room changed"]);
}
