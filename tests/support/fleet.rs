//! A project with any number of tenants, on any PostgreSQL: each with a table `item` and two migrations.

use super::{portcullis::Portcullis, process::Outcome};

const CONFIG: &str = r#"
database = { url = "${DATABASE_URL}", reader = { user = "${READER:-postgres}" } }
tenants = { registry = { table = "tenants", schema_column = "name" } }
migrations = { shared = "shared", tenant = "tenant" }
gate = { allow_standby = "${ALLOW_STANDBY:-false}" }
[server]
command = ["echo", "the server started"]
[[step]]
name = "shared schema"
migrate.shared = {}
[[step]]
name = "tenant schemas"
migrate.tenants = {}
[[step]]
name = "demo tenant"
bootstrap = { tenants = ["demo"] }
[[step]]
name = "gate"
verify = { tenants = "all" }
"#;

/// The files and the complete tenant `demo`.
pub fn complete(url: &str) -> Portcullis {
    let portcullis = Portcullis::new()
        .config(CONFIG)
        .env("DATABASE_URL", url)
        .file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n")
        .file("tenant/1_item.sql", "CREATE TABLE item (n bigint);\n")
        .file("tenant/2_note.sql", "ALTER TABLE item ADD COLUMN note text;\n");
    portcullis.run(["manifest", "sql"]).exits(0);
    portcullis.run(["run", "--no-server"]).exits(0);
    portcullis
}

/// The SQL that creates tenants with these names as copies of `demo`.
pub fn copies<N: AsRef<str>>(names: &[N]) -> String {
    names.iter().fold(String::new(), |sql, name| sql + &copy(name.as_ref()))
}

pub fn copy(name: &str) -> String {
    format!(
        "INSERT INTO public.tenants VALUES ('{name}'); CREATE SCHEMA {name}; \
         CREATE TABLE {name}.item (LIKE demo.item); \
         CREATE TABLE {name}._sqlx_migrations (LIKE demo._sqlx_migrations INCLUDING ALL); \
         INSERT INTO {name}._sqlx_migrations SELECT * FROM demo._sqlx_migrations;\n"
    )
}

/// `t0`, `t1` and so on.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("t{number}")).collect()
}

/// Every kind of finding in the output of `verify --format json`, with its tenant and its reason.
pub fn findings(outcome: &Outcome) -> Vec<(String, String)> {
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON on standard output");
    let report = report.get("judgement").unwrap_or(&report);
    let tenants = report["tenants"].as_object().unwrap_or_else(|| panic!("no tenants\n{outcome}"));
    let kinds = |(tenant, verdict): (&String, &serde_json::Value)| -> Vec<(String, String)> {
        let findings = verdict["findings"].as_array().unwrap();
        let kind = |finding: &serde_json::Value| {
            let why = finding["why"].as_str().map(|why| format!("{}: {why}", finding["kind"]));
            why.unwrap_or_else(|| finding["kind"].as_str().unwrap().to_owned())
        };
        findings.iter().map(|finding| (tenant.clone(), kind(finding))).collect()
    };
    tenants.iter().flat_map(kinds).collect()
}
