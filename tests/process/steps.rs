//! A step's process tree ends with the step.

use std::os::unix::fs::PermissionsExt;

use super::{
    namespace::{script, stdout},
    start_up::{ALONE, configuration, has_no_other_processes, run, run_in},
};
use assert_cmd::assert::OutputAssertExt;

#[test]
fn remaining_processes_end_with_the_main_process() {
    for child in [
        "sleep 1000 &",
        "setsid sleep 1000 &",
        "(setsid bash -c 'sleep 1000 & sleep 1000' &)",
        "(trap '' TERM INT HUP; setsid sleep 1000 &)",
        "setsid bash -c 'exec 0<&- 1>&- 2>&-; sleep 1000' &",
        "bash -c 'kill -STOP $$' &",
    ] {
        let step = format!("{child} exit 0");
        let step = step.replace("& exit", "&\nexit").replace(") exit", ")\nexit");
        let ran = run(&[("command.grace = \"200ms\"", &step)], ALONE).code(0);
        assert!(has_no_other_processes(&ran), "after {child}: {}", stdout(&ran));
    }
}

#[test]
fn a_process_tree_ends_with_its_killed_stub_and_its_sibling_continues() {
    let folder = tempfile::tempdir().unwrap();
    let (stub, done) = (folder.path().join("stub"), folder.path().join("done"));
    let children = "setsid sleep 1000 & (trap '' TERM; setsid sleep 1000 &) ;";
    let killed = format!("{children} echo $PPID > {}; kill -KILL $PPID; sleep 1000", stub.display());
    // The sibling outlives the killed stub.
    let sibling = format!(
        "until [ -s {0} ]; do sleep 0.01; done; while kill -0 $(< {0}); do sleep 0.01; done; touch {1}",
        stub.display(),
        done.display()
    );
    let ran =
        run(&[("command.grace = \"200ms\"\non_failure = \"warn\"", &killed), ("", &sibling)], ALONE).code(0);
    assert!(done.exists() && has_no_other_processes(&ran), "{}", stdout(&ran));
    let remaining = run_in("RUN; pgrep -c -x sleep", &[("command.grace = \"200ms\"", &killed)], "true");
    assert!(stdout(&remaining).ends_with("0\n"), "{}", stdout(&remaining));
}

#[test]
fn a_term_before_the_stubs_first_instruction_ends_the_step() {
    let pending = "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM)); kill TERM => $$; exec @ARGV";
    let stub = "\"$PORTCULLIS\" __step 200 3 $$ '' ::0 '' -- sleep 1000 3>/dev/null";
    let around =
        format!("perl -MPOSIX=:signal_h -e '{pending}' {stub}; echo code $?; pgrep -c -x sleep; exit 0");
    let ran = script(&around).assert().code(0);
    assert_eq!(stdout(&ran), "code 0\n0\n");
}

#[test]
fn a_step_has_a_second_to_roll_back() {
    let folder = tempfile::tempdir().unwrap();
    let (ready, rolled) = (folder.path().join("ready"), folder.path().join("rolled"));
    let step = format!(
        "trap 'sleep 1; touch {}; exit 1' TERM; touch {}; while :; do sleep 0.01; done",
        rolled.display(),
        ready.display()
    );
    let around =
        format!("RUN & until [ -e {} ]; do sleep 0.01; done; kill -TERM $!; wait $!", ready.display());
    let ran = run_in(&around, &[("", &step)], "echo server").code(143);
    assert!(rolled.exists());
    assert!(!stdout(&ran).lines().any(|line| line == "server"));
}

#[test]
fn every_terminating_signal_ends_the_process_tree_within_the_grace() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("QUIT", 131), ("HUP", 129)] {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let step = format!(
            "setsid sleep 1000 & (trap '' TERM INT QUIT HUP; setsid bash -c 'touch {}; sleep 1000' &) ; sleep 1000",
            ready.display()
        );
        let around = format!(
            "set -m; RUN & until [ -e {} ]; do sleep 0.01; done; kill -{signal} $!; wait $!; code=$?; pgrep -c -x sleep; exit $code",
            ready.display()
        );
        let ran = run_in(&around, &[("command.grace = \"300ms\"", &step)], "echo server").code(code);
        assert!(stdout(&ran).ends_with("0\n"), "{signal}: {}", stdout(&ran));
    }
}

#[test]
fn a_step_receives_signals_that_the_run_inherited_as_blocked() {
    let step = "grep -E 'Sig(Blk|Ign)' /proc/self/status > $MASKS";
    let masks = tempfile::NamedTempFile::new().unwrap();
    let around = format!(
        "export MASKS={}; exec env --block-signal=TERM,INT,USR1 --ignore-signal=HUP,PIPE,CHLD,QUIT RUN",
        masks.path().display()
    );
    run_in(&around, &[("", step)], "true").code(0);
    let state = std::fs::read_to_string(masks.path()).unwrap();
    assert_eq!(state, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn standard_input_is_empty_for_steps_and_complete_for_the_server() {
    let ran = run_in("printf 'for the server' | RUN", &[("", "cat; wc -c")], "cat");
    assert!(stdout(&ran.code(0)).contains("for the server"));
}

#[test]
fn an_exec_session_in_the_container_survives() {
    // A process whose parent is outside the namespace, as with docker exec.
    let folder = tempfile::tempdir().unwrap();
    let (ready, go) = (folder.path().join("ready"), folder.path().join("go"));
    let step = format!(
        "touch {}; (setsid sleep 1000 &); until [ -e {} ]; do sleep 0.01; done",
        ready.display(),
        go.display()
    );
    let file = configuration(&[("command.grace = \"200ms\"", &step)]);
    let server = "pgrep -a sleep; exit 0";
    let outside = format!(
        "exec 4>&1; unshare --pid --fork --kill-child --mount-proc bash -c 'exec $PORTCULLIS run --config {} -- bash -c \"{server}\"' >&4 & \
         until [ -e {} ]; do sleep 0.01; done; \
         pid_1=$(pgrep -P $! | head -n 1); \
         nsenter --target $pid_1 --pid --mount sleep 77 & until pgrep -f 'sleep 77' >/dev/null; do sleep 0.01; done; touch {}; wait %1",
        file.path().display(),
        ready.display(),
        go.display()
    );
    let ran = script(&outside).assert();
    let state = stdout(&ran);
    assert!(state.contains("sleep 77") && !state.contains("sleep 1000"), "{state}");
}

#[test]
fn process_trees_end_for_an_unprivileged_user_with_hidepid() {
    let ran = run_in(
        "mount -o remount,hidepid=2 /proc; exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --bounding-set=-all RUN",
        &[(
            "command.grace = \"200ms\"",
            "(setsid bash -c \"trap '' TERM; sleep 1000\" &) ; setsid sleep 1000 & exit 0",
        )],
        ALONE,
    );
    assert!(has_no_other_processes(&ran), "{}", stdout(&ran));
}

#[test]
fn a_process_that_cannot_be_killed_prevents_the_server_without_a_hang() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let (become_other, up) = (folder.path().join("become"), folder.path().join("up"));
    // A program that changes its user: 65532 may no longer signal it.
    let around = format!(
        "install --mode=4755 $(command -v setpriv) {}; exec setpriv --reuid 65532 --regid 65532 --clear-groups RUN",
        become_other.display()
    );
    let step = format!(
        "setsid {} --reuid 1 --clear-groups bash -c 'touch {1}; sleep 1000' & until [ -e {1} ]; do sleep 0.01; done",
        become_other.display(),
        up.display()
    );
    let step = step.replace('\'', "\"");
    let server = "command.grace = \"200ms\"\n[server]\ngrace = \"200ms\"";
    let ran = run_in(&around, &[(server, &step)], "echo server").code(70);
    assert!(!stdout(&ran).lines().any(|line| line == "server"), "{}", stdout(&ran));
}

#[test]
fn a_missing_program_and_a_failing_step_are_79() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[[step]]\nname = \"x\"\ncommand.run = [\"no-such-program\"]\n").unwrap();
    script(&format!("exec $PORTCULLIS run --config {} -- true", file.path().display())).assert().code(79);
    run(&[("", "exit 5")], "echo server").code(79);
    run(&[("", "kill -KILL $$")], "echo server").code(79);
}

#[test]
fn steps_do_not_change_the_server_process() {
    let show_state = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/process/process_state.pl");
    let state = "env --block-signal=TERM,ILL,TTIN --ignore-signal=INT,SEGV,TTOU,PIPE,HUP";
    let file = configuration(&[("", "(sleep 0.01; exit 3) & echo step"), ("", "setsid sleep 0.1")]);
    let with = script(&format!(
        "exec {state} $PORTCULLIS run --config {} -- perl {show_state}",
        file.path().display()
    ));
    let mut with = with;
    let direct = stdout(&script(&format!("exec {state} perl {show_state}")).assert().code(0));
    let state = stdout(&with.assert().code(0));
    assert!(state.ends_with(&direct), "{state}\n--- is not\n{direct}");
}

#[test]
fn output_is_complete_with_an_unterminated_last_line() {
    let ran = run(&[("", "seq 1 20000; printf last")], "true").code(0);
    let out = stdout(&ran) + &String::from_utf8_lossy(&ran.get_output().stderr);
    assert!(out.contains("20000") && out.contains("last"), "{}", &out[out.len().saturating_sub(300)..]);
}

#[test]
fn a_process_tree_ends_without_a_usable_proc() {
    for around in [
        "umount -l /proc; exec RUN",
        "exec unshare --pid --fork --kill-child RUN",
        "umount -l /proc; exec unshare --pid --fork --kill-child RUN",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let step = format!(
            "setsid sleep 1000 & echo $! > {0}; (trap '' TERM; setsid sleep 1000 & echo $! >> {0}) ; exit 0",
            pids.display()
        );
        let server = format!(
            "[ $(wc -l < {0}) = 2 ] || exit 9; for pid in $(< {0}); do kill -0 $pid 2> /dev/null && exit 8; done; exit 0",
            pids.display()
        );
        run_in(around, &[("command.grace = \"200ms\"", &step)], &server).code(0);
    }
}
