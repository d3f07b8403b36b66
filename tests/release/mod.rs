//! The files of a release, which `scripts/release` builds: binaries, archives, packages, the image, checksums.

mod dockerfiles;
mod files;
mod workflows;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::process::{Outcome, Running};

/// The folder that `scripts/release` prints.
fn dist() -> PathBuf {
    PathBuf::from(std::env::var("PORTCULLIS_TEST_DIST").expect(
        "PORTCULLIS_TEST_DIST names no folder of release files: run `make test`, or set it to what scripts/release prints",
    ))
}

#[track_caller]
fn binary(architecture: &str) -> PathBuf {
    let path = dist().join(format!("portcullis-linux-{architecture}"));
    assert!(path.exists(), "not proved: {architecture} was not built here; scripts/cross says why");
    path
}

/// A file of the release, whose name contains the version.
fn file(before: &str, after: &str) -> PathBuf {
    dist().join(format!("{before}{}{after}", env!("CARGO_PKG_VERSION")))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(program);
    command.args(arguments);
    Running::start(command, false).wait()
}
