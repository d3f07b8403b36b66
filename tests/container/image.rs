//! Images out of this machine's programs and the static binaries, without any registry: what the shipped Dockerfiles
//! make of base images, and one that holds next to nothing.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::process::Running;

/// What an engine may take for images and for many containers while everything else is tested as well.
pub const ENGINE: Duration = Duration::from_mins(5);

/// What the engine says of itself where it stumbles over what it does for another test at that moment.
const STUMBLES: [&str; 6] =
    ["layer not known", "image not known", "aardvark-dns", "netavark", "dnsname", "database is locked"];

/// Runs the engine until it succeeds; again only where the failure is the engine's own, never a container's.
#[track_caller]
pub fn engine_succeeds(command: impl Fn() -> Command) {
    let mut outcome = Running::start(command(), false).wait_up_to(ENGINE);
    for _ in 0..2 {
        if outcome.code == Some(0) || !STUMBLES.iter().any(|stumble| outcome.stderr.contains(stumble)) {
            break;
        }
        eprintln!("the engine stumbled: {outcome}");
        outcome = Running::start(command(), false).wait_up_to(ENGINE);
    }
    outcome.exits(0);
}

/// An image; dropped, it is removed.
pub struct Image {
    name: String,
    folder: TempDir,
}

impl Image {
    /// The shipped sample.
    pub fn sample() -> Self {
        Self::of_dockerfile("docker/Dockerfile", &[("RUST_IMAGE", &rust())], &[])
    }

    /// The program alone, as other images take it.
    pub fn program() -> Self {
        Self::of_dockerfile("docker/Dockerfile", &[("RUST_IMAGE", &rust())], &["--target", "portcullis"])
    }

    /// Nothing but the program, this configuration, and a static busybox for its steps.
    pub fn bare(config: &str) -> Self {
        let image = Self::in_a_folder();
        let root = image.folder.path().join("root");
        fs::create_dir_all(&root).unwrap();
        copy(&binaries().join("portcullis"), &root);
        copy(Path::new("/bin/busybox"), &root);
        fs::write(root.join("config.toml"), config).unwrap();
        image.made_of("COPY root/ /\nWORKDIR /\nENTRYPOINT [\"/portcullis\"]\n")
    }

    /// Parts of this machine, as `tests/fixtures/images/rootfs.sh` takes them, and what `fill` adds to them.
    pub fn of_parts(parts: &[String], stage: &str, fill: impl FnOnce(&Path)) -> Self {
        let image = Self::in_a_folder();
        let root = image.folder.path().join("root");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images/rootfs.sh");
        let mut make = Command::new(script);
        make.arg(&root).args(parts);
        Running::start(make, false).wait_up_to(ENGINE).exits(0);
        fill(&root);
        image.made_of(&format!("COPY root/ /\n{stage}"))
    }

    /// What a shipped Dockerfile makes of these base images, with no network to make it.
    pub fn of_dockerfile(file: &str, bases: &[(&str, &Self)], arguments: &[&str]) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut words =
            vec!["--network=none".to_owned(), "--file".to_owned(), source.join(file).display().to_string()];
        words.extend(bases.iter().map(|(name, base)| format!("--build-arg={name}={}", base.name)));
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        Self::in_a_folder().built(&words, source)
    }

    fn in_a_folder() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("localhost/portcullis-test-{}-{number}", std::process::id());
        Self { name, folder: tempfile::tempdir().unwrap() }
    }

    fn made_of(self, stage: &str) -> Self {
        fs::write(self.folder.path().join("Dockerfile"), format!("FROM scratch\n{stage}")).unwrap();
        let context = self.folder.path().to_owned();
        self.built(&[], &context)
    }

    fn built(self, arguments: &[String], context: &Path) -> Self {
        // What podman needs on a machine whose control groups are a mixture, and which lacks CAP_SYS_RESOURCE.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=20000:20000\"]\n\
                    [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(self.folder.path().join("containers.conf"), conf).unwrap();
        engine_succeeds(|| {
            let mut build = self.podman();
            // As docker does, which knows of health checks. Without a cache of layers: looking for one fails where
            // another test removes its image at that moment.
            build
                .args(["build", "--format=docker", "--layers=false", "--tag", &self.name])
                .args(arguments)
                .arg(context);
            build
        });
        self
    }

    /// The engine, to be asked about this image and its containers. Health checks run when they are told to.
    pub fn podman(&self) -> Command {
        let mut podman = Command::new("podman");
        podman
            .env("CONTAINERS_CONF", self.folder.path().join("containers.conf"))
            .env("DISABLE_HC_SYSTEMD", "true");
        podman
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Without the registry, as a container may be called.
    pub fn short(&self) -> &str {
        self.name.trim_start_matches("localhost/")
    }
}

/// A base image in which `cargo build` takes what was built already, for whatever target it was; nothing else of the
/// Dockerfile is spared.
fn rust() -> Image {
    Image::of_parts(&[], "ENV PATH=/bin\n", |root| {
        fs::create_dir(root.join("built")).unwrap();
        copy(&binaries().join("portcullis"), &root.join("built"));
        copy(&binaries().join("examples/invoices"), &root.join("built"));
        program(root, "apk", "exit 0");
        program(root, "rustc", "echo host: x86_64-unknown-linux-musl");
        program(
            root,
            "cargo",
            "release=target/x86_64-unknown-linux-musl/release\n\
             mkdir -p $release/examples && cp /built/portcullis $release && cp /built/invoices $release/examples",
        );
    })
}

/// Writes a script for the image's shell.
fn program(root: &Path, name: &str, script: &str) {
    let path = root.join("bin").join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn binaries() -> PathBuf {
    PathBuf::from(std::env::var("PORTCULLIS_TEST_STATIC").expect(
        "PORTCULLIS_TEST_STATIC names no folder of static binaries: run `make test`, or set it to what scripts/static prints",
    ))
}

fn copy(from: &Path, into: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(from).arg(into);
    Running::start(copy, false).wait().exits(0);
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["rmi", "--force", &self.name]).output();
    }
}

#[test]
fn the_static_binary_has_at_most_six_mebibytes() {
    let size = fs::metadata(binaries().join("portcullis")).unwrap().len();
    assert!(size <= 6 << 20, "{size} bytes");
}
