//! Faults of the shell entrypoint, each shown, and Portcullis without it. What they have to do with tenants' tables is
//! in the other files of this folder.

use std::{fs, process::Command};

use nix::sys::signal::Signal;

use crate::support::{
    cluster::cluster,
    portcullis::Portcullis,
    process::{Outcome, Running},
};

const SHELL: &str = include_str!("../fixtures/faults/entrypoint.sh");
const MANAGE: &str = include_str!("../fixtures/faults/manage.py");

const STEPS: &str = r#"
[[step]]
name = "migrate"
when = { unless_env = "SKIP_MIGRATIONS" }
command = { run = ["python3", "manage.py", "migrate"] }

[[step]]
name = "demo"
when = { env = "CREATE_DEMO_TENANT" }
command = { run = ["python3", "manage.py", "bootstrap"] }

[[step]]
name = "verify"
command = { run = ["python3", "manage.py", "verify"] }

[[step]]
name = "static files"
command = { run = ["python3", "manage.py", "collectstatic"] }
on_failure = "warn"

[server]
command = ["echo", "SERVING"]
"#;

fn place(config: &str) -> Portcullis {
    Portcullis::new().file("manage.py", MANAGE).file("entrypoint.sh", SHELL).config(config)
}

fn shell(place: &Portcullis, env: &[(&str, &str)]) -> Running {
    let mut command = Command::new("bash");
    command.arg("entrypoint.sh").current_dir(place.folder()).env_clear().envs(env.iter().copied());
    command.env("PATH", std::env::var("PATH").unwrap());
    Running::start(command, false)
}

fn both(env: &[(&str, &str)]) -> (Outcome, Outcome) {
    let theirs = place(STEPS);
    let mut ours = place(STEPS);
    for (name, value) in env {
        ours = ours.env(name, value);
    }
    (shell(&theirs, env).wait(), ours.run(["run"]))
}

#[test]
fn no_password_is_printed() {
    let url = "postgres://app:hunter2@127.0.0.1:1/app";
    shell(&place(STEPS), &[("DATABASE_URL", url)]).wait().says("hunter2");
    let config = "[database]\nurl = \"${DATABASE_URL}\"\n[[step]]\nname = \"database\"\nwait.database = { timeout = \"1s\" }\n";
    place(config).env("DATABASE_URL", url).run(["run"]).exits(69).says_not("hunter2");
}

#[test]
fn a_check_that_fails_blocks_though_its_output_is_kept() {
    let (theirs, ours) = both(&[("CREATE_DEMO_TENANT", "true"), ("FAIL", "verify")]);
    theirs.exits(0).says("SERVING");
    ours.exits(79).says("verify failed").says_not("SERVING");
}

#[test]
fn a_migration_that_fails_blocks() {
    let (theirs, ours) = both(&[("FAIL", "migrate")]);
    theirs.exits(0).says("SERVING");
    ours.exits(79).says_not("SERVING");
}

#[test]
fn every_tenant_is_verified_whatever_the_flags_say() {
    let theirs = place(STEPS);
    shell(&theirs, &[("SKIP_MIGRATIONS", "1")]).wait().says("SERVING");
    assert!(!fs::read_to_string(theirs.path("ran")).unwrap().contains("verify"));
    let ours = place(STEPS).env("SKIP_MIGRATIONS", "1");
    ours.run(["run"]).exits(0).says("SERVING");
    assert!(fs::read_to_string(ours.path("ran")).unwrap().contains("verify"));
}

#[test]
fn a_wrong_password_is_not_retried() {
    let theirs = place(STEPS);
    shell(&theirs, &[("FAIL", "wait")]).wait().says("attempt 3").says("SERVING");
    let url = cluster();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, server) = rest.split_once('@').unwrap();
    let config = format!(
        "[database]\nurl = \"{scheme}://postgres:wrong@{server}\"\n[[step]]\nname = \"database\"\n\
         wait.database = {{ timeout = \"2m\" }}\n"
    );
    place(&config).run(["run"]).exits(77);
}

#[test]
fn a_migration_gets_the_signal_and_nothing_starts_after_it() {
    let ours = place(STEPS).env("SLOW", "migrate");
    let running = ours.spawn(["run"]);
    running.wait_for_line("migrate: started");
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).says("SIGTERM").says_not("SERVING");
}

#[test]
fn true_means_the_same_however_it_is_written_and_errors_are_seen() {
    for word in ["1", "true", "yes", "on"] {
        let ours = place(STEPS).env("CREATE_DEMO_TENANT", word).env("FAIL", "collectstatic");
        ours.run(["run"]).exits(0).says("collectstatic failed").says("SERVING");
        assert!(fs::read_to_string(ours.path("ran")).unwrap().contains("bootstrap"), "{word}");
    }
    let theirs = place(STEPS);
    shell(&theirs, &[("CREATE_DEMO_TENANT", "1"), ("FAIL", "collectstatic")])
        .wait()
        .says_not("collectstatic failed");
    assert!(!fs::read_to_string(theirs.path("ran")).unwrap().contains("bootstrap"));
    place(STEPS).env("CREATE_DEMO_TENANT", "maybe").run(["run"]).exits(78).says("neither true nor false");
}
