//! The Django example in real containers: the image that its Dockerfile builds, and the incident replayed in it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use super::{image::Image, podman};
use crate::{
    documents::blocks::block,
    support::{
        cluster::Database,
        django,
        http::{free_port, get, is_listening},
        portcullis::Portcullis,
        process::Running,
        redis::Redis,
    },
};

#[test]
fn the_finance_invoice_incident_in_a_container() {
    let image = image();
    let (database, redis, port) = (Database::fresh(), Redis::start(), free_port());
    let start = |name: &str, argv: &[&str]| {
        let mut run = image.podman();
        run.args(["run", "--rm", "--network=host", "--read-only", "--tmpfs=/app/static:mode=1777"]);
        run.args(["--cap-drop=all", "--security-opt=no-new-privileges", "--name"]);
        run.arg(format!("{}-{name}", image.short()));
        for (name, value) in django::settings(&database, &redis) {
            run.arg(format!("--env={name}={value}"));
        }
        run.arg(format!("--env=PORT={port}")).arg("--env=CREATE_DEMO_TENANT=yes");
        run.arg(image.name()).args(argv);
        Running::start(run, false)
    };
    let page = |name: &str| {
        let running = start(name, &[]);
        running.wait_for_line("Listening at");
        assert_eq!(get(port, "/t/demo/invoices/").0, 200);
        podman(&["kill", "--signal", "TERM", &format!("{}-{name}", image.short())]).exits(0);
        running.wait().exits(0).prints("demo tenants: ok").prints("static files: ok").prints_not("WARN")
    };
    page("first");

    database.execute("DROP TABLE demo.finance_invoice");
    let blocked = start("second", &[]).wait().exits(1);
    let text = blocked.failure_box();
    for word in ["demo", "finance_invoice", "finance.Invoice", "portcullis repair demo --replay finance"] {
        assert!(text.contains(word), "{word}: {blocked}");
    }
    assert!(!is_listening(port));
    // A command after the image's name runs behind the gate, unless the configuration lists it for pass-through.
    start("third", &["python", "-c", "print('reached')"]).wait().exits(1).prints_not("reached");

    start("fourth", &["portcullis", "repair", "demo", "--replay", "finance"])
        .wait()
        .exits(0)
        .prints("finance.0004_invoice_payment run again");
    page("fifth").prints("every tenant is complete: ok");
}

#[test]
fn the_lines_of_the_quick_start_complete_a_django_image() {
    let program = Image::program();
    let lines =
        block("docs/quick-start.md", "COPY --from=portcullis /portcullis /usr/local/bin/\nRUN portcullis");
    let context = Portcullis::new();
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/django/.")).arg(context.folder());
    Running::start(copy, false).wait().exits(0);
    let base = python();
    let dockerfile = format!(
        "FROM {} AS portcullis\nFROM {}\nWORKDIR /app\nCOPY . .\n{}",
        program.name(),
        base.name(),
        lines.replace("RUN portcullis", "RUN SECRET_KEY=build DB_PASSWORD=build portcullis")
    );
    let context = context.file("Dockerfile", &dockerfile);
    let image = Image::of_context(context.folder(), &["--network=none".to_owned()]);
    let mut run = image.podman();
    run.args(["run", "--rm", "--network=none", "--env=DB_PASSWORD=x", image.name()]);
    run.args(["portcullis", "manifest", "django", "--check"]);
    Running::start(run, false).wait().exits(0);
}

#[test]
fn the_lines_of_the_quick_start_make_an_init() {
    let program = Image::program();
    let base = Image::of_parts(&[], "ENV PATH=/usr/local/bin:/bin\n", |root| {
        let nginx = root.join("bin/nginx");
        fs::write(&nginx, "#!/bin/sh\necho \"$*\"; read -r line < /proc/1/comm; echo \"$line\"\n").unwrap();
        fs::set_permissions(&nginx, fs::Permissions::from_mode(0o755)).unwrap();
    });
    let lines =
        block("docs/quick-start.md", "COPY --from=portcullis /portcullis /usr/local/bin/\nENTRYPOINT");
    let dockerfile = format!("FROM {} AS portcullis\nFROM {}\n{lines}", program.name(), base.name());
    let context = Portcullis::new().file("Dockerfile", &dockerfile);
    let image = Image::of_context(context.folder(), &["--network=none".to_owned()]);
    let mut run = image.podman();
    run.args(["run", "--rm", "--network=none", image.name()]);
    Running::start(run, false).wait().exits(0).prints("-g daemon off;\nportcullis");
}

/// The image that the example's Dockerfile builds.
pub fn image() -> Image {
    let bases = [("PYTHON", &python()), ("PORTCULLIS", &Image::program())];
    Image::of_dockerfile("examples/django/Dockerfile", &bases, &[])
}

/// A base image with this machine's Python and the example's packages: `pip install` has nothing to fetch.
pub fn python() -> Image {
    let shown = Command::new(django::venv().join("python"))
        .args(["-c", "import sys; print(sys.base_prefix, '%d.%d' % sys.version_info[:2])"])
        .output()
        .unwrap();
    let output = String::from_utf8(shown.stdout).unwrap();
    let (prefix, version) = output.trim().split_once(' ').unwrap();
    let packages = django::venv().with_file_name("lib").join(format!("python{version}/site-packages"));
    let parts = [
        format!("{prefix}/bin/python{version}=/usr/local/bin/python"),
        format!("{prefix}/lib/python{version}=/usr/local/lib/python{version}"),
        format!("{}=/packages", packages.display()),
        "/usr/share/zoneinfo".to_owned(),
    ];
    let stage = "ENV PATH=/usr/local/bin:/bin PYTHONPATH=/packages PIP_DISABLE_PIP_VERSION_CHECK=1\n";
    Image::of_parts(&parts, stage, |root| {
        program(root, "pip", "from pip._internal.cli.main import main; main()");
        program(root, "gunicorn", "from gunicorn.app.wsgiapp import run; run()");
        // Debian's Python refuses to install packages outside a virtual environment without this option.
        let _ = fs::remove_file(root.join(format!("usr/local/lib/python{version}/EXTERNALLY-MANAGED")));
    })
}

fn program(root: &Path, name: &str, python: &str) {
    let path = root.join("usr/local/bin").join(name);
    fs::write(&path, format!("#!/usr/local/bin/python\n{python}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
