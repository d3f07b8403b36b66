//! The real image, `FROM scratch`, as PID 1 of a real container beside a real PostgreSQL.

mod compose;
mod django;
mod image;
mod pid1;
mod replicas;

use std::{fs, path::Path, process::Command};

use image::Image;

use crate::support::{
    cluster::Database,
    http::{answers, free_port, get},
    process::{Outcome, Running},
};

#[test]
fn the_image_starts_the_server_and_is_blocked_by_a_lying_ledger() {
    let image = Image::build();
    let database = Database::fresh();
    let port = free_port();

    let name = format!("{}-first", image.short());
    let running = start(&image, &name, &database, port, &[]);
    running.wait_for_line("invoices: listening");
    assert_eq!(get(port, "/demo/finance/invoices/").0, 200);
    podman(&["kill", "--signal", "TERM", &name]).exits(0);
    running.wait().exits(0);

    database.execute("DROP TABLE acme.finance_invoice");
    let blocked = start(&image, &format!("{}-second", image.short()), &database, port, &[]).wait().exits(1);
    assert!(blocked.failure_box().contains("finance_invoice"), "{blocked}");
    assert!(blocked.failure_box().contains("acme"), "{blocked}");
    assert!(!answers(port));

    // Typed behind the image's name, a program of the pass-through list runs no step: here there is no such program.
    start(&image, &format!("{}-third", image.short()), &database, port, &["bash"]).wait().exits(127);
    start(&image, &format!("{}-fourth", image.short()), &database, port, &["/invoices", "nonsense"])
        .wait()
        .exits(1)
        .says("finance_invoice");
}

#[test]
fn the_pod_passes_its_gate_in_an_init_container() {
    let image = Image::build();
    let port = free_port();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/kubernetes/pod.yaml");
    let manifest = fs::read_to_string(source).unwrap();
    let pod = format!("{}-pod", image.short());
    let manifest = manifest
        .replace("localhost/portcullis-invoices:latest", image.name())
        .replace("name: invoices\n", &format!("name: {pod}\n"))
        .replace("value: \"8000\"", &format!("value: \"{port}\""))
        .replace(
            "      ports:\n        - name: http\n          containerPort: 8000\n          hostPort: 8000\n",
            "",
        );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), manifest).unwrap();
    let pod_file = file.path().to_str().unwrap();
    kube(&image, &["kube", "play", "--network=host", pod_file]).exits(0);
    // The gate's container has ended before the other one began, so nothing is left to wait for but the listener.
    let web = format!("{pod}-web");
    let mut follow = Command::new("podman");
    follow.env("CONTAINERS_CONF", image.containers_conf()).args(["logs", "--follow", &web]);
    Running::start(follow, false).wait_for_line("invoices: listening");
    assert_eq!(get(port, "/demo/finance/invoices/").0, 200);
    let gate = kube(&image, &["logs", &format!("{pod}-gate")]).exits(0);
    let web = kube(&image, &["logs", &web]).exits(0);
    kube(&image, &["kube", "down", pod_file]).exits(0);
    gate.says("every tenant is complete: ok").says("no server to start");
    web.says_not("every tenant is complete");
}

fn kube(image: &Image, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", image.containers_conf()).args(arguments);
    Running::start(command, false).wait()
}

/// As hardened as a container can be: read-only, without a capability, as a user without a name.
fn start(image: &Image, name: &str, database: &Database, port: u16, argv: &[&str]) -> Running {
    let mut command = Command::new("podman");
    command
        .env("CONTAINERS_CONF", image.containers_conf())
        .args(["run", "--rm", "--name", name, "--network=host", "--read-only", "--tmpfs=/var:mode=1777"])
        .args(["--user=65532:65532", "--cap-drop=all", "--security-opt=no-new-privileges"])
        .arg(format!("--env=DATABASE_URL={}", database.url()))
        .arg(format!("--env=PORT={port}"))
        .arg(image.name())
        .args(argv);
    Running::start(command, false)
}

fn podman(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("podman");
    command.args(arguments);
    Running::start(command, false).wait()
}
