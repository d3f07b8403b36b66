//! A child that prints without end delays neither signals nor time-outs nor siblings.

use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::{
    project::{sh, steps},
    time_limits::was_prompt,
};

/// Programs that print faster than Portcullis reads.
const ENDLESS: [&str; 3] = ["exec yes", "exec yes \"$(printf %08000d 0)\"", "exec cat /dev/zero"];

#[test]
fn a_term_stops_a_step_that_prints_without_end() {
    for script in ENDLESS {
        let running =
            steps(&sh("talks", "", &format!("echo up; {script}"))).in_own_pid_namespace().spawn(["run"]);
        running.wait_for_line("| up");
        let started = Instant::now();
        running.signal(Signal::SIGTERM);
        running.wait().exits(143);
        was_prompt(started);
    }
}

#[test]
fn a_step_that_prints_without_end_times_out() {
    for script in ENDLESS {
        let started = Instant::now();
        steps(&sh("talks", "command.timeout = \"500ms\"", script)).run(["run"]).exits(124);
        was_prompt(started);
    }
}

#[test]
fn a_sibling_of_a_step_that_prints_without_end_times_out() {
    let talks = sh("talks", "after = \"start\"", "exec yes");
    let quiet = sh("quiet", "after = \"start\"\ncommand.timeout = \"1s\"", "exec sleep 1000");
    let started = Instant::now();
    steps(&(talks + &quiet)).run(["run"]).exits(124).prints("quiet");
    was_prompt(started);
}

#[test]
fn a_notification_that_prints_without_end_times_out() {
    let notify = "[notify]\ncommand = [\"yes\"]\ntimeout = \"500ms\"\n";
    let started = Instant::now();
    steps(&(sh("fails", "", "exit 5") + notify)).run(["run"]).exits(79);
    was_prompt(started);
}

#[test]
fn only_the_last_lines_of_a_long_output_stay_in_memory() {
    let script = "seq 400000; grep VmHWM /proc/1/status; exit 3";
    let outcome = steps(&sh("talks", "", script)).in_own_pid_namespace().run(["run"]).exits(79);
    let peak = outcome.failure_box().lines().find_map(|line| line.split_once("VmHWM:")).unwrap().1;
    let kib: u32 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib < 64 * 1024, "{peak}");
}
