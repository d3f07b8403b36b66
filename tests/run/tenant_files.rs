//! `portcullis tenant` on SQLite: a tenant's file is complete or absent, and no other file is changed.

use std::{fs, path::Path, process::Command};

use nix::sys::signal::Signal;

use crate::support::{
    portcullis::Portcullis,
    process::Running,
    sample::{Engine, Sample},
    time_limits::until_true,
};

const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// Never ends in the creation of the tenant `initech`, and ends at once elsewhere.
const SLOW: &str = "CREATE TABLE slow (n INT);\nWITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < (\
    SELECT CASE WHEN file LIKE '%/initech.%' THEN 1e18 ELSE 1 END FROM pragma_database_list WHERE name = 'main'))\
    SELECT count(*) FROM c;\n";

/// The sorted files of tenants.
fn files(sample: &Sample) -> Vec<String> {
    let entries = fs::read_dir(sample.portcullis.path("var/tenants")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn is_being_built(file: &str) -> bool {
    file.strip_suffix(".new").is_some()
}

fn rows(sample: &Sample, tenant: &str) -> i64 {
    sample.number(None, &format!("SELECT count(*) FROM {{}}tenants WHERE schema_name = '{tenant}'"))
}

/// The sample with a file that never ends, and a creation that runs it.
fn during_a_creation(sample: Sample) -> (Sample, Running) {
    let sample = sample.file("migrations/tenant/9_slow.sql", SLOW);
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    sample.portcullis.run(["migrate"]).exits(0);
    let running = sample.portcullis.spawn(["tenant", "create", "initech"]);
    until_true("a file that is being built", || files(&sample).iter().any(|name| is_being_built(name)));
    (sample, running)
}

const COMPLETE: [&str; 3] = ["acme.sqlite", "demo.sqlite", "globex.sqlite"];

#[test]
fn deleting_a_tenant_removes_its_file_and_no_other() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let delete = |name| sample.portcullis.run(["tenant", "delete", name, "--yes"]);
    delete("acme").exits(0).prints("1 row of the registry");
    assert_eq!(files(&sample), COMPLETE[1..]);
    assert_eq!(rows(&sample, "acme"), 0);
    sample.portcullis.run(["verify"]).exits(0).prints("2 tenants complete");
    delete("acme").exits(73).prints("no registry row and no file");
    // A deletion that was killed between the row and the file is completed.
    sample.execute(None, "DELETE FROM tenants WHERE schema_name = 'demo'");
    delete("demo").exits(0);
    // A row without a file.
    sample.drop_schema("globex");
    delete("globex").exits(0);
    assert!(files(&sample).is_empty());
    // A file that belongs to no tenant is not deleted, wherever it is.
    fs::write(sample.portcullis.path("var/tenants/notes.sqlite"), "").unwrap();
    for name in ["notes", "../shared", "shared", ".", ""] {
        delete(name).exits(73);
    }
    assert_eq!(files(&sample), ["notes.sqlite"]);
    assert!(sample.portcullis.path("var/shared.sqlite").exists());
    sample.portcullis.run(["tenant", "bootstrap"]).exits(0).prints("3 created");
}

#[test]
fn the_next_lock_holder_removes_the_staging_file_of_a_killed_run() {
    let (sample, running) = during_a_creation(Sample::complete_on(Engine::Sqlite));
    running.signal(Signal::SIGKILL);
    running.wait();
    assert!(files(&sample).iter().any(|name| name.starts_with("initech.") && is_being_built(name)));
    assert_eq!(rows(&sample, "initech"), 0);
    sample.portcullis.run(["verify"]).exits(0).prints("3 tenants complete");
    let next = sample.portcullis.run(["tenant", "create", "hooli"]).exits(0);
    next.prints("`initech`").prints("left unfinished, was removed");
    assert_eq!(files(&sample), ["acme.sqlite", "demo.sqlite", "globex.sqlite", "hooli.sqlite"]);
    sample.portcullis.run(["verify"]).exits(0).prints("4 tenants complete");
}

#[test]
fn a_signal_or_a_time_out_during_a_creation_leaves_no_file_and_no_row() {
    let (sample, running) = during_a_creation(Sample::complete_on(Engine::Sqlite));
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("`initech` was being created: rolled back");
    assert_eq!(files(&sample), COMPLETE);
    assert_eq!(rows(&sample, "initech"), 0);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let key = "[migrations]\n";
    assert!(config.contains(key) && !config.contains("apply ="));
    let config = config.replace(key, &format!("{key}apply = {{ timeout = \"1s\" }}\n"));
    let sample = sample.file("config.toml", &config);
    let outcome = sample.portcullis.run(["tenant", "create", "initech"]).exits(73);
    outcome.prints("ran longer than 1 s").prints("(rolled back)");
    assert_eq!(files(&sample), COMPLETE);
    assert_eq!(rows(&sample, "initech"), 0);
}

#[test]
fn a_file_is_removed_only_with_proof_of_ownership_and_without_a_registry_row() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let path = |name: &str| sample.portcullis.path(&format!("var/tenants/{name}"));
    let staging_path = |tenant: &str| path(&format!("{tenant}.{NONCE}.new"));
    let recover = || sample.portcullis.run(["tenant", "create", "acme"]);
    // Killed after its commit: the tenant is complete.
    fs::hard_link(path("globex.sqlite"), staging_path("globex")).unwrap();
    recover().exits(73).prints_not("removed");
    assert_eq!(files(&sample), COMPLETE);
    // Killed before its commit: the file was created by the run.
    fs::hard_link(path("globex.sqlite"), staging_path("globex")).unwrap();
    sample.execute(None, "DELETE FROM tenants WHERE schema_name = 'globex'");
    recover().exits(73).prints("`globex`").prints("left unfinished, was removed");
    assert_eq!(files(&sample), ["acme.sqlite", "demo.sqlite"]);
    // Another program's file with the same name.
    fs::copy(path("demo.sqlite"), staging_path("demo")).unwrap();
    sample.execute(None, "DELETE FROM tenants WHERE schema_name = 'demo'");
    recover().exits(73).prints("`demo`");
    assert_eq!(files(&sample), ["acme.sqlite", "demo.sqlite"]);
}

#[test]
fn a_framework_on_sqlite_is_rejected_before_the_database_is_opened() {
    let config = "[database]\nurl = \"sqlite://var\"\n\
                  [tenants]\nregistry = { table = \"tenants\", schema_column = \"schema_name\" }\n\
                  [migrations]\nframework = \"django\"\ntemplate = { file = \"template.sql\" }\n\
                  [[step]]\nname = \"gate\"\nverify = { tenants = \"all\" }\n\
                  [server]\ncommand = [\"true\"]\n";
    let portcullis = Portcullis::new().config(config);
    for refused in [
        portcullis.run(["check"]),
        portcullis.run(["run"]),
        portcullis.run(["tenant", "create", "acme"]),
        portcullis.run(["tenant", "template"]),
        portcullis.run(["repair", "acme", "--replay", "finance"]),
    ] {
        refused.exits(78).prints("config.toml:6:13").prints("`framework = \"django\"` needs PostgreSQL");
    }
    assert!(!portcullis.path("var").exists());
}

/// Checks that neither the gate nor `migrate` reads a file, and that they give the reason.
#[track_caller]
fn assert_unreadable(sample: &Sample, why: &str) {
    let outcome = sample.portcullis.run(["verify"]).exits(74);
    let flat = outcome.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(why), "{why}: {flat}");
    sample.portcullis.run(["migrate"]).exits(74);
}

#[test]
fn a_file_that_is_not_the_tenants_own_is_named_and_not_read() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let path = |name: &str| sample.portcullis.path(&format!("var/tenants/{name}"));
    let (acme, kept) = (path("acme.sqlite"), path("kept"));
    fs::rename(&acme, &kept).unwrap();
    let restore = || {
        fs::remove_file(&acme).unwrap();
        fs::copy(&kept, &acme).unwrap();
    };

    // Another tenant's rows, and the shared schema's.
    fs::hard_link(path("demo.sqlite"), &acme).unwrap();
    assert_unreadable(&sample, "it is the same file as");
    restore();
    sample.portcullis.run(["verify"]).exits(0);
    fs::remove_file(&acme).unwrap();
    fs::hard_link(sample.portcullis.path("var/shared.sqlite"), &acme).unwrap();
    assert_unreadable(&sample, "it is the same file as");
    restore();

    fs::remove_file(&acme).unwrap();
    std::os::unix::fs::symlink(path("demo.sqlite"), &acme).unwrap();
    assert_unreadable(&sample, "it is a symbolic link");
    fs::remove_file(&acme).unwrap();
    fs::create_dir(&acme).unwrap();
    assert_unreadable(&sample, "it is not a regular file");
    fs::remove_dir(&acme).unwrap();
    nix::unistd::mkfifo(&acme, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_unreadable(&sample, "it is not a regular file");
    restore();
    sample.portcullis.run(["verify"]).exits(0);
}

fn chown(path: &Path, user: u32) {
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(user), None).unwrap();
    } else {
        assert!(
            Command::new("sudo").args(["chown", &user.to_string()]).arg(path).status().unwrap().success()
        );
    }
}

#[test]
fn a_file_or_a_journal_of_another_user_is_named_and_not_read() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let path = |name: &str| sample.portcullis.path(&format!("var/tenants/{name}"));
    let acme = path("acme.sqlite");
    let own = nix::unistd::geteuid().as_raw();
    chown(&acme, 65_534);
    assert_unreadable(&sample, "it belongs to the user 65534");
    chown(&acme, own);
    sample.portcullis.run(["verify"]).exits(0);

    for (name, why) in [("acme.sqlite-journal", "another user"), ("acme.sqlite-wal", "another name")] {
        fs::write(path(name), "").unwrap();
        if why == "another name" {
            fs::hard_link(path(name), path("demo.sqlite-wal")).unwrap();
        } else {
            chown(&path(name), 65_534);
        }
        assert_unreadable(&sample, &format!("SQLite would read `{name}` as a part of it, which"));
        assert_unreadable(&sample, why);
        fs::remove_file(path(name)).unwrap();
    }
    fs::remove_file(path("demo.sqlite-wal")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", path("acme.sqlite-shm")).unwrap();
    assert_unreadable(&sample, "is not a regular file");
    fs::remove_file(path("acme.sqlite-shm")).unwrap();
    sample.portcullis.run(["verify"]).exits(0).prints("3 tenants complete");
}
