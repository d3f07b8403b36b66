//! The binaries run on both architectures, and every file that is made from them is complete and reproducible.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use super::{binary, dist, file, root, run};
use crate::support::{
    process::Running,
    sample::{Engine, Sample},
};

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Compares a bill of materials with the schema of the version that it names.
const VALIDATE: &str = "import json, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
text = open(sys.argv[1]).read()
error = JsonStrictValidator(SchemaVersion.from_version(json.loads(text)['specVersion'])).validate_str(text)
sys.exit(str(error) if error else 0)";

#[test]
fn the_version_names_the_revision() {
    let head = run("git", &["-C", root().to_str().unwrap(), "rev-parse", "HEAD"]).exits(0).stdout;
    let expected = format!("portcullis {} ({})", env!("CARGO_PKG_VERSION"), &head[..12]);
    run(binary("amd64"), &["--version"]).exits(0).prints(&expected);
    run("qemu-aarch64-static", &[binary("arm64").to_str().unwrap(), "--version"]).exits(0).prints(&expected);
}

/// The emulated program cannot start itself, so that steps with a command have no process.
#[test]
fn the_arm64_binary_migrates_and_verifies_under_emulation() {
    let sample = Sample::on(Engine::Sqlite);
    let emulated = |arguments: &[&str]| {
        let mut command = Command::new("qemu-aarch64-static");
        command.arg(binary("arm64")).args(arguments).current_dir(sample.portcullis.folder());
        command.env("INVOICES", "/bin/true");
        Running::start(command, false).wait()
    };
    emulated(&["check"]).exits(0);
    emulated(&["verify"]).exits(1);
    emulated(&["run", "--no-server"]).exits(0).prints("3 migrations applied").prints("3 created, 0 kept");
    emulated(&["verify"]).exits(0).prints("3 tenants complete");
}

#[test]
fn archives_and_packages_contain_the_program_its_manual_and_its_completions() {
    let pages = run(binary("amd64"), &["man"]).exits(0).stdout;
    assert!(pages.contains("portcullis\\-verify(1)"), "{pages}");
    for architecture in ARCHITECTURES {
        let expected = fs::read(binary(architecture)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().to_str().unwrap();
        let archive = file("portcullis-", &format!("-linux-{architecture}.tar.gz"));
        run("tar", &["-xzf", archive.to_str().unwrap(), "-C", into, "--strip-components=1"]).exits(0);
        assert_eq!(fs::read(folder.path().join("bin/portcullis")).unwrap(), expected);
        for path in [
            "share/man/man1/portcullis.1",
            "share/man/man1/portcullis-tenant-create.1",
            "share/bash-completion/completions/portcullis",
            "share/zsh/site-functions/_portcullis",
            "share/fish/vendor_completions.d/portcullis.fish",
            "LICENSE-MIT",
            "LICENSE-APACHE",
        ] {
            assert!(folder.path().join(path).metadata().unwrap().len() > 0, "{path}");
        }
        let package = file("portcullis_", &format!("_{architecture}.deb"));
        let package = package.to_str().unwrap();
        run("dpkg-deb", &["--field", package, "Architecture"]).exits(0).prints(architecture);
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("var/lib/dpkg");
        fs::create_dir_all(database.join("info")).unwrap();
        fs::create_dir(database.join("updates")).unwrap();
        fs::write(database.join("status"), "").unwrap();
        let root = format!("--root={}", folder.path().display());
        let install = ["--force-architecture", "--force-not-root", "--log=/dev/null", "--install", package];
        run("dpkg", &[&[&*root], &install[..]].concat()).exits(0);
        run("dpkg", &[&root, "--status", "portcullis"]).exits(0).prints("install ok installed");
        let usr = folder.path().join("usr");
        assert_eq!(fs::read(usr.join("bin/portcullis")).unwrap(), expected);
        for path in ["share/man/man1/portcullis-run.1.gz", "share/doc/portcullis/copyright"] {
            assert!(usr.join(path).exists(), "{path}");
        }
    }
}

#[test]
fn the_checksums_list_every_file_and_the_bill_of_materials_every_crate() {
    let sums = fs::read_to_string(dist().join("SHA256SUMS")).unwrap();
    let listed: BTreeSet<_> = sums.lines().map(|line| line.split("  ").nth(1).unwrap().to_owned()).collect();
    let mut present: BTreeSet<_> = fs::read_dir(dist())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    present.remove("SHA256SUMS");
    present.remove("SHA256SUMS.sig");
    assert_eq!(listed, present);
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(dist());
    Running::start(check, false).wait().exits(0);

    let text = fs::read_to_string(file("portcullis-", ".cdx.json")).unwrap();
    assert!(
        !text.contains(root().to_str().unwrap()),
        "the bill of materials contains a path of this machine"
    );
    let python = root().join("target/workflows/bin/python");
    assert!(python.exists(), "{} is missing: run scripts/workflow-lint", python.display());
    run(python, &["-c", VALIDATE, file("portcullis-", ".cdx.json").to_str().unwrap()]).exits(0);
    let bill: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let names: BTreeSet<_> =
        bill["components"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in ["tokio", "sqlx-postgres", "libsqlite3-sys", "ring", "clap"] {
        assert!(names.contains(name), "{names:?} lacks {name}");
    }
    assert!(!names.contains("proptest"), "a crate of the tests alone is listed");
}

/// `scripts/reproducible` compares two complete builds; this test compares everything that is made from the binaries.
#[test]
fn the_same_binaries_are_packed_into_the_same_bytes_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let key = key.to_str().unwrap();
    run("openssl", &["genpkey", "-algorithm", "ed25519", "-out", key]).exits(0);
    let public = folder.path().join("public.pem");
    let public = public.to_str().unwrap();
    run("openssl", &["pkey", "-in", key, "-pubout", "-out", public]).exits(0);

    let again = folder.path().join("dist");
    fs::create_dir(&again).unwrap();
    for architecture in ARCHITECTURES {
        fs::copy(binary(architecture), again.join(binary(architecture).file_name().unwrap())).unwrap();
    }
    let mut pack = Command::new(root().join("scripts/pack"));
    pack.arg(&again).env("RELEASE_KEY", key);
    Running::start(pack, false).wait().exits(0);
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums(&again), sums(&dist()));

    let verify = |folder: &Path| {
        let mut verify = Command::new("openssl");
        verify.args(["pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", "SHA256SUMS"]);
        verify.args(["-sigfile", "SHA256SUMS.sig"]).current_dir(folder);
        Running::start(verify, false).wait()
    };
    verify(&again).exits(0);
    fs::write(again.join("SHA256SUMS"), sums(&again).replacen('a', "b", 1)).unwrap();
    verify(&again).exits(1);
}

#[test]
fn make_install_installs_below_the_prefix_and_the_destination() {
    let folder = tempfile::tempdir().unwrap();
    let mut make = Command::new("make");
    make.arg("install").arg(format!("DESTDIR={}", folder.path().display())).arg("PREFIX=/opt/portcullis");
    make.arg(format!("BINARY={}", binary("amd64").display())).current_dir(root());
    Running::start(make, false).wait().exits(0);
    let prefix = folder.path().join("opt/portcullis");
    run(prefix.join("bin/portcullis"), &["--version"]).exits(0);
    assert!(prefix.join("share/man/man1/portcullis-init.1").exists());
    assert!(prefix.join("share/bash-completion/completions/portcullis").exists());
}

#[test]
fn a_machine_without_rustup_says_that_arm64_cannot_be_built() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["bash", "dirname"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{program}"), folder.path().join(program)).unwrap();
    }
    let mut cross = Command::new(root().join("scripts/cross"));
    cross.env("PATH", folder.path());
    Running::start(cross, false).wait().exits(69).prints("arm64 cannot be built here: rustup");
}
