//! One try: a project of random tenants, and the comparison of each verdict with the model's.

use std::{collections::BTreeSet, fs};

use fastrand::Rng;
use serde_json::Value;

use super::{
    catalog::{insert, make},
    engine::Engine,
    framework::{Framework, MIGRATIONS},
    model::{State, Tenant, Verdict, tenant, verdict},
};
use crate::support::{cluster::Database, portcullis::Portcullis};

/// A migration of the manifest.
pub struct Migration {
    pub id: String,
    pub checksum: String,
    name: String,
}

pub fn judged(framework: &Framework, on_sqlite: bool, tenants: usize, random: &mut Rng) {
    let mut project = Portcullis::new().config(&config(framework));
    let engine = if on_sqlite {
        project = project.env("DATABASE_URL", "sqlite://var");
        Engine::Sqlite(project.copy())
    } else {
        let database = Database::fresh();
        project = project.env("DATABASE_URL", &database.url());
        Engine::Postgres(database)
    };
    project = project.file("shared/1_tenants.sql", "CREATE TABLE tenants (name text PRIMARY KEY);\n");
    for (path, text) in (framework.files)() {
        project = project.file(&path, &text);
    }
    let command = if framework.name == "sql" { "sql" } else { "files" };
    project.run(["manifest", command]).exits(0);
    let migrations = migrations(&project, "tenant");
    assert_eq!(migrations.len(), MIGRATIONS);

    let mut cases: Vec<Tenant> = (0..tenants).map(|_| tenant(framework, random)).collect();
    cases.push(Tenant::whole(framework));
    let mut registry = "CREATE TABLE tenants (name text PRIMARY KEY);".to_owned();
    if framework.name == "sql" {
        let shared = &self::migrations(&project, "shared")[0];
        registry += &format!("CREATE TABLE {};", framework.ledger);
        registry += &insert(framework, 0, &shared.id, &shared.checksum, State::Applied);
    }
    let mut schemas = String::new();
    for (number, case) in cases.iter().enumerate() {
        registry += &format!("INSERT INTO tenants VALUES ('t{number}');");
        let (name, sql) = (format!("t{number}"), make(framework, case, &migrations));
        match &engine {
            _ if !case.schema => {}
            Engine::Postgres(_) => {
                schemas += &format!("CREATE SCHEMA {name}; SET search_path TO {name}; {sql}");
            }
            Engine::Sqlite(_) => engine.execute(Some(&name), &sql),
        }
    }
    engine.execute(None, &(registry + &schemas));
    if let Engine::Sqlite(data) = &engine {
        fs::rename(data.path("var"), project.path("var")).unwrap();
    }
    if framework.name != "sql" {
        project.run(["manifest", "structure", "--tenant", &format!("t{tenants}")]).exits(0);
    }
    let outcome = project.run(["verify", "--format", "json"]);
    let report: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome}"));
    for (number, case) in cases.iter().enumerate() {
        let found = &report["tenants"][format!("t{number}")];
        let expected = verdict(framework, case);
        assert_eq!(given(found, &migrations), expected, "{} t{number}: {case:?}\n{found:#}", framework.name);
    }
    let all = cases.iter().all(|case| verdict(framework, case).complete);
    assert_eq!(outcome.code, Some(i32::from(!all)), "{outcome}");
}

fn config(framework: &Framework) -> String {
    let folders = if framework.name == "sql" {
        "shared = \"shared\"\ntenant = \"tenant\"".to_owned()
    } else {
        let name = framework.name;
        format!(
            "framework = \"{name}\"\ntenant = \"migrations\"\napply = {{ run = [\"migrate\", \"{{schema}}\"] }}"
        )
    };
    format!(
        "database = {{ url = \"${{DATABASE_URL}}\" }}\ntenants = {{ registry = {{ table = \"tenants\", schema_column = \"name\" }} }}\n\
         [migrations]\n{folders}\n[[step]]\nname = \"gate\"\nverify = {{ tenants = \"all\" }}\n"
    )
}

/// The migrations of the manifest, `shared` or `tenant`.
fn migrations(project: &Portcullis, of: &str) -> Vec<Migration> {
    let text = fs::read_to_string(project.path("portcullis.manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let migrations = manifest[of]["migrations"].as_array().unwrap().iter();
    let migration = |one: &Value| Migration {
        id: text(&one["id"]),
        checksum: text(&one["checksum"]),
        name: text(&one["name"]),
    };
    migrations.map(migration).collect()
}

/// The verdict of the gate.
fn given(found: &Value, migrations: &[Migration]) -> Verdict {
    let of = |kind: &str| -> BTreeSet<usize> {
        let findings = found["findings"].as_array().unwrap().iter().filter(|one| one["kind"] == kind);
        let listed = findings.flat_map(|one| one["migrations"].as_array().unwrap());
        let number = |name: &Value| migrations.iter().position(|known| *name == known.name);
        listed.map(|name| number(name).expect("a known migration")).collect()
    };
    Verdict {
        complete: found["outcome"] == "complete",
        pending: of("pending"),
        dirty: of("dirty"),
        altered: of("altered"),
    }
}
