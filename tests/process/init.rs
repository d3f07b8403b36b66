//! `portcullis init` with real processes.

use super::namespace::{init, pid_1, script, stdout};
use crate::support::time_limits::{was_prompt, was_quick};
use assert_cmd::assert::OutputAssertExt;

#[test]
fn init_returns_the_programs_exit_code() {
    init(&[], "exit 7").code(7);
    init(&[], "kill -TERM $$").code(143);
    init(&[], "kill -KILL $$").code(137);
    pid_1(&["portcullis", "init", "sh", "-c", "exit 7"]).assert().code(7);
}

#[test]
fn a_missing_program_is_127_and_one_that_cannot_run_is_126() {
    pid_1(&["portcullis", "init", "--", "no-such-program"]).assert().code(127);
    pid_1(&["portcullis", "init", "--", "/etc/passwd"]).assert().code(126);
    pid_1(&["portcullis", "init", "--", "/"]).assert().code(126);
}

#[test]
fn orphans_are_reaped() {
    // A zombie has a folder in /proc.
    let orphans = "orphans=$( (sleep 0.01 >&2 & echo $!); (true >&2 & echo $!); (true >&2 & echo $!) ); \
                   for orphan in $orphans; do until [ ! -e /proc/$orphan ]; do sleep 0.01; done; echo reaped; done";
    assert_eq!(stdout(&init(&[], orphans).code(0)), "reaped\n".repeat(3));
}

/// The program sends each signal to PID 1 and continues when it receives the signal back.
const ECHOES: &str = r#"
for signal in $SIGNALS; do trap "got=$signal" $signal; done
for signal in $SIGNALS; do
    kill -$signal 1
    until [ "$got" = $signal ]; do sleep 0.01; done
    echo -n "$signal "
done"#;

#[test]
fn every_catchable_signal_is_forwarded() {
    // bash cannot trap 32 and 33 (C library) and uses 17 itself; 20 to 22 stop a process.
    let signals: Vec<String> = (1..=64)
        .filter(|signal| ![9, 17, 19, 20, 21, 22, 32, 33].contains(signal))
        .map(|signal: i32| signal.to_string())
        .collect();
    let signals = signals.join(" ");
    let ran = init(&[], &format!("SIGNALS='{signals}'{ECHOES}")).code(0);
    assert_eq!(stdout(&ran).trim(), signals);
}

#[test]
fn a_signal_can_be_rewritten_or_dropped() {
    let ran = init(
        &["--rewrite", "15:3", "-r", "USR1:0"],
        "trap 'echo quit; exit 3' QUIT; trap 'echo term' TERM; trap 'echo usr1' USR1; kill -USR1 1; kill -TERM 1; while :; do sleep 0.01; done",
    );
    assert_eq!(stdout(&ran.code(3)), "quit\n");
}

#[test]
fn configured_exit_codes_become_zero() {
    init(&["--remap-exit", "143", "-e", "3"], "kill -TERM $$").code(0);
    init(&["--remap-exit", "143", "-e", "3"], "exit 3").code(0);
    init(&["--remap-exit", "143", "-e", "3"], "exit 4").code(4);
}

#[test]
fn a_descendant_may_finish_after_the_main_process() {
    let ran = init(&[], "(sleep 1; echo finished) & exit 0").code(0);
    assert_eq!(stdout(&ran), "finished\n");
    let ran = init(&["--remap-exit", "143"], "(sleep 1; echo finished) & kill -TERM $$").code(0);
    assert_eq!(stdout(&ran), "finished\n");
}

#[test]
fn a_descendant_in_another_session_receives_term_too() {
    let ran = init(
        &[],
        "exec 5>&1; coproc setsid bash -c \"trap 'sleep 0.3; echo rolled back >&5; exit' TERM; echo up; while :; do sleep 0.01; done\"; \
         trap 'exit 9' TERM; read -r up <&${COPROC[0]}; kill -TERM 1; while :; do sleep 0.01; done",
    );
    assert_eq!(stdout(&ran.code(9)), "rolled back\n");
}

#[test]
fn a_descendant_that_ignores_term_is_killed_after_the_grace() {
    let started = std::time::Instant::now();
    init(&["--grace", "300ms"], "(trap '' TERM; sleep 1000) & exit 4").code(4);
    was_prompt(started);
}

#[test]
fn the_program_starts_with_the_original_signal_state() {
    let state = "--block-signal=TERM,ILL,TTIN --ignore-signal=INT,SEGV,TTOU,PIPE,CHLD,HUP";
    let show_masks = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let direct = stdout(&script(&format!("exec env {state} {show_masks}")).assert().code(0));
    let through_init =
        stdout(&script(&format!("exec env {state} $PORTCULLIS init -- {show_masks}")).assert().code(0));
    assert_eq!(through_init, direct);
    assert!(direct.contains("SigBlk:\t0000000000104008"), "{direct}");
}

#[test]
fn init_without_pid_1_warns_and_reaps_as_a_subreaper() {
    let ran = script("$PORTCULLIS init -- bash -c '(sleep 0.2; ps -o ppid= -p $BASHPID >/dev/null) & echo $PPID; (sleep 0.1; cut -d\" \" -f4 /proc/self/stat) & exit 6' ; echo code $?").assert();
    let out = stdout(&ran);
    assert!(out.contains("code 6"), "{out}");
    let stderr = String::from_utf8(ran.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("not PID 1"), "{stderr}");
}

#[test]
fn init_without_pid_1_reaps_its_orphans_and_no_other_process() {
    let out = stdout(
        &script(
            "sleep 1000 & stranger=$!; \
             $PORTCULLIS init --grace 200ms -- bash -c '(setsid sleep 2000 &); exit 0'; \
             kill -0 $stranger && echo stranger alive; pgrep -c -x sleep",
        )
        .assert()
        .code(0),
    );
    assert_eq!(out, "stranger alive\n1\n");
}

#[test]
fn init_ignores_children_from_before_its_exec() {
    let out = stdout(
        &script(
            "bash -c 'sleep 1000 & echo $! >&3; exec $PORTCULLIS init -- bash -c \"exit 8\"' 3>&1; echo $?; pgrep -c -x sleep",
        )
        .assert(),
    );
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[1..], ["8", "1"], "{out}");
}

#[test]
fn the_configured_signal_reports_the_death_of_the_parent() {
    let folder = tempfile::tempdir().unwrap();
    let out = stdout(
        &script(
            "mkfifo up; bash -c '$PORTCULLIS init -p USR2 -- bash -c \"trap \\\"echo orphaned; exit 0\\\" USR2; echo up > up; \
             while :; do sleep 0.01; done\" & read -r line < up; echo $line; kill -KILL $$'; \
             while pgrep -x portcullis > /dev/null; do sleep 0.01; done",
        )
        .current_dir(folder.path())
        .assert(),
    );
    assert_eq!(out, "up\norphaned\n");
}

#[test]
fn init_keeps_no_pipe_and_no_folder_of_the_program_open() {
    init(&[], "until [ \"$(ls /proc/1/fd | tr '\\n' ' ')\" = '0 1 2 ' ] && [ $(readlink /proc/1/cwd) = / ]; do sleep 0.01; done").code(0);
}

#[test]
fn inherited_sockets_reach_the_program() {
    let ran =
        script("LISTEN_PID=$$ exec $PORTCULLIS init -- bash -c '[ \"$LISTEN_PID\" = $$ ] && echo mine'")
            .assert();
    assert_eq!(stdout(&ran.code(0)), "mine\n");
    let ran = script("LISTEN_PID=77 exec $PORTCULLIS init -- bash -c 'echo $LISTEN_PID'").assert();
    assert_eq!(stdout(&ran.code(0)), "77\n");
}

#[test]
fn a_stop_suspends_the_program_and_cont_resumes_it() {
    let ran = init(
        &[],
        "setsid bash -c 'kill -TSTP 1; until grep -q \"^State:.T\" /proc/2/status; do sleep 0.01; done; echo stopped; kill -CONT 1' & \
         trap 'echo continued; exit 0' CONT; while :; do sleep 0.01; done",
    );
    assert_eq!(stdout(&ran.code(0)), "stopped\ncontinued\n");
}

/// The program and its child print whether they receive a USR1 sent to init; then the child receives a USR2.
const BOTH_LISTEN: &str = "exec 5>&1; coproc bash -c 'trap \"echo child >&5\" USR1; trap \"exit\" USR2; echo up; while :; do sleep 0.01; done'; \
                           trap 'got=program' USR1; read -r up <&${COPROC[0]}; kill -USR1 1; \
                           until [ \"$got\" ]; do sleep 0.01; done; kill -USR2 $COPROC_PID; wait $COPROC_PID; echo $got";

#[test]
fn signals_go_to_the_program_or_on_request_to_its_process_group() {
    for (options, expected) in [
        (&[][..], &["program"][..]),
        (&["-g"], &["child", "program"]),
        (&["--signal-group"], &["child", "program"]),
    ] {
        let printed = stdout(&init(options, BOTH_LISTEN).code(0));
        let mut lines: Vec<_> = printed.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, expected, "{options:?}");
    }
}

#[test]
fn a_stop_signal_can_be_dropped_or_rewritten() {
    let ran = init(&["-r", "TSTP:0"], "kill -TSTP 1; sleep 0.2; echo not stopped; exit 2");
    assert_eq!(stdout(&ran.code(2)), "not stopped\n");
    let ran = init(
        &["-r", "TSTP:TERM", "-e", "7"],
        "trap 'echo term; exit 7' TERM; kill -TSTP 1; while :; do sleep 0.01; done",
    );
    assert_eq!(stdout(&ran.code(0)), "term\n");
}

#[test]
fn a_script_without_a_shebang_runs_in_a_shell_and_a_binary_does_not() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plain = file("plain", b"echo \"it is $1\"\nexit 4\n");
    let foreign = file("foreign", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0 of another machine");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    for front in [&["portcullis", "init", "--"][..], &["portcullis", "run", "--no-config", "--"]] {
        for name in [plain.as_str(), "plain"] {
            let mut command = pid_1(&[front, &[name, "me"]].concat());
            assert_eq!(stdout(&command.env("PATH", &path).assert().code(4)), "it is me\n");
        }
        pid_1(&[front, &[foreign.as_str()]].concat()).assert().code(126);
        // A file without execute permission in PATH does not hide a later one.
        let hidden = folder.path().join("hidden");
        std::fs::create_dir_all(&hidden).unwrap();
        std::fs::write(hidden.join("plain"), "").unwrap();
        let mut command = pid_1(&[front, &["plain", "later"]].concat());
        let path = format!("{}:{path}", hidden.display());
        assert_eq!(stdout(&command.env("PATH", path).assert().code(4)), "it is later\n");
    }
}

#[test]
fn a_real_time_signal_that_ends_the_program_sets_the_exit_code() {
    init(&[], "kill -64 $$").code(192);
}

/// The program writes the received signal to a file, because its children would be stopped with it.
fn is_suspended_by(options: &str, stop: &str, becomes: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = format!(
        "sub touch {{ open my $file, '>', $_[0] }} $SIG{{{becomes}}} = sub {{ touch('got') }}; \
         $SIG{{CONT}} = sub {{ touch('cont') }}; touch('up'); sleep 1 while 1;"
    );
    std::fs::write(folder.path().join("program"), program).unwrap();
    let text = format!(
        "until_there() {{ until [ -e $1 ]; do sleep 0.01; done; }}; \
         until_state() {{ until grep -q \"^State:.$1\" /proc/$init/status; do sleep 0.01; done; echo $1; }}; \
         $PORTCULLIS init {options} -- perl program & init=$!; until_there up; \
         kill -{stop} $init; until_state T; until_there got; \
         kill -CONT $init; until_state S; until_there cont; kill -KILL $init; exit 0"
    );
    let out = stdout(&script(&text).current_dir(folder.path()).assert().code(0));
    assert_eq!(out, "T\nS\n", "{stop} with {options}");
}

#[test]
fn a_rewritten_stop_signal_still_suspends_init() {
    for stop in ["TSTP", "TTIN", "TTOU"] {
        is_suspended_by(&format!("-r {stop}:HUP"), stop, "HUP");
    }
}

#[test]
fn init_is_suspended_even_if_the_program_catches_the_stop() {
    for stop in ["TSTP", "TTIN", "TTOU"] {
        is_suspended_by("--group", stop, stop);
    }
}

#[test]
fn running_descendants_receive_term_and_no_cont() {
    for options in [&[][..], &["--grace", "0"]] {
        let listens = "trap 'echo cont >&5' CONT; trap 'echo term >&5; exit' TERM; echo up; while :; do sleep 0.01; done";
        let ran = init(
            options,
            &format!("exec 5>&1; coproc setsid bash -c \"{listens}\"; read -r up <&${{COPROC[0]}}; exit 3"),
        );
        assert_eq!(stdout(&ran.code(3)), "term\n", "{options:?}");
    }
}

#[test]
fn a_stopped_descendant_receives_cont_so_that_it_can_end() {
    let stopped =
        "trap 'echo term >&5; exit' TERM; echo $BASHPID; kill -STOP $BASHPID; while :; do sleep 0.01; done";
    let until = "until grep -q '^State:.T' /proc/$pid/status; do sleep 0.01; done";
    let ran = init(
        &[],
        &format!(
            "exec 5>&1; coproc setsid bash -c \"{}\"; read -r pid <&${{COPROC[0]}}; {until}; exit 3",
            stopped.replace('$', "\\$")
        ),
    );
    assert_eq!(stdout(&ran.code(3)), "term\n");
}

#[test]
fn descendants_of_a_crashed_program_end_within_the_grace() {
    for (script, code) in [("sleep 1000 & exit 1", 1), ("sleep 1000 & kill -SEGV $$", 139)] {
        let started = std::time::Instant::now();
        init(&[], script).code(code);
        was_quick(started);
    }
    let started = std::time::Instant::now();
    init(&[], "(trap '' TERM; exec sleep 1000) & exit 1").code(1);
    was_quick(started);
    // The rollback takes longer than a second, within the time that the option sets.
    let slow = "trap 'sleep 2; echo rolled back >&5; exit' TERM; echo up; while :; do sleep 0.01; done";
    let ran = init(
        &["--grace", "30s"],
        &format!("exec 5>&1; coproc setsid bash -c \"{slow}\"; read -r up <&${{COPROC[0]}}; exit 1"),
    );
    assert_eq!(stdout(&ran.code(1)), "rolled back\n");
}
