//! `mode = "supervise"`, and steps that continue while the server runs.

use assert_cmd::assert::{Assert, OutputAssertExt};
use tempfile::{NamedTempFile, TempDir};

use super::namespace::{script, stdout};
use crate::support::time_limits::{was_prompt, was_quick};

/// Runs `steps` and then `server` in bash, supervised with this grace; `around` contains `RUN` where Portcullis starts.
fn run_in(around: &str, grace: &str, steps: &str, server: &str) -> Assert {
    let file = NamedTempFile::new().unwrap();
    let text = format!("[server]\nmode = \"supervise\"\ngrace = \"{grace}\"\n{steps}");
    std::fs::write(file.path(), text).unwrap();
    let server = server.replace('\'', r"'\''");
    let run = format!("$PORTCULLIS run --config {} -- bash -c '{server}'", file.path().display());
    script(&around.replace("RUN", &run)).assert()
}

fn run(grace: &str, steps: &str, server: &str) -> Assert {
    run_in("exec RUN", grace, steps, server)
}

fn step(name: &str, options: &str, script: &str) -> String {
    format!(
        "[[step]]\nname = \"{name}\"\ncommand.run = [\"bash\", \"-c\", '''{script}''']\ncommand.grace = \"500ms\"\n{options}\n"
    )
}

fn staying(script: &str) -> String {
    step("proxy", "command.background = true", script)
}

/// A script that prints that it runs, and that it received TERM.
fn proxy(folder: &TempDir) -> String {
    let up = folder.path().join("up");
    staying(&format!(
        "cat; trap \"echo proxy ends; exit\" TERM; echo proxy is up; touch {}; while :; do sleep 0.01; done",
        up.display()
    ))
}

fn until_ready(folder: &TempDir) -> String {
    format!("until [ -e {} ]; do sleep 0.01; done", folder.path().join("up").display())
}

#[test]
fn every_signal_reaches_the_server_and_its_exit_code_is_returned() {
    let server = "trap 'echo usr1; kill -HUP 1' USR1; trap 'echo hup; kill -TERM 1' HUP; \
                  trap 'echo term; exit 9' TERM; kill -USR1 1; while :; do sleep 0.01; done";
    let ran = run("8s", &step("one", "", "true"), server).code(9);
    assert!(stdout(&ran).ends_with("usr1\nhup\nterm\n"), "{}", stdout(&ran));
    run("8s", "", "exit 7").code(7);
    run("8s", "", "kill -KILL $$").code(137);
    run("8s", "", "kill -TERM 1; sleep 1000").code(143);
}

#[test]
fn descendants_are_waited_for_up_to_the_grace() {
    let ran = run("8s", "", "(sleep 0.5; echo finished) & exit 0").code(0);
    assert_eq!(stdout(&ran), "finished\n");
    let started = std::time::Instant::now();
    run("300ms", "", "(trap '' TERM; sleep 1000) & exit 4").code(4);
    was_prompt(started);
}

#[test]
fn a_server_that_ignores_term_is_killed_after_the_grace() {
    run("300ms", "", "trap '' TERM; kill -TERM 1; while :; do sleep 0.01; done").code(137);
}

#[test]
fn the_server_leads_a_new_session() {
    let script_text = "read -r pid name state parent group session rest < /proc/$$/stat; [ $$ = $group ] && [ $$ = $session ]";
    run("8s", "", script_text).code(0);
}

#[test]
fn supervise_mode_without_pid_1_warns_and_works() {
    let ran = run_in("RUN; exit $?", "300ms", "", "(setsid sleep 1000 &) ; exit 6").code(6);
    let stderr = String::from_utf8(ran.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("not PID 1"), "{stderr}");
}

#[test]
fn a_staying_program_is_logged_and_ends_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = format!("{}; echo server; exit 3", until_ready(&folder));
    let ran = run("8s", &(proxy(&folder) + &step("next", "", "true")), &server).code(3);
    let printed: Vec<_> = stdout(&ran).lines().map(str::to_owned).collect();
    assert!(printed.ends_with(&["server".into(), "proxy ends".into()]), "{printed:?}");
    assert!(printed.contains(&"proxy is up".into()), "{printed:?}");
}

#[test]
fn a_term_ends_the_server_and_the_staying_programs() {
    let folder = tempfile::tempdir().unwrap();
    let server = format!("{}; kill -TERM 1; sleep 1000", until_ready(&folder));
    let ran = run("8s", &proxy(&folder), &server).code(143);
    assert!(stdout(&ran).contains("proxy ends"), "{}", stdout(&ran));
}

#[test]
fn a_staying_program_that_ignores_term_is_killed_after_the_grace() {
    let stubborn = staying("trap '' TERM; (setsid sleep 1000 &) ; while :; do sleep 0.01; done");
    let ran = run_in("RUN; echo $?; pgrep -c -x sleep; exit 0", "300ms", &stubborn, "exit 3").code(0);
    assert_eq!(stdout(&ran).lines().rev().take(2).collect::<Vec<_>>(), ["0", "3"]);
}

#[test]
fn a_staying_program_may_end_before_the_server() {
    let ran = run("8s", &(staying("exit 5") + &step("next", "", "sleep 0.2")), "echo server; exit 3").code(3);
    assert!(stdout(&ran).contains("server"));
}

#[test]
fn a_staying_program_that_cannot_start_is_a_failed_step() {
    for wrong in ["command.run = [\"no-such-program\"]", "command = { run = [\"true\"], cwd = \"/nowhere\" }"]
    {
        let steps = format!("[[step]]\nname = \"proxy\"\n{wrong}\n");
        let steps = steps
            .replace(" }", ", background = true }")
            .replace("m\"]\n", "m\"]\ncommand.background = true\n");
        let ran = run("8s", &steps, "echo server").code(79);
        assert!(!stdout(&ran).contains("server\n"), "{}", stdout(&ran));
    }
}

#[test]
fn a_failing_later_step_ends_the_staying_programs_before_the_exit() {
    let folder = tempfile::tempdir().unwrap();
    let later = step("later", "", &format!("{}; exit 1", until_ready(&folder)));
    let with_sleepers = proxy(&folder).replace("cat;", "cat; setsid sleep 1000 &");
    let around = "RUN; echo code $?; pgrep -c -x sleep; exit 0";
    let ran = run_in(around, "8s", &(with_sleepers + &later), "echo server").code(0);
    let printed = stdout(&ran);
    assert!(printed.contains("proxy ends") && printed.ends_with("code 79\n0\n"), "{printed}");
}

#[test]
fn a_term_during_a_later_step_ends_the_staying_programs() {
    let folder = tempfile::tempdir().unwrap();
    let later = step("later", "", &format!("{}; kill -TERM 1; sleep 1000", until_ready(&folder)));
    let ran = run("8s", &(proxy(&folder) + &later), "echo server").code(143);
    assert!(stdout(&ran).contains("proxy ends"), "{}", stdout(&ran));
}

#[test]
fn no_program_stays_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let later = step("later", "", &until_ready(&folder));
    let around = "RUN --no-server; echo code $?; pgrep -c -x sleep; exit 0";
    let file = NamedTempFile::new().unwrap();
    let text = format!("[server]\nmode = \"supervise\"\n{}{later}", proxy(&folder));
    std::fs::write(file.path(), text).unwrap();
    let run = format!("$PORTCULLIS run --config {}", file.path().display());
    let ran = script(&around.replace("RUN", &run)).assert().code(0);
    assert!(stdout(&ran).contains("proxy ends") && stdout(&ran).ends_with("code 0\n0\n"), "{}", stdout(&ran));
}

#[test]
fn descendants_of_a_crashed_server_end_within_a_second() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nmode = \"supervise\"\n").unwrap();
    let run = format!("exec $PORTCULLIS run --config {} -- bash -c", file.path().display());
    for remaining in ["sleep 1000 &", "(trap \"\" TERM; exec sleep 1000) &"] {
        let started = std::time::Instant::now();
        script(&format!("{run} '{remaining} kill -SEGV $$'")).assert().code(139);
        was_quick(started);
    }
}
