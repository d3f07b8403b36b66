//! The commands of the box, pasted where a reader of `docker compose` or of a pod is, open the gate: for every row.

use std::{fs, path::Path};

use super::{
    compose::{Project, postgres},
    django,
    image::{ENGINE, Image, engine_succeeds},
    kubernetes::{CONFIG, Cluster, Played},
};
use crate::{
    run::pasted,
    support::{
        faults::{self, FAULTS, Place, paste_every_row},
        http::free_port,
        process::{Outcome, Running},
        sample::Engine,
        time_limits::until_true,
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

/// Runs psql in the database's container, by the role that has the database's name.
fn psql(run: impl Fn(&[&str]) -> Outcome, container: &str, role: &str, password: &str, sql: &str) {
    let (password, role) = (format!("--env=PGPASSWORD={password}"), format!("--username={role}"));
    let psql = ["psql", "--host=127.0.0.1", &role, "--set=ON_ERROR_STOP=1", "--command", sql];
    run(&[&["exec", &password, container], &psql[..]].concat()).exits(0);
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
        let run = |arguments: &[&str]| self.project.podman(arguments);
        psql(run, &self.project.container("db_1"), "invoices", PASSWORD, &in_schema(tenant, sql));
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
        let run = |arguments: &[&str]| self.deployment.podman(arguments);
        psql(run, &self.cluster.database(), "invoices", self.cluster.password, &in_schema(tenant, sql));
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

/// Makes the faults that only Django's tenants have, and pastes the command of each. `gate` is `portcullis verify`.
fn paste_djangos_rows(
    prefix: &str,
    execute: impl Fn(&str),
    gate: impl Fn() -> Outcome,
    paste: impl Fn(&str) -> Outcome,
) {
    let lost = "DROP TABLE demo.finance_invoice";
    let replay = "repair demo --replay finance";
    let rows = [
        (lost, "finance.Invoice", replay),
        (
            "DROP TABLE demo.finance_invoice; CREATE TABLE public.finance_invoice (id bigint)",
            "shadowed",
            replay,
        ),
        (
            "INSERT INTO portcullis.journal (nonce, run, registry, tenant, kind) \
             VALUES ('1', 'killed', 'public.customers_client', 'demo', 'command')",
            "half created",
            "tenant delete demo",
        ),
    ];
    gate().exits(0);
    for (fault, finding, command) in rows {
        execute(fault);
        let blocked = gate().exits(1).prints(finding);
        assert_eq!(blocked.commands().first(), Some(&&*format!("{prefix} {command}")), "{blocked}");
        let confirmed = if command.starts_with("tenant delete") { " --yes" } else { "" };
        paste(&format!("{prefix} {command}{confirmed}")).exits(0);
        gate().exits(0);
    }
}

#[test]
fn djangos_commands_of_the_box_open_the_gate_when_they_are_pasted_beside_compose() {
    let image = django::image();
    let file = "examples/django/compose.yaml";
    let run = format!("{} run --rm -T web", Project::program(image.short(), file));
    let project = Project::of(file, vec![("INVOICING_IMAGE", image), ("POSTGRES_IMAGE", postgres())], &[]);
    engine_succeeds(|| project.command(&["up", "--detach", "--no-build", "postgres"]));
    let portcullis = |arguments: &str| {
        let run_with = format!("'PORTCULLIS_RUN_WITH={run}'");
        let command =
            project.command(&["run", "--rm", "-T", "-e", &run_with, "web", "portcullis", arguments]);
        Running::start(command, false).wait_up_to(ENGINE)
    };
    until_true("the database accepts the migration", || portcullis("migrate").code == Some(0));
    portcullis("tenant create demo --set name=Demo").exits(0);
    paste_djangos_rows(
        &format!("{run} portcullis"),
        |sql| {
            let run = |arguments: &[&str]| project.podman(arguments);
            psql(run, &project.container("postgres_1"), "invoicing", "example", sql);
        },
        || portcullis("verify"),
        |line| Running::start(project.shell(line), false).wait_up_to(ENGINE),
    );
}

#[test]
fn djangos_commands_of_the_box_open_the_gate_when_they_are_pasted_into_a_pod() {
    let (image, base) = (django::image(), postgres());
    let cluster = Cluster::new(&image, &base);
    let pod = format!("{}-pod", image.short());
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {pod} }}\nspec:\n  containers:\n  - name: web\n    image: {}\n    \
         command: [python, -c, \"import time; time.sleep(100000)\"]\n    env:\n    - {{ name: DB_HOST, value: \"{}\" }}\n    \
         - {{ name: DB_NAME, value: invoices }}\n    - {{ name: DB_USER, value: invoices }}\n    \
         - {{ name: DB_PASSWORD, value: \"{}\" }}\n    - {{ name: SECRET_KEY, value: only-for-this-pod }}\n",
        image.name(),
        cluster.address_of(&cluster.database()),
        cluster.password,
    );
    let played = cluster.play_manifest(&manifest);
    let web = format!("{pod}-web");
    let portcullis = |arguments: &[&str]| {
        let run_with = format!("--env=PORTCULLIS_RUN_WITH=podman exec {web}");
        played.podman(&[&["exec", &run_with, &web, "portcullis"], arguments].concat())
    };
    until_true("the database accepts the migration", || portcullis(&["migrate"]).code == Some(0));
    portcullis(&["tenant", "create", "demo", "--set", "name=Demo"]).exits(0);
    paste_djangos_rows(
        &format!("podman exec {web} portcullis"),
        |sql| {
            let run = |arguments: &[&str]| played.podman(arguments);
            psql(run, &cluster.database(), "invoices", cluster.password, sql);
        },
        || portcullis(&["verify"]),
        |line| played.shell(line),
    );
}
