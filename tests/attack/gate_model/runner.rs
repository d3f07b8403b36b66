//! One try: a project of random tenants, and the comparison of each verdict with the model's.

use std::{collections::BTreeSet, fs};

use fastrand::Rng;
use serde_json::Value;

use super::{
    catalog::{insert, make},
    engine::{Engine, Place},
    framework::{Framework, MIGRATIONS},
    model::{State, Tenant, UNKNOWN, Verdict},
};
use crate::support::portcullis::Portcullis;

const REGISTRY: &str = "CREATE TABLE tenants (name text PRIMARY KEY, place text);\n";

/// Findings that the model leaves out: remarks, and models of tables that are reported as missing.
const LEFT_OUT: [&str; 3] = ["retired", "recorded_twice", "models"];

/// A migration of the manifest.
pub struct Migration {
    pub id: String,
    pub checksum: String,
    name: String,
}

pub fn judged(framework: &Framework, place: Place, tenants: usize, random: &mut Rng) {
    let mut engine = Engine::new(place);
    let project = project(framework, place).env("DATABASE_URL", &engine.url());
    if let Some(command) = framework.manifest {
        project.run(["manifest", command]).exits(0);
    }
    let migrations = migrations(&project, "tenant");
    assert_eq!(migrations.len(), MIGRATIONS);

    let mut cases: Vec<Tenant> =
        (0..tenants).map(|_| Tenant::random(framework, place.absences(), random)).collect();
    cases.push(Tenant::whole(framework));
    let mut registry = REGISTRY.to_owned();
    for shared in self::migrations(&project, "shared") {
        registry += &format!("CREATE TABLE {};", framework.ledger);
        registry += &insert(framework, 0, &shared.id, &shared.checksum, State::Applied);
    }
    for (number, case) in cases.iter().enumerate() {
        let sql = engine.dialect(&make(framework, case, &migrations));
        let database = engine.create(&format!("t{number}"), case.presence, &sql);
        registry += &format!("INSERT INTO tenants VALUES ('t{number}', '{database}');");
    }
    engine.make_shared(&engine.dialect(&registry));
    if framework.manifest == Some("files") {
        project.run(["manifest", "structure", "--tenant", &format!("t{tenants}")]).exits(0);
    }
    let outcome = project.run(["verify", "--format", "json"]);
    let report: Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("no JSON: {outcome}"));
    let mut all = true;
    for (number, case) in cases.iter().enumerate() {
        let found = &report["tenants"][format!("t{number}")];
        let expected = case.verdict(framework);
        let case = format!("{} {place}, t{number}: {case:?}\n{found:#}", framework.title);
        assert_eq!(given(found, &migrations), expected, "{case}");
        assert_eq!(found["outcome"] == "complete", expected.is_complete(), "{case}");
        all &= expected.is_complete();
    }
    assert_eq!(outcome.code, Some(i32::from(!all)), "{outcome}");
}

/// The files and the configuration.
fn project(framework: &Framework, place: Place) -> Portcullis {
    let Framework { name, settings, .. } = framework;
    let program = match *name {
        "sql" => String::new(),
        _ => format!("framework = \"{name}\"\napply = {{ run = [\"migrate\", \"{{schema}}\"] }}"),
    };
    let config = format!(
        "database = {{ url = \"${{DATABASE_URL}}\" }}\ntenants = {{ registry = {{ table = \"tenants\", schema_column = \"name\"{} }} }}\n\
         [migrations]\n{program}\n{settings}\n[[step]]\nname = \"gate\"\nverify = {{ tenants = \"all\" }}\n",
        place.key()
    );
    let project = Portcullis::new().config(&config).file("shared/1_tenants.sql", REGISTRY);
    (framework.files)().into_iter().fold(project, |project, (path, text)| project.file(&path, &text))
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
    let mut verdict = Verdict::default();
    for finding in found["findings"].as_array().unwrap() {
        let kind = finding["kind"].as_str().unwrap();
        if LEFT_OUT.contains(&kind) {
            continue;
        }
        let listed = |key: &str| finding[key].as_array().cloned().unwrap_or_default();
        let known = |name: &Value| migrations.iter().position(|known| *name == known.name);
        let numbers: BTreeSet<usize> =
            listed("migrations").iter().map(|name| known(name).unwrap_or(UNKNOWN)).collect();
        // The name of a table ends in the number of its migration.
        let tables = listed("tables").into_iter().chain([finding["table"].clone()]);
        let of_tables = tables.filter_map(|table| table.as_str()?.strip_prefix('m')?.parse().ok());
        verdict.0.entry(kind.to_owned()).or_default().extend(numbers.into_iter().chain(of_tables));
    }
    verdict
}
