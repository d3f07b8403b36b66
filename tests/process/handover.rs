//! The server process has the same state as without any start-up before it.

use super::namespace::{PORTCULLIS, script, stdout};
use assert_cmd::assert::OutputAssertExt;

/// Prints every visible attribute of a process that survives exec.
const SHOW_STATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/process/process_state.pl");

/// Runs `before` and then the inspection script, directly and through a start-up without steps.
fn equals_a_direct_exec(before: &str) -> String {
    let run = |through: &str| {
        let server = format!("{through} perl {SHOW_STATE} one \"two three\"");
        stdout(
            &script(&before.replace("SERVER", &server))
                .env_clear()
                .env("PORTCULLIS", PORTCULLIS)
                .env("PATH", "/usr/bin:/bin")
                .assert()
                .code(0),
        )
    };
    let direct = run("");
    assert_eq!(run("$PORTCULLIS run --no-config --"), direct, "after {before}");
    direct
}

#[test]
fn the_server_equals_a_direct_exec() {
    assert!(equals_a_direct_exec("exec SERVER").contains("Threads:\t1"));
}

#[test]
fn the_server_equals_a_direct_exec_with_blocked_and_ignored_signals() {
    let state = equals_a_direct_exec(
        "exec env --block-signal=TERM,ILL,TTIN --ignore-signal=INT,SEGV,TTOU,PIPE,CHLD,HUP SERVER",
    );
    assert!(state.contains("SigBlk:\t0000000000104008"), "{state}");
    // perl resets SIGCHLD before it reads its state; cat does not.
    let command = "exec env --ignore-signal=INT,SEGV,TTOU,PIPE,CHLD,HUP $PORTCULLIS run --no-config -- cat /proc/self/status";
    let state = stdout(&script(command).assert().code(0));
    let ignored = state.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0x0021_1403, "{state}");
}

#[test]
fn the_server_equals_a_direct_exec_with_pending_signals() {
    let state = equals_a_direct_exec(
        "exec env --block-signal=TERM,USR1,PIPE,CHLD bash -c 'kill -USR1 $$; kill -TERM $$; kill -PIPE $$; exec SERVER'",
    );
    assert!(state.contains("ShdPnd:\t0000000000005200"), "{state}");
}

#[test]
fn the_server_equals_a_direct_exec_with_unusual_descriptors() {
    equals_a_direct_exec("exec 0<&- 7</dev/null 8>/dev/null; exec SERVER");
    equals_a_direct_exec("exec 0<&- 2>&-; exec SERVER");
}

#[test]
fn the_server_equals_a_direct_exec_with_limits_umask_folder_and_privileges() {
    equals_a_direct_exec(
        "ulimit -n 64; ulimit -c 0; ulimit -s 4096; umask 027; cd /usr; exec setpriv --no-new-privs --bounding-set=-all SERVER",
    );
}

#[test]
fn the_server_equals_a_direct_exec_in_its_own_session_and_not_as_pid_1() {
    equals_a_direct_exec("setsid -w SERVER; exit $?");
    equals_a_direct_exec("set -m; SERVER; exit $?");
    equals_a_direct_exec("SERVER; exit $?");
}

#[test]
fn a_child_that_existed_before_belongs_to_the_server() {
    let command = "pgrep -P 1 -x sleep | wc -l";
    let ran = script(&format!(
        "sleep 1000 & exec $PORTCULLIS run --no-config -- bash -c '{command}; kill %1; exit 0'"
    ));
    let mut ran = ran;
    assert_eq!(stdout(&ran.assert().code(0)), "1\n");
}

#[test]
fn the_subreaper_flag_is_restored() {
    // An orphan of the server goes to PID 1, not to the server.
    let orphan = "until read -r pid name state parent rest < /proc/$$/stat; [ $parent != $0 ]; do sleep 0.01; done; echo $parent";
    let server = format!(
        "(parent=$BASHPID; bash -c '{orphan}' $parent &) > orphan; until [ -s orphan ]; do sleep 0.01; done; cat orphan"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server"), server).unwrap();
    let ran = script("$PORTCULLIS run --no-config -- bash server").current_dir(folder.path()).assert();
    assert_eq!(stdout(&ran.code(0)), "1\n");
}

#[test]
fn a_missing_server_is_127_and_one_that_cannot_run_is_126() {
    script("exec $PORTCULLIS run --no-config -- no-such-server").assert().code(127);
    script("exec $PORTCULLIS run --no-config -- /etc/passwd").assert().code(126);
}

#[test]
fn orphans_do_not_disturb_a_server_after_a_restart() {
    // The earlier child ends while the server runs, and init reaps it.
    let child = "(until pgrep -f still > /dev/null; do sleep 0.01; done; exit 3) & child=$!;";
    let server = "until [ ! -e /proc/'$child' ]; do sleep 0.01; done; echo still here";
    let out =
        stdout(&script(&format!("{child} exec $PORTCULLIS init -- bash -c '{server}'")).assert().code(0));
    assert_eq!(out, "still here\n");
}
