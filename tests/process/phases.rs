//! Signals in each phase of a start: while the configuration is read, during the steps, and at the handover.

use std::time::Instant;

use nix::sys::signal::{self, Signal};

use super::{
    namespace::{script, stdout},
    start_up::{configuration, run_in},
};
use crate::support::{
    portcullis::Portcullis,
    project::{sh, steps},
    time_limits::{was_prompt, was_quick},
};
use assert_cmd::assert::OutputAssertExt;

#[test]
fn a_signal_ends_a_start_that_hangs_on_its_configuration() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        for arguments in [
            ["run", "--config", "fifo"],
            ["check", "--config", "fifo"],
            ["doctor", "--config", "fifo"],
            ["verify", "--config", "fifo"],
        ] {
            let portcullis = Portcullis::new().in_own_pid_namespace();
            let fifo = portcullis.path("fifo");
            nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let running = portcullis.spawn(arguments);
            // Opening the FIFO succeeds when Portcullis reads it; the read hangs until something is written.
            let _writer = std::fs::File::options().write(true).open(&fifo).unwrap();
            let started = Instant::now();
            running.signal(signal);
            running.wait().exits(code);
            was_quick(started);
        }
    }
}

#[test]
fn every_terminating_signal_ends_the_steps_in_order() {
    for number in
        [libc::SIGUSR1, libc::SIGUSR2, libc::SIGALRM, libc::SIGIO, libc::SIGABRT, libc::SIGSEGV, 37, 64]
    {
        let script = "trap 'echo rolls back; exit 1' TERM; echo up; while :; do sleep 0.02; done";
        for own_namespace in [true, false] {
            let portcullis = steps(&sh("long", "", script));
            let portcullis = if own_namespace { portcullis.in_own_pid_namespace() } else { portcullis };
            let running = portcullis.spawn(["run"]);
            running.wait_for_line("| up");
            send(running.pid().as_raw(), number);
            running.wait().exits(128 + number).prints("| rolls back").prints_not("the server started");
        }
    }
}

#[test]
fn signals_reserved_by_the_c_library_leave_no_step_behind() {
    for number in [32, 33, 34] {
        let portcullis = steps(&sh("long", "", "echo up; until [ -e go ]; do sleep 0.02; done"));
        let running = portcullis.spawn(["run"]);
        running.wait_for_line("| up");
        send(running.pid().as_raw(), number);
        std::fs::write(portcullis.path("go"), "").unwrap();
        // Either stopped in order or unaffected, but never ended with a running step.
        let outcome = running.wait();
        assert!(matches!(outcome.code, Some(0 | 160..=162)), "{outcome}");
    }
}

#[test]
fn a_non_terminating_signal_does_not_end_the_steps() {
    let script = "echo up; until [ -e go ]; do sleep 0.02; done";
    let portcullis = steps(&sh("long", "", script)).in_own_pid_namespace();
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("| up");
    for number in [libc::SIGWINCH, libc::SIGURG, libc::SIGCONT, libc::SIGCHLD, libc::SIGTSTP] {
        send(running.pid().as_raw(), number);
    }
    std::fs::write(portcullis.path("go"), "").unwrap();
    running.wait().exits(0).prints("the server started");
}

#[test]
fn a_declared_stop_signal_ends_the_steps() {
    let script = "trap 'echo rolls back; exit 1' TERM; echo up; while :; do sleep 0.02; done";
    let text = sh("long", "", script) + "[server]\nstop_signal = \"SIGWINCH\"\n";
    let running = Portcullis::new().config(&text).in_own_pid_namespace().spawn(["run"]);
    running.wait_for_line("| up");
    send(running.pid().as_raw(), libc::SIGWINCH);
    running.wait().exits(128 + libc::SIGWINCH).prints("| rolls back");
}

#[test]
fn a_signal_during_the_steps_does_not_reach_a_supervised_server() {
    // A timer that was set before the start expires during the step: its signal has no sender.
    let file = configuration(&[("", "until [ $(ps -o etimes= -p 1) -ge 2 ]; do sleep 0.05; done")]);
    let text = std::fs::read_to_string(file.path()).unwrap() + "[server]\nmode = \"supervise\"\n";
    std::fs::write(file.path(), text).unwrap();
    let run = format!("$PORTCULLIS run --config {} -- bash -c 'echo served'", file.path().display());
    let ran = script(&format!("exec perl -e 'alarm 1; exec @ARGV' {run}")).assert().code(0);
    assert!(stdout(&ran).ends_with("served\n"), "{}", stdout(&ran));
}

#[test]
fn a_second_signal_shortens_the_grace() {
    let script = "trap '' TERM INT; echo up; while :; do sleep 0.02; done";
    let running = steps(&sh("deaf", "command.grace = \"1m\"", script)).in_own_pid_namespace().spawn(["run"]);
    running.wait_for_line("| up");
    let started = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_for_line("SIGTERM arrived");
    running.signal(Signal::SIGINT);
    running.wait().exits(143).prints("was killed");
    was_prompt(started);
}

#[test]
fn a_shutdown_ends_within_its_budget_with_any_steps() {
    // A staying step has the same grace; the complete shutdown stays within one budget.
    let step = "trap '' TERM; (setsid bash -c 'trap \"\" TERM; sleep 1000' &); touch up; while :; do sleep 0.02; done";
    let folder = tempfile::tempdir().unwrap();
    let step = step.replace("touch up", &format!("touch {}", folder.path().join("up").display()));
    let around = format!(
        "RUN & until [ -e {} ]; do sleep 0.01; done; kill -TERM $!; wait $!; code=$?; pgrep -c -x sleep; exit $code",
        folder.path().join("up").display()
    );
    let started = Instant::now();
    let ran =
        run_in(&around, &[("command.grace = \"2s\"\n[server]\ngrace = \"1s\"", &step)], "true").code(143);
    was_quick(started);
    assert!(stdout(&ran).ends_with("0\n"), "{}", stdout(&ran));
}

/// `nix` has no names for real-time signals.
fn send(pid: i32, number: i32) {
    // SAFETY: the process is the test's own child.
    assert_eq!(unsafe { libc::kill(pid, number) }, 0, "{:?}", signal::Signal::try_from(number));
}
