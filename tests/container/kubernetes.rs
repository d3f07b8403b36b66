//! `docker/kubernetes` as far as podman supports it: the Pod with its gate, the Deployment with ten replicas, and the
//! Deployment that only verifies while the Job migrates.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    compose::postgres,
    image::{ENGINE, Image},
};
use crate::support::{
    http::{free_port, get, get_from},
    process::{Outcome, Running},
};

#[test]
fn the_pod_passes_its_gate_in_an_init_container() {
    let image = Image::sample();
    let port = free_port();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/kubernetes/pod.yaml");
    let manifest = fs::read_to_string(source).unwrap();
    let pod = format!("{}-pod", image.short());
    let manifest = manifest
        .replace("localhost/portcullis-invoices:latest", image.name())
        .replace("name: invoices\n", &format!("name: {pod}\n"))
        .replace("name: data\n", &format!("name: {pod}-data\n"))
        .replace("value: \"8000\"", &format!("value: \"{port}\""))
        .replace(
            "      ports:\n        - name: http\n          containerPort: 8000\n          hostPort: 8000\n",
            "",
        );
    let played = Played::of(&image, "host", &manifest);
    // The gate's container ends before the server's container starts, so the test only waits for the listener.
    let web = played.until(&format!("{pod}-web"), "invoices: listening");
    assert_eq!(get(port, "/demo/finance/invoices/").0, 200);
    let gate = played.log(&format!("{pod}-gate"));
    assert!(gate.contains("every tenant is complete: ok") && gate.contains("no server to start"), "{gate}");
    assert!(!web.contains("every tenant is complete"), "{web}");
}

#[test]
fn the_deployment_starts_ten_replicas_and_one_of_them_migrates() {
    let (image, base) = (Image::sample(), postgres());
    let cluster = Cluster::new(&image, &base);
    let deployment = cluster.play("deployment");
    let mut migrated = 0;
    for number in 0..10 {
        let web = cluster.replica(number);
        let log = deployment.until(&web, "invoices: listening");
        migrated += steps_that_applied(&log);
        // The startupProbe sends the same request.
        deployment.podman(&["exec", &web, "/portcullis", "health"]).exits(0);
    }
    assert_eq!(migrated, 1, "one of them migrated, the others found nothing to do");
    deployment.podman(&["exec", &cluster.replica(3), "/portcullis", "tenant", "create", "acme"]).exits(0);
    for number in 0..10 {
        let (status, page) = cluster.page_of(&cluster.replica(number), "acme");
        assert_eq!(status, 200, "{page}");
    }
}

#[test]
fn the_deployment_waits_for_the_migrate_job_and_only_verifies() {
    let (image, base) = (Image::sample(), postgres());
    let cluster = Cluster::new(&image, &base);
    let deployment = cluster.play("verifying");
    deployment.until(&cluster.replica(9), "waiting for everything to be complete");
    let job = cluster.play("job");
    let log = job.until(&format!("{}-job-migrate", cluster.name), "\"event\":\"finished\"");
    assert_eq!(steps_that_applied(&log), 1, "{log}");
    for number in 0..10 {
        let web = cluster.replica(number);
        let log = deployment.until(&web, "invoices: listening");
        assert!(log.contains("SKIP_MIGRATIONS") && steps_that_applied(&log) == 0, "{log}");
        assert_eq!(cluster.page_of(&web, "acme").0, 404);
    }
}

#[test]
fn a_job_for_each_wave_migrates_its_tenants() {
    let (image, base) = (Image::sample(), postgres());
    let cluster = Cluster::new(&image, &base);
    let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIG)).unwrap();
    let manifest = "manifest = { file = \"/portcullis.manifest.json\" }";
    assert!(shipped.contains(manifest), "{shipped}");
    let config = tempfile::NamedTempFile::new().unwrap();
    let waves = format!("{manifest}\napply = {{ waves = [\"10%\", \"50%\", \"100%\"] }}");
    fs::write(config.path(), shipped.replace(manifest, &waves)).unwrap();
    let sql = |text: &str| {
        let database = cluster.database();
        let password = format!("--env=PGPASSWORD={}", cluster.password);
        let psql = ["psql", "--host=127.0.0.1", "--username=invoices", "--set=ON_ERROR_STOP=1", "-tAc", text];
        let exec = [&["exec", &password, &database], &psql[..]].concat();
        podman(&image, &exec).exits(0).stdout
    };
    let deployment = cluster.play_with("deployment", config.path());
    let web = cluster.replica(0);
    deployment.until(&web, "invoices: listening");
    for tenant in ["acme", "demo", "globex", "initech"] {
        deployment.podman(&["exec", &web, "/portcullis", "tenant", "create", tenant]).exits(0);
        sql(&format!(
            "DELETE FROM {tenant}._sqlx_migrations WHERE version = 4; \
             ALTER TABLE {tenant}.finance_invoice DROP COLUMN paid_on"
        ));
    }
    let migrated = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'paid_on' \
                    AND table_schema IN ('acme', 'demo', 'globex', 'initech')";
    assert_eq!(sql(migrated).trim(), "0");
    for (number, tenants) in [(1, "1"), (2, "2"), (3, "4")] {
        let job = cluster.play_with(&format!("wave-{number}"), config.path());
        job.until(&format!("{}-wave-{number}-migrate", cluster.name), "tenants: ");
        assert_eq!(sql(migrated).trim(), tenants, "after wave {number}");
    }
}

/// The number of starts that migrated the shared schema.
fn steps_that_applied(log: &str) -> usize {
    let done = log.lines().filter(|line| line.contains("\"step_done\"") && line.contains("shared schema"));
    done.filter(|line| line.contains("applied")).count()
}

/// A network with a PostgreSQL named `postgres`; dropping it removes both.
pub struct Cluster<'a> {
    image: &'a Image,
    name: String,
    /// The database's password.
    pub password: &'static str,
}

/// The configuration of the Deployment.
pub const CONFIG: &str = "docker/kubernetes/base/config.toml";

/// A Secret's data and its decoded value: podman 4 does not decode the data.
const SECRET: [&str; 2] = ["Y29ycmVjdC1ob3JzZQ==", "correct-horse"];

impl<'a> Cluster<'a> {
    pub fn new(image: &'a Image, postgres: &Image) -> Self {
        let version = podman(image, &["--version"]).exits(0).stdout;
        let password = if version.contains("version 4.") { SECRET[0] } else { SECRET[1] };
        let cluster = Self { image, name: image.short().to_owned(), password };
        podman(image, &["network", "create", &cluster.name]).exits(0);
        let database = cluster.database();
        let password = format!("POSTGRES_PASSWORD={password}");
        let mut start = vec!["run", "--detach", "--name", &database, "--network", &cluster.name];
        start.extend([
            "--network-alias=postgres",
            "--env=POSTGRES_USER=invoices",
            "--env=POSTGRES_DB=invoices",
        ]);
        start.extend(["--env", &password, postgres.name()]);
        podman(image, &start).exits(0);
        cluster
    }

    pub fn database(&self) -> String {
        format!("{}-postgres", self.name)
    }

    pub fn replica(&self, number: u32) -> String {
        format!("{}-pod-{number}-web", self.name)
    }

    fn play(&self, what: &str) -> Played<'a> {
        self.play_with(what, &Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIG))
    }

    /// With this configuration.
    pub fn play_with(&self, what: &str, config: &Path) -> Played<'a> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = source.join("target/kubernetes/bin/python");
        assert!(python.exists(), "{} is missing: run scripts/kubernetes", python.display());
        let mut command = Command::new(python);
        command.arg(source.join("tests/observability/playable.py"));
        // The network's name server sometimes does not respond on a busy machine.
        let postgres = self.address_of(&self.database()).to_string();
        command.args([what, &self.name, self.image.name(), SECRET[0], &postgres]).arg(config);
        Played::of(self.image, &self.name, &Running::start(command, false).wait().exits(0).stdout)
    }

    pub fn play_manifest(&self, manifest: &str) -> Played<'a> {
        Played::of(self.image, &self.name, manifest)
    }

    /// The status of a tenant's page from the server in this container.
    fn page_of(&self, container: &str, tenant: &str) -> (u16, String) {
        let address = SocketAddr::new(self.address_of(container), 8_000);
        get_from(address, &format!("/{tenant}/finance/invoices/"))
    }

    pub fn address_of(&self, container: &str) -> IpAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = podman(self.image, &["inspect", container, "--format", format]).exits(0).stdout;
        address.trim().parse().expect("an address")
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        podman(self.image, &["rm", "--force", "--time=0", &self.database()]);
        podman(self.image, &["network", "rm", "--force", &self.name]);
        podman(self.image, &["secret", "rm", &format!("{}-invoices-database", self.name)]);
        let volumes = ["invoices-config", "invoices-database", "state", "tmp"]
            .map(|volume| format!("{}-{volume}", self.name));
        podman(
            self.image,
            &[&["volume", "rm", "--force"], &volumes.each_ref().map(String::as_str)[..]].concat(),
        );
    }
}

/// The objects that podman created from manifests; dropping it removes them.
pub struct Played<'a> {
    image: &'a Image,
    file: tempfile::NamedTempFile,
}

impl<'a> Played<'a> {
    fn of(image: &'a Image, network: &str, manifests: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), manifests).unwrap();
        let played = Self { image, file };
        podman(image, &["kube", "play", "--network", network, played.path()]).exits(0);
        played
    }

    fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }

    pub fn podman(&self, arguments: &[&str]) -> Outcome {
        podman(self.image, arguments)
    }

    /// Runs a line that a person pastes.
    pub fn shell(&self, line: &str) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        for (name, value) in self.image.podman().get_envs() {
            command.env(name, value.unwrap());
        }
        Running::start(command, false).wait_up_to(ENGINE)
    }

    fn log(&self, container: &str) -> String {
        let log = self.podman(&["logs", container]).exits(0);
        log.stderr + &log.stdout
    }

    /// A container's log as soon as it contains this text.
    #[track_caller]
    pub fn until(&self, container: &str, text: &str) -> String {
        let deadline = Instant::now() + ENGINE;
        loop {
            let log = self.log(container);
            if log.contains(text) {
                return log;
            }
            assert!(Instant::now() < deadline, "{container} does not print {text:?}: {log}");
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Played<'_> {
    fn drop(&mut self) {
        self.podman(&["kube", "down", self.path()]);
    }
}

fn podman(image: &Image, arguments: &[&str]) -> Outcome {
    let mut command = image.podman();
    command.args(arguments);
    Running::start(command, false).wait_up_to(ENGINE)
}
