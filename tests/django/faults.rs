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

fn project(config: &str) -> Portcullis {
    Portcullis::new().file("manage.py", MANAGE).file("entrypoint.sh", SHELL).config(config)
}

fn shell(project: &Portcullis, env: &[(&str, &str)]) -> Running {
    let mut command = Command::new("bash");
    command.arg("entrypoint.sh").current_dir(project.folder()).env_clear().envs(env.iter().copied());
    command.env("PATH", std::env::var("PATH").unwrap());
    Running::start(command, false)
}

fn both(env: &[(&str, &str)]) -> (Outcome, Outcome) {
    let script = project(STEPS);
    let mut gated = project(STEPS);
    for (name, value) in env {
        gated = gated.env(name, value);
    }
    (shell(&script, env).wait(), gated.run(["run"]))
}

#[test]
fn no_password_is_printed() {
    let (database, redis) = ("postgres://app:hunter2@127.0.0.1:1/app", "redis://:swordfish@127.0.0.1:1/0");
    let script = shell(&project(STEPS), &[("DATABASE_URL", database), ("REDIS_URL", redis)]).wait();
    script.prints("hunter2").prints("swordfish");
    for wait in [
        "[database]\nurl = \"${DATABASE_URL}\"\n[[step]]\nname = \"it\"\nwait.database = { timeout = \"1s\" }\n",
        "[[step]]\nname = \"it\"\nwait.redis = { url = \"${REDIS_URL}\", timeout = \"1s\" }\n",
    ] {
        let gated = project(wait).env("DATABASE_URL", database).env("REDIS_URL", redis).run(["run"]);
        gated.exits(69).prints_not("hunter2").prints_not("swordfish");
    }
}

#[test]
fn a_failing_check_blocks_although_its_output_is_captured() {
    let (script, gated) = both(&[("CREATE_DEMO_TENANT", "true"), ("FAIL", "verify")]);
    script.exits(0).prints("SERVING");
    gated.exits(79).prints("verify failed").prints_not("SERVING");
}

#[test]
fn a_failing_migration_blocks() {
    let (script, gated) = both(&[("FAIL", "migrate")]);
    script.exits(0).prints("SERVING");
    gated.exits(79).prints_not("SERVING");
}

#[test]
fn every_tenant_is_verified_with_any_flags() {
    for (name, value) in [("SKIP_MIGRATIONS", "1"), ("CREATE_DEMO_TENANT", "false")] {
        let script = project(STEPS);
        shell(&script, &[(name, value)]).wait().prints("SERVING");
        assert!(!fs::read_to_string(script.path("ran")).unwrap().contains("verify"));
        let gated = project(STEPS).env(name, value);
        gated.run(["run"]).exits(0).prints("SERVING");
        assert!(fs::read_to_string(gated.path("ran")).unwrap().contains("verify"));
    }
}

#[test]
fn a_wrong_password_is_not_retried() {
    let script = project(STEPS);
    shell(&script, &[("FAIL", "wait")]).wait().prints("attempt 3").prints("SERVING");
    let url = cluster();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, server) = rest.split_once('@').unwrap();
    let config = format!(
        "[database]\nurl = \"{scheme}://postgres:wrong@{server}\"\n[[step]]\nname = \"database\"\n\
         wait.database = {{ timeout = \"2m\" }}\n"
    );
    project(&config).run(["run"]).exits(77);
}

#[test]
fn a_tenant_whose_check_raises_is_not_counted_as_good() {
    let script = project(STEPS).file(
        "tenants.json",
        r#"{"acme": {"domain": "a", "ledger": null}, "demo": {"domain": "d", "ledger": ["0001_initial", "0002_invoice"]}}"#,
    );
    let demo = [("CREATE_DEMO_TENANT", "true")];
    shell(&script, &demo).wait().exits(0).prints("2 of 2 tenants OK").prints("SERVING");
    let gated = Sample::complete_on(Engine::Sqlite);
    fs::write(gated.portcullis.path("var/tenants/acme.sqlite"), "this is no database at all").unwrap();
    gated.portcullis.run(["verify"]).exits(74).prints("acme");

    // A tenant without a domain ends the script's check silently; Portcullis does not need the domain.
    let script = project(STEPS).file("tenants.json", r#"{"acme": {"ledger": []}, "demo": {"domain": "d"}}"#);
    shell(&script, &demo).wait().exits(0).prints("KeyError").prints("SERVING");
    let gated = Project::complete();
    gated.database.execute("DELETE FROM customers_domain");
    gated.portcullis.run(["verify"]).exits(0);
}

#[test]
fn a_lying_ledger_is_detected() {
    let lying = r#"{"acme": {"domain": "a", "ledger": ["0001_initial", "0002_invoice"], "tables": []}}"#;
    let script = project(STEPS).file("tenants.json", lying);
    shell(&script, &[("CREATE_DEMO_TENANT", "true")])
        .wait()
        .exits(0)
        .prints("1 of 1 tenants OK")
        .prints("SERVING");
    let gated = Sample::complete_on(Engine::Sqlite);
    gated.execute(Some("acme"), "DROP TABLE finance_invoice");
    gated.run().exits(1).prints("acme").prints("finance_invoice");
}

#[test]
fn checks_are_read_only_and_exist_for_one_tenant_and_for_all() {
    let behind = r#"{"acme": {"domain": "a", "ledger": []}}"#;
    let script = project(STEPS).file("tenants.json", behind);
    shell(&script, &[("CREATE_DEMO_TENANT", "true")]).wait().exits(0).prints("SERVING");
    assert!(fs::read_to_string(script.path("tenants.json")).unwrap().contains("0002_invoice"), "it wrote");
    let ran = fs::read_to_string(script.path("ran")).unwrap();
    assert_eq!(ran.matches("verify").count(), 1, "one check for both");

    let gated = Project::complete();
    gated.copies(&["acme".into()]);
    let ledger = || gated.database.column("SELECT name::text FROM acme.django_migrations ORDER BY id");
    gated.database.execute("DELETE FROM acme.django_migrations WHERE name = '0004_invoice_payment'");
    let before = ledger();
    gated.portcullis.run(["verify", "--tenant", "demo"]).exits(0);
    gated.portcullis.run(["verify"]).exits(1).prints("acme").prints("0004_invoice_payment");
    assert_eq!(ledger(), before);
}

/// The output of `redis-cli`.
fn redis(port: &str, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", port]).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_killed_or_failed_run_leaves_no_lock_behind() {
    let server = Redis::start();
    let port = server.port().to_string();
    let script = project(STEPS);
    let killed = shell(&script, &[("LOCK_PORT", &port), ("SLOW", "migrate")]);
    killed.wait_for_line("under way");
    killed.signal(Signal::SIGKILL);
    let waits = shell(&script, &[("LOCK_PORT", &port), ("POLL", "50")]);
    waits.wait_for_line("another replica is migrating");
    let lock_ttl = || redis(&port, &["ttl", "migrating"]).parse::<u32>().unwrap();
    assert!(lock_ttl() > 500, "the lock excludes every run for {} s", lock_ttl());
    redis(&port, &["del", "migrating"]);
    // A failing check leaves it as well.
    let without_tenants = project(STEPS).file("tenants.json", "{}");
    shell(&without_tenants, &[("LOCK_PORT", &port), ("CREATE_DEMO_TENANT", "true")]).wait().exits(1);
    assert!(lock_ttl() > 500, "the lock excludes every run for {} s", lock_ttl());
    // Without Redis, the script excludes no other run.
    drop(server);
    shell(&project(STEPS), &[("LOCK_PORT", &port)])
        .wait()
        .exits(0)
        .prints("Connection refused")
        .prints("SERVING");

    let mut gated = project::Project::new("");
    gated.portcullis = gated.portcullis.file("shared/2_slow.sql", "SELECT pg_sleep(3);\n");
    let killed = gated.portcullis.spawn(["run", "--no-server"]);
    let locks = "SELECT 'yes' FROM pg_locks WHERE locktype = 'advisory' \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    gated.until(true, locks);
    killed.signal(Signal::SIGKILL);
    gated.portcullis.run(["run", "--no-server"]).exits(0);
    let failing = "\n[[step]]\nname = \"fails\"\ncommand = { run = [\"false\"], once_per_release = true }\n";
    let gated = gated.step(failing);
    gated.portcullis.run(["run", "--no-server"]).exits(79);
    gated.until(false, locks);
}

#[test]
fn another_run_cannot_remove_a_held_lock() {
    let server = Redis::start();
    let port = server.port().to_string();
    let holds = [("LOCK_PORT", port.as_str()), ("WAIT_FOR_GO", "migrate")];
    let (first, second) = (project(STEPS), project(STEPS));
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

    let gated = lock::slow().env("LOCK_TIMEOUT", "300ms");
    let holder = gated.portcullis.spawn(["run"]);
    lock::until_migrating(&gated);
    gated.portcullis.run(["run"]).exits(75).prints_not("the server started");
    gated.until(true, lock::HOLDER);
    gated.database.execute("INSERT INTO public.released VALUES (1)");
    holder.wait().exits(0);
}

#[test]
fn a_migration_receives_the_signal_and_has_time_to_roll_back() {
    let script = project(STEPS);
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "tini", "--", "bash", "entrypoint.sh"]);
    command.current_dir(script.folder()).env_clear().env("SLOW", "migrate");
    command.env("PATH", std::env::var("PATH").unwrap());
    let running = Running::start(command, true);
    running.wait_for_line("under way");
    running.signal(Signal::SIGTERM);
    running.wait().prints_not("SERVING");
    assert!(!script.path("rolled back").exists(), "it was killed during the migration");

    let gated = project(STEPS).env("SLOW", "migrate").in_own_pid_namespace();
    let running = gated.spawn(["run"]);
    running.wait_for_line("under way");
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("SIGTERM").prints_not("SERVING");
    assert!(gated.path("rolled back").exists());
}

#[test]
fn a_start_with_nothing_to_do_runs_no_python() {
    let script = project(STEPS);
    shell(&script, &[("CREATE_DEMO_TENANT", "true")]).wait().prints("SERVING");
    let ran = fs::read_to_string(script.path("ran")).unwrap();
    assert_eq!(ran.lines().count(), 5, "each question starts one: {ran}");

    let mut gated = Project::complete();
    let gate = fs::read_to_string(gated.portcullis.path("config.toml")).unwrap();
    let (gate, _) = gate.split_once("[[step]]\nname = \"invoice totals\"").unwrap();
    fs::write(gated.portcullis.path("config.toml"), gate).unwrap();
    let python = gated.portcullis.path("counted/python");
    fs::create_dir(python.parent().unwrap()).unwrap();
    let counts = format!(
        "#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n",
        gated.portcullis.path("started").display(),
        django::venv().join("python").display()
    );
    fs::write(&python, counts).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", python.parent().unwrap().display(), std::env::var("PATH").unwrap());
    gated.set("PATH", &path);
    gated.set("CREATE_DEMO_TENANT", "yes");
    gated.portcullis.run(["run"]).exits(0).prints("every tenant is complete: ok");
    assert!(!gated.portcullis.path("started").exists());
    // A start of Python would have been counted.
    gated.portcullis.run(["manifest", "django", "--check"]).exits(0);
    assert!(gated.portcullis.path("started").exists());
}

#[test]
fn every_spelling_of_true_is_equal_and_invalid_values_are_errors() {
    for word in ["1", "true", "yes", "on"] {
        let gated = project(STEPS).env("CREATE_DEMO_TENANT", word).env("FAIL", "collectstatic");
        gated.run(["run"]).exits(0).prints("collectstatic failed").prints("SERVING");
        assert!(fs::read_to_string(gated.path("ran")).unwrap().contains("bootstrap"), "{word}");
    }
    let script = project(STEPS);
    shell(&script, &[("CREATE_DEMO_TENANT", "1"), ("FAIL", "collectstatic")])
        .wait()
        .prints_not("collectstatic failed");
    assert!(!fs::read_to_string(script.path("ran")).unwrap().contains("bootstrap"));
    // The step numbers are correct, and colours appear only on terminals.
    let script = project(STEPS);
    shell(&script, &[("CREATE_DEMO_TENANT", "true")])
        .wait()
        .prints("[2.5/5]")
        .prints("[4.6/6]")
        .prints("\x1b[");
    project(STEPS).run(["run"]).prints("[1/4] migrate").prints("[4/4] static files").prints_not("\x1b[");
    project(STEPS).env("CREATE_DEMO_TENANT", "maybe").run(["run"]).exits(78).prints("neither true nor false");
}
