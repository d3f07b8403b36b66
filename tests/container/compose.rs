//! `examples/django/compose.yaml` as it is shipped: PostgreSQL, Redis, RabbitMQ, two web replicas and a worker, each in a
//! container of its own, on images made of this machine's programs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{django::python, image::Image};
use crate::support::{
    http::get,
    process::{Outcome, Running},
};

const POSTGRES: &str = r#"#!/bin/sh
set -e
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --locale=C.UTF-8 --no-sync
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j postgres
fi
exec postgres -c 'listen_addresses=*' -c unix_socket_directories=/tmp -c fsync=off
"#;

#[test]
fn the_compose_file_starts_two_replicas_and_a_worker_and_one_migrates() {
    let project = Project::new();
    project.compose(&["up", "--detach", "--no-build"]).exits(0);
    let mut migrated = 0;
    for web in ["web_1", "web_2"] {
        let log = project.until(web, 1, "Listening at");
        let (status, body) = get(project.port(web), "/t/demo/invoices/");
        assert_eq!(status, 200);
        assert!(body.contains("2026-001: Ada"), "the demo data were loaded: {body}");
        assert!(log.contains("every tenant is complete: ok"), "{log}");
        assert!(!log.contains(":example@"), "{log}");
        let of_shared = |line: &&str| line.contains("shared schema: ok: ") && line.contains("applied");
        migrated += log.lines().filter(of_shared).count();
    }
    assert_eq!(migrated, 1, "one of the replicas migrated, the other found nothing to do");
    let worker = project.until("worker_1", 1, "every tenant is complete: ok");
    assert!(worker.contains("broker: ok") && worker.contains("shared schema: skipped"), "{worker}");
}

/// One `up` of the file, under a name of its own; dropped, nothing is left of it.
struct Project {
    name: String,
    images: Vec<(&'static str, Image)>,
    _bases: [Image; 2],
}

impl Project {
    fn new() -> Self {
        let bases = [python(), Image::program()];
        let django = Image::django(&bases[0], &bases[1]);
        let images = vec![
            ("INVOICING_IMAGE", django),
            ("POSTGRES_IMAGE", postgres()),
            ("REDIS_IMAGE", redis()),
            ("RABBITMQ_IMAGE", rabbitmq()),
        ];
        Self { name: format!("invoicing-{}", std::process::id()), images, _bases: bases }
    }

    fn container(&self, service: &str) -> String {
        format!("{}_{service}", self.name)
    }

    fn compose(&self, arguments: &[&str]) -> Outcome {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("target/compose/bin/podman-compose");
        assert!(program.exists(), "there is no target/compose: run scripts/podman-compose");
        let mut command = Command::new(program);
        command.envs(self.images.iter().map(|(name, image)| (name, image.name())));
        command.env("CONTAINERS_CONF", self.images[0].1.containers_conf());
        command.arg("--project-name").arg(&self.name);
        command.arg("--file").arg(root.join("examples/django/compose.yaml")).args(arguments);
        Running::start(command, false).wait()
    }

    fn podman(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.images[0].1.containers_conf()).args(arguments);
        Running::start(command, false).wait()
    }

    /// Where a service's port 8000 is reached from here.
    fn port(&self, service: &str) -> u16 {
        let answer = self.podman(&["port", &self.container(service), "8000"]).exits(0).stdout;
        answer.trim().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A container's log, once it has said this so many times, over all of its starts.
    #[track_caller]
    fn until(&self, service: &str, times: usize, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(100);
        loop {
            let log = self.podman(&["logs", &self.container(service)]).exits(0);
            if log.stderr.matches(text).count() >= times {
                return log.stderr;
            }
            assert!(Instant::now() < deadline, "{service} does not say {text:?} {times} times: {log}");
            thread::sleep(Duration::from_millis(300));
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "1"]);
    }
}

fn postgres() -> Image {
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
