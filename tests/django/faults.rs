//! Demonstrates each fault of the shell entrypoint, and Portcullis without it. Faults about tenants' tables are
//! in the other files of this folder.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use nix::sys::signal::Signal;

use crate::run::lock;
use crate::support::{
    cluster::cluster,
    django::{self, Project},
    portcullis::Portcullis,
    process::{Outcome, Running},
    project,
    redis::Redis,
    sample::{Engine, Sample},
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
    let (database, redis) = ("postgres://app:hunter2@127.0.0.1:1/app", "redis://:swordfish@127.0.0.1:1/0");
    let theirs = shell(&place(STEPS), &[("DATABASE_URL", database), ("REDIS_URL", redis)]).wait();
    theirs.prints("hunter2").prints("swordfish");
    for wait in [
        "[database]\nurl = \"${DATABASE_URL}\"\n[[step]]\nname = \"it\"\nwait.database = { timeout = \"1s\" }\n",
        "[[step]]\nname = \"it\"\nwait.redis = { url = \"${REDIS_URL}\", timeout = \"1s\" }\n",
    ] {
        let ours = place(wait).env("DATABASE_URL", database).env("REDIS_URL", redis).run(["run"]);
        ours.exits(69).prints_not("hunter2").prints_not("swordfish");
    }
}

#[test]
fn a_failing_check_blocks_although_its_output_is_captured() {
    let (theirs, ours) = both(&[("CREATE_DEMO_TENANT", "true"), ("FAIL", "verify")]);
    theirs.exits(0).prints("SERVING");
    ours.exits(79).prints("verify failed").prints_not("SERVING");
}

#[test]
fn a_failing_migration_blocks() {
    let (theirs, ours) = both(&[("FAIL", "migrate")]);
    theirs.exits(0).prints("SERVING");
    ours.exits(79).prints_not("SERVING");
}

#[test]
fn every_tenant_is_verified_with_any_flags() {
    for (name, value) in [("SKIP_MIGRATIONS", "1"), ("CREATE_DEMO_TENANT", "false")] {
        let theirs = place(STEPS);
        shell(&theirs, &[(name, value)]).wait().prints("SERVING");
        assert!(!fs::read_to_string(theirs.path("ran")).unwrap().contains("verify"));
        let ours = place(STEPS).env(name, value);
        ours.run(["run"]).exits(0).prints("SERVING");
        assert!(fs::read_to_string(ours.path("ran")).unwrap().contains("verify"));
    }
}

#[test]
fn a_wrong_password_is_not_retried() {
    let theirs = place(STEPS);
    shell(&theirs, &[("FAIL", "wait")]).wait().prints("attempt 3").prints("SERVING");
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
fn a_tenant_whose_check_raises_is_not_counted_as_good() {
    let theirs = place(STEPS).file(
        "tenants.json",
        r#"{"acme": {"domain": "a", "ledger": null}, "demo": {"domain": "d", "ledger": ["0001_initial", "0002_invoice"]}}"#,
    );
    let demo = [("CREATE_DEMO_TENANT", "true")];
    shell(&theirs, &demo).wait().exits(0).prints("2 of 2 tenants OK").prints("SERVING");
    let ours = Sample::complete_on(Engine::Sqlite);
    fs::write(ours.portcullis.path("var/tenants/acme.sqlite"), "this is no database at all").unwrap();
    ours.portcullis.run(["verify"]).exits(74).prints("acme");

    // A tenant without a domain ends the script's check silently; Portcullis does not need the domain.
    let theirs = place(STEPS).file("tenants.json", r#"{"acme": {"ledger": []}, "demo": {"domain": "d"}}"#);
    shell(&theirs, &demo).wait().exits(0).prints("KeyError").prints("SERVING");
    let ours = Project::complete();
    ours.database.execute("DELETE FROM customers_domain");
    ours.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_lying_ledger_is_detected() {
    let lying = r#"{"acme": {"domain": "a", "ledger": ["0001_initial", "0002_invoice"], "tables": []}}"#;
    let theirs = place(STEPS).file("tenants.json", lying);
    shell(&theirs, &[("CREATE_DEMO_TENANT", "true")])
        .wait()
        .exits(0)
        .prints("1 of 1 tenants OK")
        .prints("SERVING");
    let ours = Sample::complete_on(Engine::Sqlite);
    ours.execute(Some("acme"), "DROP TABLE finance_invoice");
    ours.run().exits(1).prints("acme").prints("finance_invoice");
}

#[test]
fn checks_are_read_only_and_exist_for_one_tenant_and_for_all() {
    let behind = r#"{"acme": {"domain": "a", "ledger": []}}"#;
    let theirs = place(STEPS).file("tenants.json", behind);
    shell(&theirs, &[("CREATE_DEMO_TENANT", "true")]).wait().exits(0).prints("SERVING");
    assert!(fs::read_to_string(theirs.path("tenants.json")).unwrap().contains("0002_invoice"), "it wrote");
    let ran = fs::read_to_string(theirs.path("ran")).unwrap();
    assert_eq!(ran.matches("verify").count(), 1, "one check for both");

    let ours = Project::complete();
    ours.copies(&["acme".into()]);
    let ledger = || ours.database.column("SELECT name::text FROM acme.django_migrations ORDER BY id");
    ours.database.execute("DELETE FROM acme.django_migrations WHERE name = '0004_invoice_payment'");
    let before = ledger();
    ours.portcullis.run(["verify", "--tenant", "demo"]).exits(0);
    ours.portcullis.run(["verify"]).exits(1).prints("acme").prints("0004_invoice_payment");
    assert_eq!(ledger(), before);
}

/// The output of `redis-cli`.
fn redis(port: &str, arguments: &[&str]) -> String {
    let answer = Command::new("redis-cli").args(["-p", port]).args(arguments).output().unwrap();
    String::from_utf8(answer.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_killed_or_failed_run_leaves_no_lock_behind() {
    let server = Redis::start();
    let port = server.port().to_string();
    let theirs = place(STEPS);
    let killed = shell(&theirs, &[("LOCK_PORT", &port), ("SLOW", "migrate")]);
    killed.wait_for_line("under way");
    killed.signal(Signal::SIGKILL);
    let waits = shell(&theirs, &[("LOCK_PORT", &port), ("POLL", "50")]);
    waits.wait_for_line("another replica is migrating");
    let left = || redis(&port, &["ttl", "migrating"]).parse::<u32>().unwrap();
    assert!(left() > 500, "for {} s nobody may migrate", left());
    redis(&port, &["del", "migrating"]);
    // A failing check leaves it as well.
    let nobody = place(STEPS).file("tenants.json", "{}");
    shell(&nobody, &[("LOCK_PORT", &port), ("CREATE_DEMO_TENANT", "true")]).wait().exits(1);
    assert!(left() > 500, "for {} s nobody may migrate", left());
    // Without Redis, the script excludes no other run.
    drop(server);
    shell(&place(STEPS), &[("LOCK_PORT", &port)])
        .wait()
        .exits(0)
        .prints("Connection refused")
        .prints("SERVING");

    let mut ours = project::Project::new("");
    ours.portcullis = ours.portcullis.file("shared/2_slow.sql", "SELECT pg_sleep(3);\n");
    let killed = ours.portcullis.spawn(["run", "--no-server"]);
    let locks = "SELECT 'yes' FROM pg_locks WHERE locktype = 'advisory' \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    ours.until(true, locks);
    killed.signal(Signal::SIGKILL);
    ours.portcullis.run(["run", "--no-server"]).exits(0);
    let failing = "\n[[step]]\nname = \"fails\"\ncommand = { run = [\"false\"], once_per_release = true }\n";
    let ours = ours.step(failing);
    ours.portcullis.run(["run", "--no-server"]).exits(79);
    ours.until(false, locks);
}

#[test]
fn another_run_cannot_remove_a_held_lock() {
    let server = Redis::start();
    let port = server.port().to_string();
    let holds = [("LOCK_PORT", port.as_str()), ("WAIT_FOR_GO", "migrate")];
    let (first, second) = (place(STEPS), place(STEPS));
    let slow = shell(&first, &holds);
    slow.wait_for_line("under way");
    // The state after ten minutes.
    redis(&port, &["expire", "migrating", "0"]);
    let other = shell(&second, &holds);
    other.wait_for_line("under way");
    fs::write(first.path("go on"), "").unwrap();
    slow.wait().exits(0);
    assert_eq!(redis(&port, &["exists", "migrating"]), "0", "it took the other's lock away");
    fs::write(second.path("go on"), "").unwrap();
    other.wait().exits(0);

    let ours = lock::slow().env("LOCK_TIMEOUT", "300ms");
    let holder = ours.portcullis.spawn(["run"]);
    lock::until_migrating(&ours);
    ours.portcullis.run(["run"]).exits(75).prints_not("the server started");
    ours.until(true, lock::HOLDER);
    ours.database.execute("INSERT INTO public.go_on VALUES (1)");
    holder.wait().exits(0);
}

#[test]
fn a_migration_receives_the_signal_and_has_time_to_roll_back() {
    let theirs = place(STEPS);
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "tini", "--", "bash", "entrypoint.sh"]);
    command.current_dir(theirs.folder()).env_clear().env("SLOW", "migrate");
    command.env("PATH", std::env::var("PATH").unwrap());
    let running = Running::start(command, true);
    running.wait_for_line("under way");
    running.signal(Signal::SIGTERM);
    running.wait().prints_not("SERVING");
    assert!(!theirs.path("rolled back").exists(), "it was killed where it stood");

    let ours = place(STEPS).env("SLOW", "migrate").in_own_pid_namespace();
    let running = ours.spawn(["run"]);
    running.wait_for_line("under way");
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("SIGTERM").prints_not("SERVING");
    assert!(ours.path("rolled back").exists());
}

#[test]
fn a_start_with_nothing_to_do_runs_no_python() {
    let theirs = place(STEPS);
    shell(&theirs, &[("CREATE_DEMO_TENANT", "true")]).wait().prints("SERVING");
    let ran = fs::read_to_string(theirs.path("ran")).unwrap();
    assert_eq!(ran.lines().count(), 5, "each question starts one: {ran}");

    let mut ours = Project::complete();
    let gate = fs::read_to_string(ours.portcullis.path("config.toml")).unwrap();
    let (gate, _) = gate.split_once("[[step]]\nname = \"invoice totals\"").unwrap();
    fs::write(ours.portcullis.path("config.toml"), gate).unwrap();
    let python = ours.portcullis.path("counted/python");
    fs::create_dir(python.parent().unwrap()).unwrap();
    let counts = format!(
        "#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n",
        ours.portcullis.path("started").display(),
        django::venv().join("python").display()
    );
    fs::write(&python, counts).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap());
    ours.set("PATH", &path);
    ours.set("CREATE_DEMO_TENANT", "yes");
    ours.portcullis.run(["run"]).exits(0).prints("every tenant is complete: ok");
    assert!(!ours.portcullis.path("started").exists());
    // A start of Python would have been counted.
    ours.portcullis.run(["manifest", "django", "--check"]).exits(0);
    assert!(ours.portcullis.path("started").exists());
}

#[test]
fn every_spelling_of_true_is_equal_and_invalid_values_are_errors() {
    for word in ["1", "true", "yes", "on"] {
        let ours = place(STEPS).env("CREATE_DEMO_TENANT", word).env("FAIL", "collectstatic");
        ours.run(["run"]).exits(0).prints("collectstatic failed").prints("SERVING");
        assert!(fs::read_to_string(ours.path("ran")).unwrap().contains("bootstrap"), "{word}");
    }
    let theirs = place(STEPS);
    shell(&theirs, &[("CREATE_DEMO_TENANT", "1"), ("FAIL", "collectstatic")])
        .wait()
        .prints_not("collectstatic failed");
    assert!(!fs::read_to_string(theirs.path("ran")).unwrap().contains("bootstrap"));
    // The step numbers are correct, and colours appear only on terminals.
    let theirs = place(STEPS);
    shell(&theirs, &[("CREATE_DEMO_TENANT", "true")])
        .wait()
        .prints("[2.5/5]")
        .prints("[4.6/6]")
        .prints("\x1b[");
    place(STEPS).run(["run"]).prints("[1/4] migrate").prints("[4/4] static files").prints_not("\x1b[");
    place(STEPS).env("CREATE_DEMO_TENANT", "maybe").run(["run"]).exits(78).prints("neither true nor false");
}
