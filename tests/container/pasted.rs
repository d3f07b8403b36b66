//! The commands of the box, pasted where a reader of `docker compose` or of a pod is, open the gate: for every row.

use std::{fs, path::Path};

use super::{
    compose::{Project, postgres},
    image::{ENGINE, Image},
    kubernetes::{CONFIG, Cluster, Played},
};
use crate::{
    run::pasted,
    support::{
        faults::{self, FAULTS, Place, paste_every_row},
        http::free_port,
        process::{Outcome, Running},
        sample::Engine,
    },
};

const PASSWORD: &str = "correct-horse";

/// The sample's image with the configuration of all faults, and the image that it begins with.
fn images() -> [Image; 2] {
    let sample = Image::sample();
    let context = pasted::faulty(Engine::Postgres).portcullis;
    let lines = "COPY config.toml portcullis.manifest.json /\nCOPY migrations /migrations";
    let context = context.file("Dockerfile", &format!("FROM {}\n{lines}\n", sample.name()));
    [Image::of_context(context.folder(), &["--network=none".to_owned()]), sample]
}

/// The arguments of psql in the database's container.
fn psql<'a>(container: &'a str, password: &'a str, sql: &'a str) -> [&'a str; 9] {
    let command = ["psql", "--host=127.0.0.1", "--username=invoices", "--set=ON_ERROR_STOP=1"];
    let [psql, host, user, stop] = command;
    ["exec", password, container, psql, host, user, stop, "--command", sql]
}

fn in_schema(tenant: Option<&str>, sql: &str) -> String {
    format!("SET search_path TO {}; {sql}", tenant.unwrap_or("public"))
}

struct Compose {
    project: Project,
    run: String,
}

impl Compose {
    fn portcullis(&self, arguments: &[&str]) -> Outcome {
        let run = [
            "run",
            "--rm",
            "-T",
            "-e",
            "SKIP_MIGRATIONS=1",
            "-e",
            "SKIP_DEMO_TENANTS=1",
            "web",
            "portcullis",
        ];
        let command = self.project.command(&[&run, arguments].concat());
        Running::start(command, false).wait_up_to(ENGINE)
    }
}

impl Place for Compose {
    fn execute(&self, tenant: Option<&str>, sql: &str) {
        let (container, sql) = (self.project.container("db_1"), in_schema(tenant, sql));
        let password = format!("--env=PGPASSWORD={PASSWORD}");
        self.project.podman(&psql(&container, &password, &sql)).exits(0);
    }
    fn drop_schema(&self, tenant: &str) {
        self.execute(None, &format!("DROP SCHEMA {tenant} CASCADE"));
    }
    fn empty(&self) {
        self.execute(None, faults::EMPTY);
    }
    fn gate(&self) -> Outcome {
        self.portcullis(&["run", "--no-server"])
    }
    fn verify(&self, tenant: &str) -> Outcome {
        self.portcullis(&["verify", tenant])
    }
    fn paste(&self, line: &str) -> Outcome {
        Running::start(self.project.shell(line), false).wait_up_to(ENGINE)
    }
    fn program(&self) -> String {
        format!("{} /portcullis", self.run)
    }
}

#[test]
fn the_commands_of_the_box_open_the_gate_when_they_are_pasted_beside_compose() {
    let [image, _sample] = images();
    let run = format!("{} run --rm -T web", Project::program(image.short(), "docker/compose.yaml"));
    let variables = [
        ("POSTGRES_PASSWORD", PASSWORD.to_owned()),
        ("PORT", free_port().to_string()),
        ("PORTCULLIS_RUN_WITH", run.clone()),
    ];
    let images = vec![("INVOICES_IMAGE", image), ("POSTGRES_IMAGE", postgres())];
    let project = Project::up("docker/compose.yaml", images, &variables);
    project.until("web_1", "invoices: listening");
    paste_every_row(&Compose { project, run });
}

struct Pod<'a> {
    deployment: &'a Played<'a>,
    cluster: &'a Cluster<'a>,
    web: String,
}

impl Pod<'_> {
    fn portcullis(&self, arguments: &[&str]) -> Outcome {
        let run_with = format!("--env=PORTCULLIS_RUN_WITH=podman exec {}", self.web);
        self.deployment.podman(&[&["exec", &run_with, &self.web, "/portcullis"], arguments].concat())
    }
}

impl Place for Pod<'_> {
    fn execute(&self, tenant: Option<&str>, sql: &str) {
        let (container, sql) = (self.cluster.database(), in_schema(tenant, sql));
        let password = format!("--env=PGPASSWORD={}", self.cluster.password);
        self.deployment.podman(&psql(&container, &password, &sql)).exits(0);
    }
    fn drop_schema(&self, tenant: &str) {
        self.execute(None, &format!("DROP SCHEMA {tenant} CASCADE"));
    }
    fn empty(&self) {
        self.execute(None, faults::EMPTY);
    }
    fn gate(&self) -> Outcome {
        self.portcullis(&["verify"])
    }
    fn verify(&self, tenant: &str) -> Outcome {
        self.portcullis(&["verify", tenant])
    }
    fn paste(&self, line: &str) -> Outcome {
        self.deployment.shell(line)
    }
    fn program(&self) -> String {
        format!("podman exec {} /portcullis", self.web)
    }
    fn verifies(&self) -> bool {
        true
    }
}

#[test]
fn the_commands_of_the_box_open_the_gate_when_they_are_pasted_into_a_pod() {
    let ([image, _sample], base) = (images(), postgres());
    let cluster = Cluster::new(&image, &base);
    let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(CONFIG)).unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), faults::configured(&shipped)).unwrap();
    let deployment = cluster.play_with("deployment", config.path());
    let web = cluster.replica(0);
    // The registry is still empty.
    deployment.until(&web, "waiting for everything to be complete");
    let pod = Pod { deployment: &deployment, cluster: &cluster, web };
    for fault in FAULTS {
        pod.portcullis(&["tenant", "create", fault.tenant]).exits(0);
    }
    paste_every_row(&pod);
}
