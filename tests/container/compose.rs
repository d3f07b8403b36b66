//! The shipped compose files: each service runs in a container, on images that are built from this machine's
//! programs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{
    django,
    image::{ENGINE, Image, engine_succeeds},
};
use crate::{
    documents::blocks::block,
    support::{
        http::{free_port, get},
        portcullis::Portcullis,
        process::{Outcome, Running},
    },
};

const POSTGRES: &str = r#"#!/bin/sh
set -e
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    printf %s "${POSTGRES_PASSWORD-$(cat "$POSTGRES_PASSWORD_FILE")}" > /tmp/password
    initdb --username="${POSTGRES_USER:=postgres}" --pwfile=/tmp/password --auth=scram-sha-256 --locale=C.UTF-8 --no-sync
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    [ "${POSTGRES_DB:=postgres}" = postgres ] || echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j postgres
fi
exec postgres -c 'listen_addresses=*' -c unix_socket_directories=/tmp -c fsync=off
"#;

#[test]
fn the_django_project_starts_with_two_replicas_and_a_worker_and_one_migrates() {
    let images = vec![
        ("INVOICING_IMAGE", django::image()),
        ("POSTGRES_IMAGE", postgres()),
        ("REDIS_IMAGE", redis()),
        ("RABBITMQ_IMAGE", rabbitmq()),
    ];
    let project = Project::up("examples/django/compose.yaml", images, &[]);
    let mut migrated = 0;
    for web in ["web_1", "web_2"] {
        let log = project.until(web, "Listening at");
        let (status, body) = get(project.port(web), "/t/demo/invoices/");
        assert_eq!(status, 200);
        assert!(body.contains("2026-001: Ada"), "the demo data were loaded: {body}");
        assert!(log.contains("every tenant is complete: ok"), "{log}");
        assert!(!log.contains(":example@"), "{log}");
        migrated += applied_the_shared_schema(&log);
    }
    assert_eq!(migrated, 1, "one of the replicas migrated, the other found nothing to do");
    let worker = project.until("worker_1", "every tenant is complete: ok");
    assert!(worker.contains("broker: ok") && worker.contains("shared schema: skipped"), "{worker}");
}

#[test]
fn ten_replicas_start_at_once_and_one_of_them_migrates() {
    let images =
        vec![("INVOICES_IMAGE", Image::sample()), ("POSTGRES_IMAGE", postgres()), ("REDIS_IMAGE", redis())];
    let project = Project::up("docker/replicas/compose.yaml", images, &[]);
    let (mut migrated, mut created) = (0, 0);
    for web in (1..=10).map(|number| format!("web_{number}")) {
        let log = project.until(&web, "invoices: listening");
        let (status, page) = get(project.port(&web), "/acme/finance/invoices/");
        assert_eq!(status, 200, "{page}");
        // The file's health check sends the same request.
        project.podman(&["healthcheck", "run", &project.container(&web)]).exits(0);
        assert!(
            log.contains("redis: ok")
                && log.contains("every tenant is complete: ok: the shared schema and 3 tenants"),
            "{web}: {log}"
        );
        migrated += applied_the_shared_schema(&log);
        created += log.matches("demo tenants: ok: 3 created").count();
    }
    assert_eq!((migrated, created), (1, 1), "one replica did each piece of work, the others found it done");
}

#[test]
fn the_sample_with_postgresql_serves_on_the_requested_port() {
    let images = vec![("INVOICES_IMAGE", Image::sample()), ("POSTGRES_IMAGE", postgres())];
    let port = free_port();
    let variables = [("POSTGRES_PASSWORD", "correct-horse".to_owned()), ("PORT", port.to_string())];
    let project = Project::up("docker/compose.yaml", images, &variables);
    let log = project.until("web_1", "invoices: listening");
    assert_eq!(get(port, "/demo/finance/invoices/").0, 200);
    assert!(!log.contains("correct-horse"), "{log}");
    // The health check of the image.
    project.podman(&["healthcheck", "run", &project.container("web_1")]).exits(0);
}

/// Beside the compose file, which names published images and no build arguments.
const LOCAL_IMAGES: &str = "services:
  db:
    image: ${POSTGRES_IMAGE}
  web:
    build:
      context: .
      args: {BASE: \"${BASE_IMAGE}\", PORTCULLIS: \"${PORTCULLIS_IMAGE}\"}
    image: ${WEB_IMAGE}
";
const WSGI: &str = "def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'served by gunicorn']
";

#[test]
fn the_compose_file_of_the_readme_starts_gunicorn_on_a_read_only_root() {
    let images = vec![
        ("BASE_IMAGE", django::python()),
        ("PORTCULLIS_IMAGE", Image::program()),
        ("POSTGRES_IMAGE", postgres()),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let config = readme.split_once("## The configuration").unwrap().1.split_once("```toml\n").unwrap().1;
    let folder = Portcullis::new()
        .config(config.split_once("```").unwrap().0)
        .file("Dockerfile", &block("README.md", "ARG PORTCULLIS="))
        .file("compose.yaml", &block("README.md", "services:"))
        .file("local.yaml", LOCAL_IMAGES)
        .file("app/wsgi.py", WSGI);
    let mut copy = Command::new("cp");
    copy.arg("-R").args(["migrations", "portcullis.manifest.json"]).arg(folder.folder()).current_dir(root);
    Running::start(copy, false).wait().exits(0);
    let web = format!("localhost/readme-web-{}", images[0].1.short());
    let variables = [("POSTGRES_PASSWORD", "correct-horse".to_owned()), ("WEB_IMAGE", web.clone())];
    let files =
        format!("{} --file {}", folder.path("compose.yaml").display(), folder.path("local.yaml").display());
    let project = Project::build(&files, images, &variables);
    let log = project.until("web_1", "Listening at");
    assert!(log.contains("every tenant is complete: ok"), "{log}");
    let (status, body) = get(8000, "/");
    assert_eq!(status, 200);
    assert!(body.contains("served by gunicorn"), "{body}");
    drop(project);
    let _ = Command::new("podman").args(["rmi", "--force", &web]).output();
}

/// The number of starts in this log that migrated the shared schema.
fn applied_the_shared_schema(log: &str) -> usize {
    log.lines().filter(|line| line.contains("shared schema: ok: ") && line.contains("applied")).count()
}

/// A running compose project with a unique name; dropping it removes all its containers.
pub struct Project {
    files: String,
    name: String,
    images: Vec<(&'static str, Image)>,
    variables: Vec<(&'static str, String)>,
}

impl Project {
    pub fn up(file: &str, images: Vec<(&'static str, Image)>, variables: &[(&'static str, String)]) -> Self {
        let project = Self::of(file, images, variables);
        // Running containers stay; only the failed ones are created again.
        engine_succeeds(|| project.command(&["up", "--detach", "--no-build"]));
        project
    }

    /// The same with the images that the file builds.
    fn build(files: &str, images: Vec<(&'static str, Image)>, variables: &[(&'static str, String)]) -> Self {
        let project = Self::of(files, images, variables);
        engine_succeeds(|| project.command(&["up", "--detach", "--build"]));
        project
    }

    /// Services that were not started.
    pub fn of(files: &str, images: Vec<(&'static str, Image)>, variables: &[(&'static str, String)]) -> Self {
        let name = images[0].1.short().to_owned();
        Self { files: files.to_owned(), name, images, variables: variables.to_vec() }
    }

    pub fn container(&self, service: &str) -> String {
        format!("{}_{service}", self.name)
    }

    /// The beginning of every command line.
    pub fn program(name: &str, file: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("target/compose/bin/podman-compose");
        assert!(program.exists(), "target/compose is missing: run scripts/podman-compose");
        format!("{} --project-name {name} --file {}", program.display(), root.join(file).display())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.shell(&format!("exec {} {}", Self::program(&self.name, &self.files), arguments.join(" ")))
    }

    /// The shell in which a reader pastes a command.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        // The engine has the same settings for every user.
        for (name, value) in self.images[0].1.podman().get_envs() {
            command.env(name, value.unwrap());
        }
        command.envs(self.images.iter().map(|(name, image)| (name, image.name())));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn podman(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.images[0].1.podman();
        command.args(arguments);
        Running::start(command, false).wait()
    }

    /// The local port that leads to a service's port 8000.
    fn port(&self, service: &str) -> u16 {
        let output = self.podman(&["port", &self.container(service), "8000"]).exits(0).stdout;
        output.trim().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A container's log as soon as it contains this text.
    #[track_caller]
    pub fn until(&self, service: &str, text: &str) -> String {
        let deadline = Instant::now() + ENGINE;
        loop {
            let log = self.podman(&["logs", &self.container(service)]).exits(0);
            let printed = log.stderr + &log.stdout;
            if printed.contains(text) {
                return printed;
            }
            assert!(Instant::now() < deadline, "{service} does not print {text:?}: {printed}");
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        Running::start(self.command(&["down", "--volumes", "--timeout", "1"]), false).wait_up_to(ENGINE);
    }
}

pub fn postgres() -> Image {
    let mut found: Vec<_> =
        fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    let version = found.pop().unwrap().into_string().unwrap();
    let parts = [
        format!("/usr/lib/postgresql/{version}"),
        format!("/usr/share/postgresql/{version}"),
        "/usr/share/zoneinfo".to_owned(),
        "/usr/lib/locale".to_owned(),
    ];
    let stage = format!(
        "COPY --chown=999:999 data/ /var/lib/postgresql/data\nUSER 999:999\n\
         ENV PGDATA=/var/lib/postgresql/data/main PATH=/usr/lib/postgresql/{version}/bin:/bin\nCMD [\"/start\"]\n"
    );
    Image::of_parts(&parts, &stage, |root| {
        fs::create_dir(root.with_file_name("data")).unwrap();
        fs::write(root.join("start"), POSTGRES).unwrap();
        fs::set_permissions(root.join("start"), fs::Permissions::from_mode(0o755)).unwrap();
    })
}

fn redis() -> Image {
    let stage = "CMD [\"/usr/bin/redis-server\", \"--protected-mode\", \"no\", \"--save\", \"\"]\n";
    Image::of_parts(&["/usr/bin/redis-server".to_owned()], stage, |_| {})
}

fn rabbitmq() -> Image {
    let parts = ["/usr/lib/erlang", "/usr/lib/rabbitmq"].map(str::to_owned);
    let stage = "ENV PATH=/usr/lib/erlang/bin:/bin HOME=/tmp RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_LOGS=- \
                 RABBITMQ_MNESIA_BASE=/tmp/data RABBITMQ_LOG_BASE=/tmp/log RABBITMQ_CONF_ENV_FILE=/dev/null \
                 RABBITMQ_ENABLED_PLUGINS_FILE=/tmp/plugins\nCMD [\"/usr/lib/rabbitmq/bin/rabbitmq-server\"]\n";
    Image::of_parts(&parts, stage, |_| {})
}
