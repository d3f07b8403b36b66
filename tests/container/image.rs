//! Builds the final stage of `docker/Dockerfile` out of the local static binaries, without any registry.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::process::Running;

/// An image; dropped, it is removed.
pub struct Image {
    name: String,
    folder: TempDir,
}

impl Image {
    pub fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = Self { name: format!("localhost/portcullis-test-{}", std::process::id()), folder };
        let (root, var) = (image.folder.path().join("out/root"), image.folder.path().join("out/var"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(var).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let binaries = PathBuf::from(std::env::var("PORTCULLIS_TEST_STATIC").expect(
            "PORTCULLIS_TEST_STATIC names no folder of static binaries: run `make test`, or set it to what scripts/static prints",
        ));
        for file in [
            binaries.join("portcullis"),
            binaries.join("examples/invoices"),
            source.join("config.toml"),
            source.join("portcullis.manifest.json"),
            source.join("migrations"),
        ] {
            let mut copy = Command::new("cp");
            copy.arg("-R").arg(file).arg(&root);
            Running::start(copy, false).wait().exits(0);
        }
        let dockerfile = fs::read_to_string(source.join("docker/Dockerfile")).unwrap();
        let (_, last_stage) = dockerfile.split_once("\nFROM scratch\n").expect("a stage `FROM scratch`");
        let last_stage =
            format!("FROM scratch\n{}", last_stage.replace("--from=builder ", "").replace(" /out/", " out/"));
        fs::write(image.folder.path().join("Dockerfile"), last_stage).unwrap();
        // What podman needs on a machine whose control groups are a mixture, and which lacks CAP_SYS_RESOURCE.
        let conf = "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=20000:20000\"]\n\
                    [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(image.containers_conf(), conf).unwrap();
        let mut build = Command::new("podman");
        build.env("CONTAINERS_CONF", image.containers_conf()).args(["build", "--tag", &image.name]);
        build.arg(image.folder.path());
        Running::start(build, false).wait().exits(0);
        image
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

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("podman").args(["rmi", "--force", &self.name]).output();
    }
}
