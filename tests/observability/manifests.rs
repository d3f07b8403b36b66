//! The manifests under docker/: their configurations are valid, and all copies are equal.

use std::{fs, path::Path, process::Command};

use crate::support::{
    portcullis::Portcullis,
    process::{Outcome, Running},
};

#[test]
fn every_shipped_configuration_is_valid() {
    for file in ["docker/kubernetes/base/config.toml", "docker/replicas/config.toml"] {
        let portcullis = Portcullis::new().config(&read(file)).env("DB_HOST", "db");
        portcullis.run(["check"]).exits(0).prints_not("warning");
        portcullis.run(["plan"]).exits(0).prints("every tenant is complete");
    }
}

#[test]
fn a_deployment_with_a_migrate_job_only_verifies() {
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
fn hooks_and_waves_have_the_same_configuration() {
    let config = read("docker/kubernetes/base/config.toml");
    let lines = || config.lines().filter(|line| !line.starts_with("#:schema"));
    let expected: String =
        lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect();
    for file in ["helm-hook.yaml", "argo-wave.yaml"] {
        let manifest = read(&format!("docker/kubernetes/variants/{file}"));
        assert!(manifest.contains(&expected), "{file} holds another config.toml");
    }
}

#[test]
fn the_manifests_satisfy_kubernetes_and_the_gate() {
    checked(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/kubernetes")).exits(0);
}

#[test]
fn a_manifest_that_breaks_a_rule_is_reported() {
    for (file, right, wrong, words) in [
        ("pod.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
        ("pod.yaml", "drop: [ALL]", "drop: [NET_RAW]", "keeps capabilities"),
        ("base/deployment.yaml", "replicas: 10", "replicas: ten", "ten"),
        ("base/deployment.yaml", "imagePullPolicy", "imagePullPolice", "imagePullPolice"),
        ("base/deployment.yaml", "progressDeadlineSeconds: 2100", "progressDeadlineSeconds: 60", "deadline"),
        (
            "base/deployment.yaml",
            "mountPath: /etc/portcullis",
            "mountPath: /etc/portcullis\n              x: y",
            "x",
        ),
        ("variants/job.yaml", "[1, 73, 77, 78]", "[1, 73, 77]", "exit code 78 does not fail the Job"),
        ("variants/job.yaml", "values: [69, 75]", "values: [69]", "exit code 75 is not retried"),
        ("variants/argo-wave.yaml", "sync-wave: \"-2\"", "sync-wave: \"0\"", "does not follow the ConfigMap"),
        (
            "variants/helm-hook.yaml",
            "hook-weight: \"0\"",
            "hook-weight: \"-9\"",
            "does not follow the ConfigMap",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/kubernetes/.");
        Command::new("cp").arg("-R").args([&source, folder.path()]).status().unwrap();
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(right), "{file} does not contain {right}");
        fs::write(&path, text.replace(right, wrong)).unwrap();
        checked(folder.path()).exits(1).prints(words);
    }
}

fn checked(folder: &Path) -> Outcome {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = source.join("target/kubernetes/bin/python");
    assert!(python.exists(), "{} is missing: run scripts/kubernetes", python.display());
    let mut command = Command::new(python);
    command.arg(source.join("tests/observability/kubernetes.py")).arg(folder);
    Running::start(command, false).wait()
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
