//! The image of the release, and the two Dockerfiles of the README: the binary from an image, and from a release file.

use std::{fs, process::Command};

use super::{binary, file, root};
use crate::{
    container::image::{Image, engine_succeeds},
    documents::blocks::block,
    support::process::Running,
};

/// An image that podman has loaded; dropping it removes the image.
struct Loaded(String);

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["rmi", "--force", &self.0]).output();
    }
}

/// Loads the image for one architecture from the archive.
fn loaded(architecture: &str) -> Loaded {
    let archive = format!("oci-archive:{}", file("portcullis-", ".oci.tar").display());
    let pull = || {
        let mut pull = Command::new("podman");
        pull.args(["pull", "--quiet", "--arch", architecture, &archive]);
        pull
    };
    engine_succeeds(pull);
    let id = Running::start(pull(), false).wait().exits(0).stdout.trim().to_owned();
    let name = format!("localhost/portcullis-release-{architecture}-{}", std::process::id());
    let mut tag = Command::new("podman");
    tag.args(["tag", &id, &name]);
    Running::start(tag, false).wait().exits(0);
    Loaded(name)
}

#[test]
fn the_image_archive_contains_both_architectures() {
    for architecture in ["amd64", "arm64"] {
        let image = loaded(architecture);
        let mut inspect = Command::new("podman");
        inspect.args(["image", "inspect", &image.0]);
        let text = Running::start(inspect, false).wait().exits(0).stdout;
        let images: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(images[0]["Architecture"], architecture);
        assert_eq!(images[0]["Config"]["Entrypoint"], serde_json::json!(["/portcullis", "run", "--"]));
        assert_eq!(images[0]["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn both_dockerfiles_of_the_readme_build_an_image_behind_the_gate() {
    let release = loaded("amd64");
    let files = [block("README.md", "ARG PORTCULLIS="), block("README.md", "ARG BASE=")];
    for dockerfile in files {
        let base = Image::of_parts(&[], "ENV PATH=/usr/local/bin:/bin\n", |_| {});
        let context = tempfile::tempdir().unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-R").args(["config.toml", "migrations", "portcullis.manifest.json"]);
        copy.arg(context.path()).current_dir(root());
        Running::start(copy, false).wait().exits(0);
        fs::copy(binary("amd64"), context.path().join("portcullis-linux-amd64")).unwrap();
        fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        let arguments = [
            format!("--build-arg=BASE={}", base.name()),
            format!("--build-arg=PORTCULLIS={}", release.0),
            "--network=none".to_owned(),
        ];
        let image = Image::of_context(context.path(), &arguments);
        let run = |argv: &[&str]| {
            let mut run = image.podman();
            run.args([
                "run",
                "--rm",
                "--network=none",
                "--env=INVOICES=/bin/true",
                "--env=DATABASE_URL=sqlite:///tmp",
            ]);
            run.arg("--tmpfs=/tmp:mode=1777").arg(image.name()).args(argv);
            Running::start(run, false).wait()
        };
        run(&["echo", "the server started"])
            .exits(0)
            .prints("every tenant is complete: ok")
            .prints("the server started");
        // An argv of Portcullis itself runs no step.
        run(&["portcullis", "--version"])
            .exits(0)
            .prints_not("every tenant")
            .prints(&format!("portcullis {}", env!("CARGO_PKG_VERSION")));
    }
}
