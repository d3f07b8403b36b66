//! Several replicas that start at once, in real containers on a network of their own: one migrates, all serve.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{image::Image, services};
use crate::support::process::{Outcome, Running};

const PASSWORD: &str = "of-the-replicas";
/// `stop_grace_period` of the compose file, and what a busy machine may add.
const ENOUGH: Duration = Duration::from_secs(15 + 30);

/// What a test makes; dropped, it is gone, containers first.
struct Stage {
    image: Image,
    folder: TempDir,
    removes: Vec<Vec<String>>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("password"), PASSWORD).unwrap();
        for (path, mode) in [(folder.path().to_owned(), 0o755), (folder.path().join("password"), 0o644)] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        Self { image: Image::build(), folder, removes: Vec::new() }
    }

    fn name(&self) -> String {
        self.image.short().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("CONTAINERS_CONF", self.image.containers_conf());
        command
    }

    fn podman(&self, words: &[&str]) -> Outcome {
        let mut command = self.command("podman");
        command.args(words);
        Running::start(command, false).wait()
    }

    fn later_remove(&mut self, words: &[&str]) {
        self.removes.push(words.iter().map(|word| (*word).to_owned()).collect());
    }

    /// Waits until every container's log holds this.
    fn all_say(&self, containers: &[String], text: &str) -> Vec<String> {
        let follow = |name: &String| {
            let mut command = self.command("podman");
            command.args(["logs", "--follow", name]);
            Running::start(command, false)
        };
        let followed: Vec<Running> = containers.iter().map(follow).collect();
        for running in &followed {
            running.wait_for_line(text);
        }
        containers
            .iter()
            .map(|name| {
                let said = self.podman(&["logs", name]);
                said.stdout + &said.stderr
            })
            .collect()
    }

    /// TERM to all of them at once: each ends as its server does, and in time.
    fn all_end(&self, containers: &[String]) {
        let begun = Instant::now();
        for name in containers {
            self.podman(&["kill", "--signal", "TERM", name]).exits(0);
        }
        for name in containers {
            assert_eq!(self.podman(&["wait", name]).exits(0).stdout.trim(), "0", "{name}");
        }
        assert!(begun.elapsed() < ENOUGH, "{:?}", begun.elapsed());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for words in self.removes.iter().rev() {
            let _ = self.command("podman").args(words).output();
        }
    }
}

/// Each migration was applied by one of them, and by one alone.
fn applied_once(logs: &[String]) {
    for what in ["shared schema", "demo tenants"] {
        let done = |log: &&String| {
            log.lines().any(|line| {
                line.contains(what)
                    && line.contains("ok")
                    && !line.contains("nothing pending")
                    && !line.contains("0 created")
            })
        };
        assert_eq!(logs.iter().filter(done).count(), 1, "{what}: {logs:#?}");
    }
}

#[test]
fn ten_replicas_start_at_once_and_one_of_them_migrates() {
    let (postgres, redis) = (services::postgres(), services::redis());
    let mut stage = Stage::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compose = fs::read_to_string(source.join("docker/replicas/compose.yaml")).unwrap();
    assert!(compose.contains("replicas: 10"), "{compose}");
    // podman's compose knows no secret that is a variable.
    let compose = compose.replace("    environment: POSTGRES_PASSWORD", "    file: ./password");
    fs::write(stage.path("compose.yaml"), compose).unwrap();
    fs::copy(source.join("docker/replicas/config.toml"), stage.path("config.toml")).unwrap();
    let project = stage.name();
    let names: Vec<String> = (1..=10).map(|number| format!("{project}_web_{number}")).collect();
    let up = |words: &[&str]| {
        let mut command =
            stage.command(source.join("target/kubernetes/bin/podman-compose").to_str().unwrap());
        command.args(["-p", &project, "-f", stage.path("compose.yaml").to_str().unwrap()]).args(words);
        command.env("POSTGRES_PASSWORD", PASSWORD).env("INVOICES_IMAGE", stage.image.name());
        command.env("POSTGRES_IMAGE", postgres.name()).env("REDIS_IMAGE", redis.name());
        Running::start(command, false).wait()
    };
    // The replicas first: they wait, and then all of them are there at the same moment.
    let first = up(&["up", "-d", "--no-build", "--scale", "web=10", "redis", "web"]);
    let second = up(&["up", "-d", "--no-build", "db"]);
    stage.later_remove(&["volume", "rm", "-f", &format!("{project}_data")]);
    stage.later_remove(&["network", "rm", "-f", &format!("{project}_default")]);
    stage.later_remove(&["pod", "rm", "-f", &format!("pod_{project}")]);
    for name in names
        .iter()
        .map(String::as_str)
        .chain([format!("{project}_db_1").as_str(), &format!("{project}_redis_1")])
    {
        stage.later_remove(&["rm", "-f", "-v", "-t", "0", name]);
    }
    assert!(first.code == Some(0) && second.code == Some(0), "{first}\n{second}");
    let logs = stage.all_say(&names, "invoices: listening");
    applied_once(&logs);
    for name in &names {
        stage.podman(&["exec", name, "/portcullis", "health"]).exits(0);
    }
    stage.all_end(&names);
}

#[test]
fn the_deployment_plays_with_its_config_map_and_its_replicas() {
    let postgres = services::postgres();
    let mut stage = Stage::new();
    let name = stage.name();
    stage.podman(&["network", "create", &name]).exits(0);
    stage.later_remove(&["network", "rm", "-f", &name]);
    let database = format!("{name}-db");
    let password = format!("{}:/password:ro", stage.path("password").display());
    stage
        .podman(&[
            "run",
            "-d",
            "--name",
            &database,
            "--network",
            &name,
            "--network-alias=postgres",
            "-v",
            &password,
            "-e",
            "POSTGRES_USER=invoices",
            "-e",
            "POSTGRES_DB=invoices",
            "-e",
            "POSTGRES_PASSWORD_FILE=/password",
            postgres.name(),
        ])
        .exits(0);
    stage.later_remove(&["rm", "-f", "-v", "-t", "0", &database]);
    let file = stage.path("deployment.yaml");
    fs::write(&file, deployment(&stage, &name)).unwrap();
    let pods: Vec<String> = (0..3).map(|number| format!("{name}-pod-{number}")).collect();
    stage.later_remove(&[
        "volume",
        "rm",
        "-f",
        &format!("{name}-config"),
        &format!("{name}-state"),
        &format!("{name}-tmp"),
    ]);
    for pod in &pods {
        stage.later_remove(&["pod", "rm", "-f", "-t", "0", pod]);
    }
    stage.podman(&["kube", "play", "--network", &name, file.to_str().unwrap()]).exits(0);
    let containers: Vec<String> = pods.iter().map(|pod| format!("{pod}-web")).collect();
    stage.all_say(&containers, "invoices: listening");
    for container in &containers {
        stage.podman(&["exec", container, "/portcullis", "health"]).exits(0);
    }
    stage.all_end(&containers);
}

/// The shipped files, as far as podman can play them: no host ports for replicas, the secret as a file of the host, and
/// no registry.
fn deployment(stage: &Stage, name: &str) -> String {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/kubernetes/base");
    let config = fs::read_to_string(base.join("config.toml")).unwrap();
    let config: String = config
        .lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
        .collect::<Vec<_>>()
        .concat();
    let secret = "secret:\n            secretName: invoices-database";
    let folder = format!("hostPath:\n            path: {}", stage.folder.path().display());
    let reference = "valueFrom:\n                secretKeyRef:\n                  name: invoices-database\n                  key: url";
    let deployment = fs::read_to_string(base.join("deployment.yaml")).unwrap();
    for expected in [
        secret,
        reference,
        "replicas: 10",
        "ports:\n            - name: http\n              containerPort: 8000\n",
    ] {
        assert!(deployment.contains(expected), "the manifest does not hold {expected}");
    }
    let deployment = deployment
        .replace(secret, &folder)
        .replace(reference, &format!("value: postgres://invoices:{PASSWORD}@postgres/invoices"))
        .replace("          ports:\n            - name: http\n              containerPort: 8000\n", "")
        .replace("port: http", "port: 8000")
        .replace("replicas: 10", "replicas: 3")
        .replace("localhost/portcullis-invoices:latest", stage.image.name())
        .replace("name: invoices-config", &format!("name: {name}-config"))
        .replace("name: state", &format!("name: {name}-state"))
        .replace("name: tmp", &format!("name: {name}-tmp"))
        .replacen("name: invoices\n", &format!("name: {name}\n"), 1);
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}-config\ndata:\n  config.toml: |\n{config}---\n{deployment}"
    )
}
