//! The real image, `FROM scratch`, as PID 1 of a real container with a real PostgreSQL.

mod compose;
mod django;
pub(crate) mod image;
mod kubernetes;
mod pasted;
mod pid1;
mod replicas;

use std::process::Command;

use image::Image;
use serde_json::{Value, json};

use crate::support::{
    cluster::Database,
    http::{free_port, get, is_listening},
    process::{Outcome, Running},
};

#[test]
fn the_image_starts_the_server_and_is_blocked_by_a_lying_ledger() {
    let image = Image::sample();
    let database = Database::fresh();
    let port = free_port();

    let name = format!("{}-first", image.short());
    let running = start(&image, &name, &database, port, &[]);
    running.wait_for_line("invoices: listening");
    assert_eq!(get(port, "/demo/finance/invoices/").0, 200);
    podman(&["kill", "--signal", "TERM", &name]).exits(0);
    running.wait().exits(0).prints("static files: ok").prints_not("warning");

    database.execute("DROP TABLE acme.finance_invoice");
    let blocked = start(&image, &format!("{}-second", image.short()), &database, port, &[]).wait().exits(1);
    assert!(blocked.failure_box().contains("finance_invoice"), "{blocked}");
    assert!(blocked.failure_box().contains("acme"), "{blocked}");
    assert!(!is_listening(port));

    // A program of the pass-through list runs no step; this image does not contain the program.
    start(&image, &format!("{}-third", image.short()), &database, port, &["bash"]).wait().exits(127);
    start(&image, &format!("{}-fourth", image.short()), &database, port, &["/invoices", "nonsense"])
        .wait()
        .exits(1)
        .prints("finance_invoice");
}

#[test]
fn the_image_has_labels_an_unprivileged_user_and_a_health_check() {
    let image = Image::sample();
    let mut inspect = image.podman();
    inspect.args(["image", "inspect", image.name()]);
    let images: Value = serde_json::from_str(&Running::start(inspect, false).wait().exits(0).stdout).unwrap();
    let image = &images[0];
    assert_eq!(image["Healthcheck"]["Test"], json!(["CMD", "/portcullis", "health"]));
    let config = &image["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], json!(["/portcullis", "run", "--"]));
    let label = |name: &str| &config["Labels"][format!("org.opencontainers.image.{name}")];
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    for name in ["title", "description", "revision"] {
        assert!(label(name).is_string(), "{config}");
    }
}

/// A hardened container: read-only, without capabilities, with a user that has no name.
fn start(image: &Image, name: &str, database: &Database, port: u16, argv: &[&str]) -> Running {
    let mut command = image.podman();
    command
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
