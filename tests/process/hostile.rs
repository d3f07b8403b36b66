//! Steps that disturb their stub, and machines with too few resources for a step.

use std::time::Instant;

use assert_cmd::assert::OutputAssertExt;

use super::{
    namespace::{script, stdout},
    start_up::{ALONE, configuration, has_no_other_processes, run, run_in},
};
use crate::support::time_limits::was_prompt;

fn all_output(ran: &assert_cmd::assert::Assert) -> String {
    stdout(ran) + &String::from_utf8_lossy(&ran.get_output().stderr)
}

/// A program whose first thread ends while another continues: its state is that of a dead process.
fn headless() -> String {
    let exit = libc::SYS_exit;
    format!(
        "perl -Mthreads -e '$SIG{{TERM}} = \"IGNORE\"; threads->create(sub {{ sleep 1 while 1 }}); syscall({exit}, 0)'"
    )
}

/// A shell fragment that waits for that program.
const WAIT_FOR_HEADLESS: &str = "until grep -q '^State:.Z' /proc/$!/status; do sleep 0.01; done";

#[test]
fn a_remaining_process_whose_first_thread_has_ended_is_killed() {
    let step = format!("{} & {WAIT_FOR_HEADLESS}; exit 0", headless());
    let step = step.replace('\'', "\"").replace("\"IGNORE\"", "q(IGNORE)").replace("$SIG", "\\$SIG");
    let started = Instant::now();
    let ran = run(&[("command.grace = \"200ms\"", &step)], ALONE).code(0);
    assert!(has_no_other_processes(&ran), "{}", all_output(&ran));
    assert!(all_output(&ran).contains("left a process behind"), "{}", all_output(&ran));
    was_prompt(started);
    // Also if no other process would adopt the orphan.
    let around = "RUN; echo code $?; pgrep -c -x perl; exit 0";
    let ran = run_in(around, &[("command.grace = \"200ms\"", &step)], "true").code(0);
    assert!(stdout(&ran).ends_with("code 0\n0\n"), "{}", all_output(&ran));
}

#[test]
fn no_attempt_starts_while_a_process_without_its_first_thread_runs() {
    let step = format!("pgrep -c -x perl; {} & {WAIT_FOR_HEADLESS}; exit 1", headless());
    let step = step.replace('\'', "\"").replace("\"IGNORE\"", "q(IGNORE)").replace("$SIG", "\\$SIG");
    for around in ["exec RUN", "RUN; exit $?"] {
        let options = "command.grace = \"200ms\"\ncommand.retries = 2\ncommand.backoff = \"10ms\"";
        let ran = run_in(around, &[(options, &step)], "true").code(79);
        let printed = all_output(&ran);
        assert_eq!(printed.lines().filter(|line| line.ends_with("| 0")).count(), 4, "{printed}");
    }
}

#[test]
fn a_stopped_stub_delays_no_time_out_and_no_signal() {
    for stops in [
        "kill -STOP $PPID; sleep 1000",
        "while :; do kill -STOP $PPID; done",
        "trap '' TERM; while :; do kill -STOP $PPID; done",
    ] {
        let started = Instant::now();
        let options = "command.timeout = \"500ms\"\ncommand.grace = \"200ms\"";
        let around = "RUN; code=$?; pgrep -c -x bash; exit $code";
        let ran = run_in(around, &[(options, stops)], "true").code(124);
        // Only this script remains.
        assert!(stdout(&ran).ends_with("1\n"), "{stops}: {}", all_output(&ran));
        let folder = tempfile::tempdir().unwrap();
        let up = folder.path().join("up");
        let step = format!("touch {}; {stops}", up.display());
        let around =
            format!("RUN & until [ -e {} ]; do sleep 0.01; done; kill -TERM $!; wait $!", up.display());
        run_in(&around, &[("command.grace = \"200ms\"", &step)], "true").code(143);
        was_prompt(started);
    }
}

#[test]
fn the_stub_ignores_a_signal_from_its_step() {
    let ran = run(&[("", "kill -USR1 $PPID; sleep 0.1; echo continued")], "true").code(0);
    assert!(all_output(&ran).contains("| continued"), "{}", all_output(&ran));
}

#[test]
fn a_stub_that_cannot_fork_is_a_failure_with_any_accepted_codes() {
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("proof");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = configuration(&[("command.accept = [0, 70]", &format!("touch {}", proof.display()))]);
    let mut refused = 0;
    for processes in 1..10 {
        let around = format!(
            "exec setpriv --reuid 64501 --regid 64501 --clear-groups bash -c 'ulimit -u {processes}; exec $PORTCULLIS run --config {} -- touch {}.server'",
            file.path().display(),
            proof.display()
        );
        let ran = script(&around).assert();
        let server = proof.with_extension("server");
        let printed = all_output(&ran);
        assert_eq!(server.exists(), proof.exists(), "with {processes} processes: {printed}");
        if !proof.exists() {
            refused += i32::from(printed.contains("cannot start a process for `bash`"));
            assert!(!printed.contains("exited with 70"), "with {processes} processes: {printed}");
        }
        let _ = (std::fs::remove_file(&server), std::fs::remove_file(&proof));
    }
    assert!(refused > 0, "no process limit made the step fail");
}

#[test]
fn a_stub_that_ends_without_a_report_is_a_failure() {
    let ran = run(
        &[("command.accept = [0, 137]\ncommand.grace = \"100ms\"", "kill -KILL $PPID; sleep 1000")],
        "echo server",
    );
    let ran = ran.code(79);
    assert!(
        all_output(&ran).contains("the process that watched it was killed by SIGKILL"),
        "{}",
        all_output(&ran)
    );
}

#[test]
fn a_failed_step_names_the_missing_file() {
    let ran = run_in("mount -t tmpfs none /dev; exec RUN", &[("", "true")], "true").code(79);
    let printed = all_output(&ran);
    assert!(
        printed.contains("cannot start a process for `bash`: cannot open /dev/null: no such file"),
        "{printed}"
    );
    let mut named = 0;
    for descriptors in 3..20 {
        let ran = run_in(&format!("ulimit -n {descriptors}; exec RUN"), &[("", "true")], "true");
        let printed = all_output(&ran);
        assert!(!printed.contains("cannot start `bash`"), "with {descriptors} descriptors: {printed}");
        named += i32::from(printed.to_lowercase().contains("too many open files"));
    }
    assert!(named > 0, "no limit was too low");
}

#[test]
fn a_step_killed_for_memory_is_reported_as_such() {
    // The memory controller of either version, if this user may create a group.
    let group = "name=portcullis-test.$$; \
        if [ -d /sys/fs/cgroup/memory ]; then group=/sys/fs/cgroup/memory/$name; limit=memory.limit_in_bytes; \
        else group=/sys/fs/cgroup/$name; limit=memory.max; fi; \
        mkdir $group && echo 40M > $group/$limit && echo 0 > $group/cgroup.procs || exit 3; \
        RUN; code=$?; echo 0 > ${group%/*}/cgroup.procs; rmdir $group; exit $code";
    let step = "exec perl -e \"\\$x = q(x) x 200_000_000; sleep 1\"";
    let ran = run_in(group, &[("", step)], "true");
    if ran.get_output().status.code() == Some(3) {
        assert!(std::env::var_os("CI").is_none(), "cannot create a cgroup: {}", all_output(&ran));
        eprintln!("not tested: this user cannot create a memory cgroup");
        return;
    }
    let printed = all_output(&ran.code(79));
    assert!(printed.contains("was killed by SIGKILL; out of memory"), "{printed}");
}
