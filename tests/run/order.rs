//! The selection of steps and their order.

use std::fs;

use crate::support::project::{Project, sh, steps};

const STARTED: &str = "the server started";

#[test]
fn steps_run_in_the_order_of_the_file() {
    let text = ["c", "a", "b"].map(|name| sh(name, "", &format!("echo {name} >> order"))).concat();
    let portcullis = steps(&text);
    portcullis.run(["run"]).exits(0).prints(STARTED);
    assert_eq!(fs::read_to_string(portcullis.path("order")).unwrap(), "c\na\nb\n");
}

#[test]
fn steps_after_start_run_side_by_side() {
    // Each step waits for the other: run one after the other, neither would end.
    let text = sh("a", "", &meets("a", "b")) + &sh("b", "after = \"start\"", &meets("b", "a"));
    steps(&text).run(["run"]).exits(0).prints(STARTED);
}

#[test]
fn a_step_waits_only_for_the_steps_that_it_names() {
    let text = sh("first", "", "touch first")
        + &sh("long", "after = [\"first\"]", &meets("long", "other"))
        + &sh("other", "after = [\"first\"]", &format!("[ -e first ] && {}", meets("other", "long")))
        + &sh("last", "", "[ -e long ] && [ -e other ]");
    steps(&text).run(["run"]).exits(0).prints(STARTED);
}

#[test]
fn a_blocking_failure_ends_its_siblings_and_sets_the_exit_code() {
    let long = "trap 'echo asked to end; exit 0' TERM; touch ready; while :; do sleep 0.02; done";
    let text = sh("long", "", long)
        + &sh("bad", "after = \"start\"", "while [ ! -e ready ]; do sleep 0.02; done; exit 5")
        + &sh("later", "", "touch later");
    let portcullis = steps(&text).in_own_pid_namespace();
    let outcome = portcullis.run(["run"]).exits(79).prints("asked to end").prints_not(STARTED);
    assert!(outcome.failure_box().contains("2 of 3: bad"), "{outcome}");
    assert!(outcome.failure_box().contains("exited with 5"), "{outcome}");
    assert!(!portcullis.path("later").exists());
}

#[test]
fn a_sibling_that_does_not_end_is_killed_after_the_grace() {
    let deaf = "trap '' TERM; touch ready; while :; do sleep 0.02; done";
    let text = sh("deaf", "command.grace = \"200ms\"", deaf)
        + &sh("bad", "after = \"start\"", "while [ ! -e ready ]; do sleep 0.02; done; exit 5");
    steps(&text).in_own_pid_namespace().run(["run"]).exits(79).prints("was killed").prints_not(STARTED);
}

#[test]
fn a_blocking_failure_ends_a_parallel_wait() {
    let text = "[[step]]\nname = \"file\"\nwait.file = { path = \"never\", timeout = \"10m\" }\n".to_owned()
        + &sh("bad", "after = \"start\"", "exit 5");
    steps(&text).run(["run"]).exits(79).prints("2 of 2: bad");
}

#[test]
fn a_warning_failure_and_a_skipped_step_satisfy_dependencies() {
    let text = sh("warns", "on_failure = \"warn\"", "exit 5")
        + &sh("skipped", "when = { env = \"NOT_SET\" }", "touch skipped")
        + &sh("after both", "after = [\"warns\", \"skipped\"]", "touch ran");
    let portcullis = steps(&text);
    portcullis.run(["run"]).exits(0).prints("NOT_SET").prints(STARTED);
    assert!(portcullis.path("ran").exists() && !portcullis.path("skipped").exists());
}

#[test]
fn roles_choose_steps_by_globs() {
    let text = sh("workers", "when = { role = [\"worker\", \"celery-*\"] }", "echo chosen");
    let portcullis = steps(&text);
    for (role, chosen) in [("worker", true), ("celery-beat", true), ("celery", false), ("web", false)] {
        let outcome = portcullis.run(["--role", role, "run"]).exits(0).prints(STARTED);
        assert_eq!(outcome.stderr.contains("| chosen"), chosen, "{role}: {outcome}");
    }
    portcullis.run(["run"]).exits(78).prints("role");
}

#[test]
fn conditions_by_variable_are_strict_booleans() {
    let text = sh("env", "when = { env = \"WANTED\" }", "echo by env")
        + &sh("unless", "when = { unless_env = \"WANTED\" }", "echo by unless");
    for (value, wanted) in [
        ("true", true),
        ("1", true),
        ("YES", true),
        ("on", true),
        ("false", false),
        ("0", false),
        ("", false),
    ] {
        let outcome = steps(&text).env("WANTED", value).run(["run"]).exits(0);
        assert_eq!(outcome.stderr.contains("| by env"), wanted, "{value}: {outcome}");
        assert_eq!(outcome.stderr.contains("| by unless"), !wanted, "{value}: {outcome}");
    }
    steps(&text).env("WANTED", "maybe").run(["run"]).exits(78).prints("WANTED").prints_not(STARTED);
}

#[test]
fn pending_migrations_are_determined_when_the_step_starts() {
    let project = Project::new("").replace(
        "[[step]]\nname = \"shared schema\"",
        "[[step]]\nname = \"backup\"\nwhen = { pending = \"shared\" }\ncommand.run = [\"echo\", \"before\"]\n\
         [[step]]\nname = \"shared schema\"",
    );
    let after = "when = { pending = \"WHAT\" }\ncommand.run = [\"echo\", \"afterwards\"]\n";
    let after = ["shared", "tenants"]
        .map(|what| format!("[[step]]\nname = \"{what} again\"\n{}", after.replace("WHAT", what)))
        .concat();
    let project = project.step(&after);
    project.portcullis.run(["plan"]).exits(0).prints("decided when it starts");
    // The condition has another result after the migrations.
    project.start().exits(0).prints("| before").prints_not("| afterwards").prints("nothing is pending");
    project.start().exits(0).prints_not("| before").prints_not("| afterwards");
    let project = project.file("tenant/2_more.sql", "ALTER TABLE item ADD COLUMN more int;\n");
    let project = project.replace(
        "when = { pending = \"shared\" }\ncommand.run = [\"echo\", \"before\"]",
        "when = { pending = \"tenants\" }\ncommand.run = [\"echo\", \"before\"]",
    );
    project.start().exits(0).prints("| before").prints_not("| afterwards");
}

#[test]
fn a_configuration_warning_has_separate_lines() {
    let printed = Project::new("").start().exits(0).stderr;
    assert!(printed.starts_with("warning: ") && printed.contains("\nportcullis: version"), "{printed}");
}

/// A script that creates its file and waits for the other's.
fn meets(own: &str, other: &str) -> String {
    format!("touch {own}; while [ ! -e {other} ]; do sleep 0.02; done")
}
