//! Images out of the local static binaries, without any registry: the final stage of `docker/Dockerfile`, and one
//! that holds next to nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

use crate::support::process::Running;

/// An image; dropped, it is removed.
pub struct Image {
    name: String,
    folder: TempDir,
}

impl Image {
    /// The shipped sample.
    pub fn build() -> Self {
        let image = Self::in_a_folder();
        let (root, var) = (image.folder.path().join("out/root"), image.folder.path().join("out/var"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(var).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        for file in [
            binaries().join("portcullis"),
            binaries().join("examples/invoices"),
            source.join("config.toml"),
            source.join("portcullis.manifest.json"),
            source.join("migrations"),
        ] {
            copy(&file, &root);
        }
        let dockerfile = fs::read_to_string(source.join("docker/Dockerfile")).unwrap();
        let (_, last_stage) = dockerfile.split_once("\nFROM scratch\n").expect("a stage `FROM scratch`");
        image.made_of(&last_stage.replace("--from=builder ", "").replace(" /out/", " out/"))
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
        Running::start(make, false).wait().exits(0);
        fill(&root);
        image.made_of(&format!("COPY root/ /\n{stage}"))
    }

    /// The program alone, as other images take it.
    pub fn program() -> Self {
        let image = Self::in_a_folder();
        copy(&binaries().join("portcullis"), image.folder.path());
        image.made_of("COPY portcullis /portcullis\n")
    }

    /// What the Django example's own Dockerfile makes of these base images, with no network to make it.
    pub fn django(python: &Self, program: &Self) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dockerfile = source.join("examples/django/Dockerfile");
        let (python, program) = (format!("PYTHON={}", python.name), format!("PORTCULLIS={}", program.name));
        let arguments = ["--network=none", "--build-arg", &python, "--build-arg", &program];
        let file = ["--file", dockerfile.to_str().unwrap()];
        Self::in_a_folder().built(&[&arguments[..], &file].concat(), source)
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

    fn built(self, arguments: &[&str], context: &Path) -> Self {
        // What podman needs on a machine whose control groups are a mixture, and which lacks CAP_SYS_RESOURCE.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=20000:20000\"]\n\
                    [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(self.containers_conf(), conf).unwrap();
        let mut build = Command::new("podman");
        // Without a cache of layers: looking for one fails where another test removes its image at that moment.
        build.env("CONTAINERS_CONF", self.containers_conf()).args([
            "build",
            "--layers=false",
            "--tag",
            &self.name,
        ]);
        build.args(arguments).arg(context);
        Running::start(build, false).wait().exits(0);
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Without the registry, as a container may be called.
    pub fn short(&self) -> &str {
        self.name.trim_start_matches("localhost/")
    }

    pub fn containers_conf(&self) -> PathBuf {
        self.folder.path().join("containers.conf")
    }
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
