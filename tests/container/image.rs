//! Images built from this machine's programs and the static binaries, without a registry: those of the shipped
//! Dockerfiles, and a nearly empty one.

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

/// The time limit for the container engine on a busy machine.
pub const ENGINE: Duration = Duration::from_mins(5);

/// Errors of the engine when it works for another test at the same time.
///
/// The last one: the engine chooses a free port when it creates a container, and another process can take it before
/// the container starts.
const ENGINE_ERRORS: [&str; 7] = [
    "layer not known",
    "image not known",
    "aardvark-dns",
    "netavark",
    "dnsname",
    "database is locked",
    "cannot listen on the TCP port",
];

/// Runs the engine; retries only failures of the engine itself, never those of a container.
#[track_caller]
pub fn engine_succeeds(command: impl Fn() -> Command) {
    let mut outcome = Running::start(command(), false).wait_up_to(ENGINE);
    for _ in 0..2 {
        if outcome.code == Some(0) || !ENGINE_ERRORS.iter().any(|error| outcome.stderr.contains(error)) {
            break;
        }
        eprintln!("retrying after an engine error: {outcome}");
        outcome = Running::start(command(), false).wait_up_to(ENGINE);
    }
    outcome.exits(0);
}

/// An image; dropping it removes the image.
pub struct Image {
    name: String,
    folder: TempDir,
}

impl Image {
    /// The image of the shipped sample.
    pub fn sample() -> Self {
        Self::of_dockerfile("docker/Dockerfile", &[("RUST_IMAGE", &rust())], &[])
    }

    /// The image that contains only the program; other images copy from it.
    pub fn program() -> Self {
        Self::of_dockerfile("docker/Dockerfile", &[("RUST_IMAGE", &rust())], &["--target", "portcullis"])
    }

    /// An image with the program, this configuration and a static busybox for its steps.
    pub fn bare(config: &str) -> Self {
        let image = Self::in_a_folder();
        let root = image.folder.path().join("root");
        fs::create_dir_all(&root).unwrap();
        copy(&binaries().join("portcullis"), &root);
        copy(Path::new("/bin/busybox"), &root);
        fs::write(root.join("config.toml"), config).unwrap();
        image.build_from("COPY root/ /\nWORKDIR /\nENTRYPOINT [\"/portcullis\"]\n")
    }

    /// An image with parts of this machine (see `tests/fixtures/images/rootfs.sh`) and the files that `fill` adds.
    pub fn of_parts(parts: &[String], stage: &str, fill: impl FnOnce(&Path)) -> Self {
        let image = Self::in_a_folder();
        let root = image.folder.path().join("root");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images/rootfs.sh");
        let mut make = Command::new(script);
        make.arg(&root).args(parts);
        Running::start(make, false).wait_up_to(ENGINE).exits(0);
        fill(&root);
        image.build_from(&format!("COPY root/ /\n{stage}"))
    }

    /// The image that a shipped Dockerfile builds on these base images, without a network.
    pub fn of_dockerfile(file: &str, bases: &[(&str, &Self)], arguments: &[&str]) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut words =
            vec!["--network=none".to_owned(), "--file".to_owned(), source.join(file).display().to_string()];
        words.extend(bases.iter().map(|(name, base)| format!("--build-arg={name}={}", base.name)));
        words.extend(arguments.iter().map(|&word| word.to_owned()));
        Self::in_a_folder().built(&words, source)
    }

    /// The image of the Dockerfile in this folder, which is also the build context.
    pub fn of_context(context: &Path, arguments: &[String]) -> Self {
        Self::in_a_folder().built(arguments, context)
    }

    fn in_a_folder() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("localhost/portcullis-test-{}-{number}", std::process::id());
        Self { name, folder: tempfile::tempdir().unwrap() }
    }

    fn build_from(self, stage: &str) -> Self {
        fs::write(self.folder.path().join("Dockerfile"), format!("FROM scratch\n{stage}")).unwrap();
        let context = self.folder.path().to_owned();
        self.built(&[], &context)
    }

    fn built(self, arguments: &[String], context: &Path) -> Self {
        // podman needs this on a machine with mixed control groups and without CAP_SYS_RESOURCE.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=20000:20000\"]\n\
                    [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(self.folder.path().join("containers.conf"), conf).unwrap();
        engine_succeeds(|| {
            let mut build = self.podman();
            // docker's format keeps health checks. No layer cache: its lookup fails if another test removes an image
            // at that moment.
            build
                .args(["build", "--format=docker", "--layers=false", "--tag", &self.name])
                .args(arguments)
                .arg(context);
            build
        });
        self
    }

    /// The engine's command for this image and its containers. Health checks run only on request.
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

    /// The name without the registry, which is also valid for a container.
    pub fn short(&self) -> &str {
        self.name.trim_start_matches("localhost/")
    }
}

/// A base image in which `cargo build` copies the existing binaries for any target; the rest of the
/// Dockerfile runs unchanged.
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
fn the_static_binary_has_at_most_6_441_456_bytes() {
    let size = fs::metadata(binaries().join("portcullis")).unwrap().len();
    assert!(size <= 6_441_456, "{size} bytes");
}
