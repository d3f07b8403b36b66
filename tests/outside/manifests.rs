//! The manifests under docker/: their configurations are valid, and those that hold a copy hold the same.

use std::{fs, path::Path};

use crate::support::portcullis::Portcullis;

#[test]
fn every_shipped_configuration_is_valid() {
    for file in ["docker/kubernetes/base/config.toml", "docker/replicas/config.toml"] {
        let portcullis = Portcullis::new().config(&read(file)).env("DB_HOST", "db");
        portcullis.run(["check"]).exits(0).says_not("warning");
        portcullis.run(["plan"]).exits(0).says("every tenant is complete");
    }
}

#[test]
fn a_deployment_beside_a_job_only_verifies() {
    let config = read("docker/kubernetes/base/config.toml");
    let portcullis = Portcullis::new().config(&config).env("DB_HOST", "db").env("SKIP_MIGRATIONS", "true");
    let plan = portcullis.run(["plan", "--format", "json"]).exits(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let skipped = |name: &str| {
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().find(|step| step["name"] == name).unwrap().to_string().contains("SKIP_MIGRATIONS")
    };
    assert!(
        skipped("shared schema") && skipped("tenant schemas") && !skipped("every tenant is complete"),
        "{plan}"
    );
}

#[test]
fn hooks_and_waves_carry_the_same_configuration() {
    let config = read("docker/kubernetes/base/config.toml");
    let lines = || config.lines().filter(|line| !line.starts_with("#:schema"));
    let expected: String =
        lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    for file in ["helm-hook.yaml", "argo-wave.yaml"] {
        let manifest = read(&format!("docker/kubernetes/variants/{file}"));
        assert!(manifest.contains(&expected), "{file} holds another config.toml");
    }
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
