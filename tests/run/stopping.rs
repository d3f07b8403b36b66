//! A stop at any moment: the exit code, the message, and no leftovers.

use nix::sys::signal::Signal;

use crate::support::{
    http::free_port,
    process::Outcome,
    project::{Project, sh, steps},
};

const SIGNALS: [(Signal, i32); 4] =
    [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGQUIT, 131), (Signal::SIGHUP, 129)];

#[test]
fn a_wait_ends_with_the_signal() {
    let wait =
        format!("[[step]]\nname = \"port\"\nwait.tcp = {{ address = \"127.0.0.1:{}\" }}\n", free_port());
    for (signal, code) in SIGNALS {
        let running = steps(&wait).in_own_pid_namespace().spawn(["run"]);
        running.wait_for_line("refused");
        running.signal(signal);
        assert_stopped_at(&running.wait().exits(code), signal, "during step 1 of 1, `port`");
    }
}

#[test]
fn a_pause_between_attempts_ends_with_the_signal() {
    let options = "command.retries = 1\ncommand.backoff = \"50s\"\ncommand.max_backoff = \"60s\"";
    for (signal, code) in SIGNALS {
        let text = sh("flaky", options, "echo x >> attempts; exit 5") + &sh("later", "", "touch later");
        let portcullis = steps(&text).in_own_pid_namespace();
        let running = portcullis.spawn(["run"]);
        running.wait_for_line("retrying in");
        running.signal(signal);
        let outcome = running.wait().exits(code).prints("between two attempts");
        assert_stopped_at(&outcome, signal, "during step 1 of 2, `flaky`");
        assert!(!portcullis.path("later").exists());
    }
}

#[test]
fn a_command_receives_the_signal_and_has_time_to_roll_back() {
    for (signal, code) in SIGNALS {
        let name = &signal.as_str()[3..];
        let script = format!(
            "trap 'sleep 1; touch rolled-back; exit 0' {name}; echo ready; while :; do sleep 0.02; done"
        );
        let portcullis = steps(&sh("long", "", &script)).in_own_pid_namespace();
        let running = portcullis.spawn(["run"]);
        running.wait_for_line("| ready");
        running.signal(signal);
        assert_stopped_at(&running.wait().exits(code), signal, "during step 1 of 1, `long`");
        assert!(portcullis.path("rolled-back").exists());
    }
}

#[test]
fn a_command_that_ignores_the_signal_is_killed_after_the_grace() {
    let script = "trap '' TERM INT; echo ready; while :; do sleep 0.02; done";
    let portcullis = steps(&sh("deaf", "command.grace = \"300ms\"", script)).in_own_pid_namespace();
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("| ready");
    running.signal(Signal::SIGTERM);
    running.wait_for_line("SIGTERM arrived");
    running.signal(Signal::SIGINT);
    // The first signal sets the exit code.
    assert_stopped_at(&running.wait().exits(143), Signal::SIGTERM, "`deaf`");
}

#[test]
fn every_step_that_runs_is_stopped() {
    let script = |name: &str| {
        format!("trap 'echo {name} ends; exit 1' TERM; echo {name} runs; while :; do sleep 0.02; done")
    };
    let text = sh("one", "", &script("one")) + &sh("two", "after = \"start\"", &script("two"));
    let running = steps(&text).in_own_pid_namespace().spawn(["run"]);
    running.wait_for_line("| one runs");
    running.wait_for_line("| two runs");
    running.signal(Signal::SIGTERM);
    running.wait().exits(143).prints("| one ends").prints("| two ends").prints_not("the server started");
}

#[test]
fn a_term_during_a_migration_rolls_it_back_and_reports_the_progress() {
    migration_ends_with(Signal::SIGTERM, 143);
}

#[test]
fn an_int_during_a_migration_rolls_it_back_and_reports_the_progress() {
    migration_ends_with(Signal::SIGINT, 130);
}

#[test]
fn a_quit_during_a_migration_rolls_it_back_and_reports_the_progress() {
    migration_ends_with(Signal::SIGQUIT, 131);
}

#[test]
fn a_hup_during_a_migration_rolls_it_back_and_reports_the_progress() {
    migration_ends_with(Signal::SIGHUP, 129);
}

fn migration_ends_with(signal: Signal, code: i32) {
    let slow = "ALTER TABLE item ADD COLUMN late int;\nSELECT pg_sleep(600) FROM item;\n";
    let mut project = Project::complete("jobs = 1").file("tenant/2_slow.sql", slow);
    project.database.execute("INSERT INTO b.item VALUES (1)");
    project.portcullis = project.portcullis.in_own_pid_namespace();
    let running = project.portcullis.spawn(["run"]);
    // The first tenant runs the same text without sleeping.
    project.until(
        true,
        "SELECT 'done' FROM pg_attribute WHERE attrelid = 'a.item'::regclass AND attname = 'late'",
    );
    project.until_sleeping();
    running.signal(signal);
    let outcome = running.wait().exits(code);
    assert_stopped_at(&outcome, signal, "during step 2 of 5, `tenant schemas`");
    assert!(outcome.failure_box().contains("1 of 3 tenants"), "{outcome}");
    assert_no_session_or_lock(&project);
    assert_eq!(project.columns("a"), ["late", "n"]);
    for tenant in ["b", "c"] {
        assert_eq!((project.columns(tenant), project.ledger(tenant)), (vec!["n".into()], vec!["1".into()]));
    }
    // Nothing blocks the next start.
    project.database.execute("DELETE FROM b.item");
    project.start().exits(0);
}

#[test]
fn a_signal_during_a_bootstrap_rolls_the_current_tenant_back() {
    let project = Project::new("")
        .file("tenant/2_slow.sql", "SELECT CASE WHEN current_schema() = 'b' THEN pg_sleep(600) END;\n");
    let running = project.portcullis.spawn(["run"]);
    // The derivation of the manifest and the first tenant run the same text without sleeping.
    project.until(true, "SELECT 'complete' FROM pg_namespace WHERE nspname = 'a'");
    project.until_sleeping();
    running.signal(Signal::SIGTERM);
    let outcome = running.wait().exits(143);
    assert_stopped_at(&outcome, Signal::SIGTERM, "`demo tenants`");
    assert_no_session_or_lock(&project);
    assert_eq!(project.database.column("SELECT name FROM tenants"), ["a"]);
    assert!(!project.exists("b") && !project.exists("c"));
}

#[test]
fn a_run_that_waits_for_the_lock_ends_with_the_signal() {
    let project = Project::complete("").file("tenant/2_slow.sql", "SELECT pg_sleep(600) FROM item;\n");
    project.database.execute("INSERT INTO a.item VALUES (1)");
    let holder = project.portcullis.spawn(["run"]);
    project.until_sleeping();
    let waiter = project.portcullis.spawn(["run"]);
    waiter.wait_for_line("waiting for the lock");
    waiter.signal(Signal::SIGTERM);
    assert_stopped_at(&waiter.wait().exits(143), Signal::SIGTERM, "`tenant schemas`");
    holder.signal(Signal::SIGTERM);
    holder.wait().exits(143);
    assert_no_session_or_lock(&project);
}

/// Checks that no session and no lock exists. The server checks for lost clients once a second.
#[track_caller]
fn assert_no_session_or_lock(project: &Project) {
    let sessions = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() \
                AND pid <> pg_backend_pid() AND application_name LIKE 'portcullis%'";
    project.until(false, sessions);
    let locks = "SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert!(project.database.column(locks).is_empty());
}

#[track_caller]
fn assert_stopped_at(outcome: &Outcome, signal: Signal, position: &str) {
    let printed = outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains(signal.as_str()) && printed.contains(position), "{outcome}");
    assert!(!outcome.stdout.contains("the server started"), "{outcome}");
}
