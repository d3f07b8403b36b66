//! Many real containers at once on one PostgreSQL.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::image::Image;
use crate::{
    run::{
        cooperate::twelve_tenants,
        lock::{HOLDER, slow, with_slow_migration},
    },
    support::{
        cluster::Database,
        process::{Outcome, Running},
        project::Project,
        server::Server,
        time_limits::ENOUGH,
    },
};

const SERVER: &str = "command = [\"/busybox\", \"echo\", \"the server started\"]";

/// Containers of one image with the project's folder mounted; dropping it removes them.
struct Replicas<'a> {
    project: &'a Project,
    running: Vec<(String, Running)>,
}

impl<'a> Replicas<'a> {
    fn start(image: &'a Image, project: &'a Project, count: usize) -> Self {
        Self::start_on(image, project, count, "host", &project.database.url())
    }

    /// Starts them on a network from which the database has this address.
    fn start_on(image: &'a Image, project: &'a Project, count: usize, network: &str, url: &str) -> Self {
        let mut replicas = Self { project, running: Vec::new() };
        for number in 0..count {
            let name = format!("{}-replica-{number}", image.short());
            let mut command = image.podman();
            command
                .args(["run", "--rm", "--name", &name, "--network", network, "--read-only"])
                .args(["--user=65532:65532", "--cap-drop=all", "--security-opt=no-new-privileges"])
                .arg(format!("--volume={}:/app:ro", project.portcullis.folder().display()))
                .arg(format!("--env=DATABASE_URL={url}"))
                .args(["--workdir=/app", image.name(), "run"]);
            replicas.running.push((name, Running::start(command, false)));
        }
        replicas
    }

    /// Waits until this number of containers has printed this text.
    #[track_caller]
    fn until(&self, count: usize, text: &str) {
        let deadline = Instant::now() + ENOUGH;
        let printed = || self.running.iter().filter(|(_, replica)| replica.has_printed(text)).count();
        while printed() < count {
            assert!(Instant::now() < deadline, "{} of {count} have printed {text:?}", printed());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Checks that no container serves.
    #[track_caller]
    fn assert_none_serves(&self) {
        for (_, replica) in &self.running {
            assert!(!replica.has_printed("the server started"));
        }
    }

    /// Removes and returns the container that holds the lock.
    fn holder(&mut self) -> (String, Running) {
        let waits = |replica: &Running| replica.has_printed("waiting for the lock");
        let holder =
            self.running.iter().position(|(_, replica)| !waits(replica)).expect("one of them holds it");
        self.running.remove(holder)
    }

    fn release(&self) {
        self.project.database.execute("INSERT INTO public.released VALUES (1)");
    }

    fn wait(&mut self) -> Vec<Outcome> {
        self.running.drain(..).map(|(_, replica)| replica.wait()).collect()
    }
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        for (name, _) in &self.running {
            let _ = Command::new("podman").args(["rm", "--force", "--time=0", name]).output();
        }
    }
}

/// The project with a server that the image contains.
fn containers(project: Project) -> (Image, Project) {
    let project = project.replace("command = [\"echo\", \"the server started\"]", SERVER);
    (Image::bare(""), project)
}

/// Checks that every tenant was migrated once.
#[track_caller]
fn assert_migrated_once(project: &Project) {
    for (tenant, rows) in [("a", vec!["1", "2"]), ("b", vec!["2"]), ("c", vec!["2"])] {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item ORDER BY 1")), rows);
    }
}

/// A container network on which this machine has an address; dropping it removes the network.
struct Network<'a> {
    image: &'a Image,
    name: String,
}

impl<'a> Network<'a> {
    fn create(image: &'a Image) -> Self {
        let network = Self { image, name: format!("{}-network", image.short()) };
        podman(image, &["network", "create", &network.name]);
        network
    }

    fn address(&self) -> String {
        let gateway = "{{(index .Subnets 0).Gateway}}";
        let output = podman(self.image, &["network", "inspect", "--format", gateway, &self.name]);
        output.stdout.trim().to_owned()
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["network", "rm", "--force", &self.name]).output();
    }
}

#[track_caller]
fn podman(image: &Image, arguments: &[&str]) -> Outcome {
    let mut command = image.podman();
    command.args(arguments);
    Running::start(command, false).wait().exits(0)
}

#[test]
fn one_of_ten_containers_migrates_and_all_serve_afterwards() {
    let project = slow()
        .file("shared/2_count.sql", "CREATE TABLE applied (n int);\nINSERT INTO applied VALUES (1);\n")
        .step("[[step]]\nname = \"first data\"\nsql = { run = \"INSERT INTO applied VALUES (2)\", once_per_release = true }\n");
    let (image, project) = containers(project);
    let mut replicas = Replicas::start(&image, &project, 10);
    project.until_running("wait for release");
    replicas.until(9, "waiting for the lock: portcullis ");
    replicas.assert_none_serves();
    replicas.release();
    for outcome in replicas.wait() {
        outcome.exits(0).prints("gate: ok").prints("the server started");
    }
    assert_eq!(project.database.column("SELECT n::text FROM applied ORDER BY 1"), ["1", "2"]);
    assert_migrated_once(&project);
}

#[test]
fn another_container_takes_over_when_the_lock_holder_is_killed() {
    let (image, project) = containers(slow());
    let mut replicas = Replicas::start(&image, &project, 10);
    project.until_running("wait for release");
    replicas.until(9, "waiting for the lock: portcullis ");
    let (name, killed) = replicas.holder();
    let first = project.database.column(HOLDER);
    podman(&image, &["kill", "--signal=KILL", &name]);
    killed.wait().exits(137);
    project.until(true, &format!("{HOLDER} AND pid <> {}", first[0]));
    replicas.assert_none_serves();
    replicas.release();
    for outcome in replicas.wait() {
        outcome.exits(0).prints("the server started");
    }
    assert_migrated_once(&project);
}

#[test]
fn a_term_stops_the_migrating_and_the_waiting_container_without_leftovers() {
    let (image, project) = containers(slow());
    let mut replicas = Replicas::start(&image, &project, 2);
    project.until_running("wait for release");
    replicas.until(1, "waiting for the lock: portcullis ");
    for (name, _) in &replicas.running {
        podman(&image, &["kill", "--signal=TERM", name]);
    }
    for outcome in replicas.wait() {
        let outcome = outcome.exits(143).prints_not("the server started");
        assert!(outcome.failure_box().contains("SIGTERM"), "{outcome}");
    }
    project.until(false, HOLDER);
    assert_eq!(project.ledger("a"), ["1"], "what was under way was rolled back");
    replicas.release();
    let mut next = Replicas::start(&image, &project, 1);
    next.wait().remove(0).exits(0).prints("the server started");
    assert_migrated_once(&project);
}

#[test]
fn a_container_without_network_stops_and_another_takes_over() {
    let server = Server::start("listen_addresses = '*'");
    let project = with_slow_migration(Project::on(Database::on(server.url("postgres")), "").started());
    let (image, project) = containers(project);
    let network = Network::create(&image);
    let (host, port, name) = (network.address(), server.port(), project.database.name());
    let url = format!("postgres://postgres@{host}:{port}/{name}");
    let mut replicas = Replicas::start_on(&image, &project, 3, &network.name, &url);
    project.until_running("wait for release");
    replicas.until(2, "waiting for the lock: portcullis ");
    let (name, cut) = replicas.holder();
    let first = project.database.column(HOLDER);
    podman(&image, &["network", "disconnect", &network.name, &name]);
    let outcome = cut.wait().exits(75).prints("no answer in").prints_not("the server started");
    assert!(outcome.failure_box().contains("lock-lost"), "{outcome}");
    // The server detects the lost connection itself.
    project.until(true, &format!("{HOLDER} AND pid <> {}", first[0]));
    replicas.assert_none_serves();
    replicas.release();
    for outcome in replicas.wait() {
        outcome.exits(0).prints("the server started");
    }
    assert_migrated_once(&project);
}

#[test]
fn cooperating_containers_share_the_tenants() {
    let (image, project) = containers(twelve_tenants("jobs = 2, cooperate = true"));
    let mut replicas = Replicas::start(&image, &project, 3);
    crate::run::cooperate::until_migrating(&project, 3);
    replicas.assert_none_serves();
    crate::run::cooperate::release(&project);
    for outcome in replicas.wait() {
        outcome.exits(0).prints("the server started");
    }
    crate::run::cooperate::assert_each_migrated_once(&project);
}
