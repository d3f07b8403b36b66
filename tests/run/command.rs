//! The `command` step: the child's environment, its retries and its end.

use std::fs;

use crate::support::{
    portcullis::Portcullis,
    project::{sh, steps},
};

const STARTED: &str = "the server started";

#[test]
fn the_argv_is_not_passed_to_a_shell() {
    let step = r#"
[[step]]
name = "words"
command.run = ["printf", "<%s>", "two words", "$HOME", "*", "; exit 3", ""]
"#;
    steps(step).run(["run"]).exits(0).prints("<two words><$HOME><*><; exit 3><>");
}

#[test]
fn a_command_inherits_the_environment_with_the_steps_additions_and_folder() {
    let options =
        "command.cwd = \"below\"\ncommand.env = { ADDED = \"two words\", CHANGED = \"new\", EMPTY = \"\" }";
    let script = "echo \"$ADDED, $CHANGED, $INHERITED, <$EMPTY>, ${EMPTY+set}\"; basename \"$PWD\"";
    // `${...}` would be replaced from the environment of the run.
    let script = script.replace("${EMPTY+set}", "$(env | grep -c ^EMPTY=)");
    steps(&sh("print environment", options, &script))
        .file("below/file", "")
        .env("CHANGED", "old")
        .env("INHERITED", "inherited")
        .run(["run"])
        .exits(0)
        .prints("| two words, new, inherited, <>, 1")
        .prints("| below");
}

#[test]
fn a_command_has_an_empty_standard_input() {
    steps(&sh("reads", "", "cat; echo end of input")).run(["run"]).exits(0).prints("| end of input");
}

#[test]
fn only_accepted_exit_codes_are_a_success() {
    steps(&sh("three", "command.accept = [0, 3]", "exit 3")).run(["run"]).exits(0).prints(STARTED);
    let only_three = sh("three", "command.accept = 3", "exit 0");
    steps(&only_three).run(["run"]).exits(79).prints("exited with 0").prints_not(STARTED);
}

#[test]
fn a_command_is_retried_until_it_succeeds() {
    let script = "echo x >> attempts; [ $(wc -l < attempts) -ge 3 ]";
    let portcullis = steps(&sh("flaky", "command.retries = 9\ncommand.backoff = \"10ms\"", script));
    portcullis.run(["run"]).exits(0).prints("attempt 2 failed").prints("at attempt 3").prints(STARTED);
    assert_eq!(attempts(&portcullis), 3);
}

#[test]
fn exhausted_retries_block_with_the_last_exit_code() {
    let script = "echo x >> attempts; exit $(wc -l < attempts)";
    let portcullis = steps(&sh("flaky", "command.retries = 2\ncommand.backoff = \"10ms\"", script));
    portcullis.run(["run"]).exits(79).prints("exited with 3").prints_not(STARTED);
    assert_eq!(attempts(&portcullis), 3);
}

#[test]
fn an_attempt_that_times_out_receives_term_and_is_killed_after_the_grace() {
    let script = "trap 'echo received TERM' TERM; while :; do sleep 0.05; done";
    steps(&sh("deaf", "command.timeout = \"2s\"\ncommand.grace = \"300ms\"", script))
        .run(["run"])
        .exits(124)
        .prints("| received TERM")
        .prints("was killed")
        .prints_not(STARTED);
}

#[test]
fn an_attempt_that_times_out_is_retried() {
    let script = "[ -e once ] && exit 0; touch once; sleep 1000";
    let options = "command.timeout = \"3s\"\ncommand.retries = 1\ncommand.backoff = \"10ms\"";
    steps(&sh("slow once", options, script))
        .run(["run"])
        .exits(0)
        .prints("ran longer than 3 s")
        .prints(STARTED);
}

#[test]
fn the_total_time_limit_ends_the_running_attempt() {
    let options = "command.total_timeout = \"500ms\"\ncommand.retries = 9\ncommand.backoff = \"10ms\"";
    steps(&sh("slow", options, "sleep 1000")).run(["run"]).exits(124).prints("with all its attempts");
}

#[test]
fn no_pause_exceeds_the_total_time_limit() {
    let options = "command.total_timeout = \"20s\"\ncommand.retries = 9\ncommand.backoff = \"100s\"\ncommand.max_backoff = \"100s\"";
    let portcullis = steps(&sh("failing", options, "echo x >> attempts; exit 5"));
    portcullis.run(["run"]).exits(79).prints("exited with 5");
    assert_eq!(attempts(&portcullis), 1);
}

#[test]
fn a_failure_that_only_warns_lets_the_server_start() {
    steps(&sh("optional", "on_failure = \"warn\"", "echo why >&2; exit 5"))
        .run(["run"])
        .exits(0)
        .prints("failed, continuing")
        .prints("exited with 5")
        .prints(STARTED);
}

#[test]
fn both_streams_are_shown_while_the_command_runs() {
    let script = "echo to out; echo to err >&2; while [ ! -e go ]; do sleep 0.02; done; printf unfinished";
    let portcullis = steps(&sh("talks", "", script));
    let running = portcullis.spawn(["run"]);
    assert_eq!(running.wait_for_line("to out"), "[1/1] talks: | to out");
    assert_eq!(running.wait_for_line("to err"), "[1/1] talks: ! to err");
    fs::write(portcullis.path("go"), "").unwrap();
    running.wait().exits(0).prints("[1/1] talks: | unfinished\n");
}

#[test]
fn a_missing_program_is_not_retried() {
    let step = "[[step]]\nname = \"gone\"\ncommand = { run = [\"no-such-program\"], retries = 9, backoff = \"10ms\" }\n";
    steps(step).run(["run"]).exits(79).prints("no-such-program").prints_not("retrying in");
}

#[test]
fn a_program_without_execute_permission_is_not_retried() {
    let step =
        "[[step]]\nname = \"plain\"\ncommand = { run = [\"./plain\"], retries = 9, backoff = \"10ms\" }\n";
    steps(step)
        .file("plain", "")
        .run(["run"])
        .exits(79)
        .prints("permission denied")
        .prints_not("retrying in");
}

#[test]
fn remaining_processes_of_a_command_are_ended_with_a_warning() {
    // The run waits for every process that holds the output open, so the server would see it.
    let outcome =
        steps(&sh("forks", "", "sleep 1000 & sleep 1000 & echo done")).in_own_pid_namespace().run(["run"]);
    outcome.exits(0).prints("warning:").prints("left 2 processes behind").prints(STARTED);
}

#[test]
fn the_box_ends_with_the_commands_last_lines() {
    let script = "for n in $(seq 50); do echo \"line $n.\"; done; exit 5";
    let outcome = steps(&sh("talks", "", script)).run(["run"]).exits(79).prints("| line 1.");
    let shown = outcome.failure_box();
    assert!(shown.contains("   | line 36.\n") && shown.contains("   | line 50.\n"), "{shown}");
    assert!(!shown.contains("line 1."), "{shown}");
}

#[test]
fn standard_error_comes_after_the_output_that_was_written_before_it() {
    let script = "for i in $(seq 20); do echo out $i; done; echo why it failed >&2; exit 1";
    let step = format!("[[step]]\nname = \"talk\"\ncommand.run = [\"sh\", \"-c\", \"{script}\"]\n");
    let portcullis = Portcullis::new().config(&step);
    for _ in 0..20 {
        let outcome = portcullis.run(["run"]).exits(79);
        let printed: Vec<_> =
            outcome.stderr.lines().filter(|line| line.starts_with("[1/1] talk: ")).collect();
        let last = printed.iter().position(|line| line.ends_with("| out 20")).unwrap();
        assert!(printed[last + 1].ends_with("! why it failed"), "{outcome}");
    }
}

fn attempts(portcullis: &Portcullis) -> usize {
    fs::read_to_string(portcullis.path("attempts")).unwrap().lines().count()
}
