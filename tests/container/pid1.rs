//! PID 1 of a hardened container: the image contains only Portcullis and one static program, it is read-only, and its
//! user has no name, no capabilities and no new privileges.

use std::process::Command;

use super::image::Image;
use crate::support::{
    process::{Outcome, Running},
    terminal::Session,
};

const STEP: &str = "[[step]]\nname = \"step NUMBER\"\ncommand = { run = [\"/busybox\", \"sh\", \"-c\", '''SCRIPT'''], grace = \"500ms\" }\n";

/// `podman run` with these arguments for podman and for Portcullis; `config.toml` has one step with this script.
fn podman_run(image: &Image, own: &[&str], arguments: &[&str]) -> Command {
    let mut command = image.podman();
    command
        .args(["run", "--rm", "--network=none", "--read-only", "--user=48211:48211"])
        .args(["--cap-drop=all", "--security-opt=no-new-privileges"])
        .args(own)
        .arg(image.name())
        .args(arguments);
    command
}

fn podman(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("podman");
    command.args(arguments);
    Running::start(command, false).wait()
}

fn image(steps: &[&str], server: &str) -> Image {
    let steps: Vec<_> = (1..)
        .zip(steps)
        .map(|(number, script): (i32, _)| {
            STEP.replace("NUMBER", &number.to_string()).replace("SCRIPT", script)
        })
        .collect();
    Image::bare(&format!("{}{server}", steps.concat()))
}

#[test]
fn a_term_ends_a_steps_process_tree_and_an_exec_session_survives_the_step() {
    let script = "/busybox setsid /busybox sleep 1000 & (trap \"\" TERM; /busybox sleep 1001 &) ; echo step is up; until [ -e /tmp/go ]; do /busybox sleep 0.05; done";
    let image = image(&[script, "echo second is up; /busybox sleep 1000"], "");
    let name = format!("{}-steps", image.short());
    let own = ["--tmpfs=/tmp:mode=1777", "--name", &name];
    let running = Running::start(podman_run(&image, &own, &["run", "--", "/busybox", "true"]), false);
    running.wait_for_line("step is up");
    let mut session = Command::new("podman");
    session.args(["exec", &name, "/busybox", "sh", "-c", "echo session; /busybox sleep 2000; echo ended"]);
    let session = Running::start(session, false);
    session.wait_for_line("session");
    podman(&["exec", &name, "/busybox", "touch", "/tmp/go"]).exits(0);
    running.wait_for_line("second is up");
    podman(&["exec", &name, "/busybox", "ps"])
        .exits(0)
        .prints("sleep 2000")
        .prints_not("sleep 1001")
        .prints("sleep 1000");
    podman(&["kill", "--signal", "TERM", &name]).exits(0);
    running.wait().exits(143).prints("SIGTERM");
    drop(session);
}

#[test]
fn a_term_in_any_phase_stops_the_container_in_time() {
    let busybox = |script: &str| format!("[\"/busybox\", \"sh\", \"-c\", '''{script}''']");
    let step = |options: &str| format!("[[step]]\nname = \"one\"\n{options}\n");
    let script = "trap \"exit 0\" TERM; echo up; while :; do /busybox sleep 0.05; done";
    let served = format!("[server]\ncommand = {}\n", busybox(script));
    let stays = format!("command = {{ run = {}, background = true }}", busybox("exec /busybox sleep 1000"));
    let pause =
        "command = { run = [\"/busybox\", \"false\"], retries = 9, backoff = \"1m\", max_backoff = \"1m\" }";
    for (phase, config, line, code) in [
        ("a wait", step("wait.file = { path = \"/never\" }"), "one: started", 143),
        ("a login", step("wait.redis = { url = \"redis://127.0.0.1:1/0\" }"), "one: waiting", 143),
        ("a step", step(&format!("command.run = {}", busybox("echo up; /busybox sleep 1000"))), "| up", 143),
        ("a pause", step(pause), "retrying in", 143),
        ("the server", served.clone(), "up", 0),
        ("a supervised server", served.clone() + "mode = \"supervise\"\n" + &step(&stays), "up", 0),
    ] {
        let image = Image::bare(&config);
        let name = format!("{}-phase", image.short());
        let running = Running::start(podman_run(&image, &["--name", &name], &["run"]), false);
        running.wait_for_line(line);
        podman(&["kill", "--signal", "TERM", &name]).exits(0);
        let started = std::time::Instant::now();
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(code), "{phase}: {outcome}");
        // Docker sends KILL ten seconds after TERM.
        assert!(started.elapsed().as_secs() < 10, "{phase}: {:?}", started.elapsed());
    }
}

#[test]
fn supervise_mode_forwards_signals_reaps_orphans_and_returns_the_servers_code() {
    let server = "[server]\nmode = \"supervise\"\ncommand = [\"/busybox\", \"sh\", \"-c\", '''trap \"echo rolled back; exit 9\" TERM; (/busybox setsid /busybox sleep 0.1 &) ; echo server is up; while :; do /busybox sleep 0.05; done''']\n";
    let image = image(&["echo step"], server);
    let name = format!("{}-supervised", image.short());
    let running = Running::start(podman_run(&image, &["--name", &name], &["run"]), false);
    running.wait_for_line("server is up");
    podman(&["kill", "--signal", "TERM", &name]).exits(0);
    running.wait().exits(9).prints("rolled back");
}

#[test]
fn the_server_process_equals_a_directly_executed_one() {
    let image = image(&["/busybox setsid /busybox sleep 0.1 & exit 0"], "");
    let process_state = |arguments: &[&str]| {
        let process_state = "/busybox grep -E \"^(Sig|Shd|Cap|NoNew|Seccomp|Threads|Umask|Groups|Uid|Gid|PPid)\" /proc/self/status | /busybox grep -v SigQ; /busybox cut -d\" \" -f1,4-8 /proc/$$/stat; /busybox ls /proc/$$/fd; ulimit -a; pwd";
        let arguments = [arguments, &["/busybox", "sh", "-c", process_state]].concat();
        Running::start(podman_run(&image, &["--entrypoint=[]"], &arguments), false).wait().exits(0).stdout
    };
    let direct = process_state(&[]);
    assert!(direct.contains("NoNewPrivs:\t1") && direct.contains("CapBnd:\t0000000000000000"), "{direct}");
    let after_steps = process_state(&["/portcullis", "run", "--"]);
    assert!(after_steps.ends_with(&direct), "{after_steps}\n--- is not\n{direct}");
}

#[test]
fn an_exec_session_gets_the_variables_that_a_step_exported() {
    let step = "[[step]]\nname = \"vault\"\ncommand = { run = [\"/busybox\", \"sh\", \"-c\", '''echo \"TOKEN = 'exported'\" >&3'''], exports = true }\n";
    let server =
        "command = [\"/busybox\", \"sh\", \"-c\", \"echo server is up; exec /busybox sleep 1000\"]\n";
    for mode in ["exec", "supervise"] {
        let image = Image::bare(&format!("{step}[server]\nmode = \"{mode}\"\n{server}"));
        let name = format!("{}-exec", image.short());
        let running = Running::start(podman_run(&image, &["--name", &name], &["run"]), false);
        running.wait_for_line("server is up");
        podman(&["exec", &name, "/busybox", "env"]).exits(0).prints_not("TOKEN");
        let session = ["/portcullis", "exec", "--", "/busybox", "env"];
        podman(&[&["exec", &name][..], &session].concat()).exits(0).prints("TOKEN=exported");
        let other = podman(&[&["exec", "--user=1:1", &name][..], &session].concat());
        other.exits(74).prints("it belongs to user 48211");
        podman(&["kill", "--signal", "KILL", &name]).exits(0);
        running.wait();
    }
}

/// A container with a terminal, as with `-it`; the test holds the other end.
fn session(image: &Image, arguments: &[&str]) -> Session {
    Session::start(podman_run(image, &["--interactive", "--tty"], arguments))
}

#[test]
fn with_a_terminal_ctrl_c_ends_a_step() {
    let image = image(&["echo step is up; /busybox sleep 1000"], "");
    let mut session = session(&image, &["run", "--", "/busybox", "true"]);
    session.until("step is up");
    session.press("\x03");
    session.exits(130);
}

#[test]
fn with_a_terminal_a_shell_has_job_control() {
    for server in ["", "[server]\nmode = \"supervise\"\n"] {
        let image = image(&["echo x > /dev/tty; exit 0"], server);
        let mut session = session(&image, &["run", "--", "/busybox", "sh", "-i"]);
        session.press("echo re''ady\n");
        session.until("ready");
        session.press("/busybox sh -c 'echo run\"\"ning; /busybox sleep 1000'\n");
        session.until("running");
        if server.is_empty() {
            // The shell is PID 1 and leads the session.
            session.press("\x03");
        } else {
            session.press("\x1a");
            session.until("Stopped");
            session.press("kill %1; fg\n");
        }
        session.press("echo a''gain\n");
        session.until("again");
        session.press("exit 5\n");
        session.exits(5);
    }
}
