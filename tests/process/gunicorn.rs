//! A real incident: gunicorn reaps every child of its process and treats exit code 3 as a worker that
//! cannot boot. Orphans of start-up steps stopped whole servers that way.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::support::{
    http::{free_port, get},
    portcullis::Portcullis,
    process::Running,
};

const APP: &str =
    "open('booted', 'w')\ndef app(environ, start):\n    start('200 OK', [])\n    return [b'ok']\n";
/// Longer than the lifetime of the orphans below.
const WATCHED: Duration = Duration::from_secs(2);

fn gunicorn() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/gunicorn/bin/gunicorn");
    assert!(path.exists(), "{} is missing: run scripts/gunicorn", path.display());
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_orphan_of_a_step_that_exits_with_3_does_not_stop_gunicorn() {
    let port = free_port();
    let config = format!(
        r#"
[[step]]
name = "orphans"
command.run = ["bash", "-c", '''
(setsid bash -c "sleep 1; exit 3" &)
(setsid bash -c "trap 'exit 3' TERM; while :; do sleep 0.01; done" &)
(setsid bash -c "trap '' TERM HUP; sleep 1; exit 3" &)
exit 0''']
command.grace = "200ms"
[server]
command = ["{}", "--bind", "127.0.0.1:{port}", "app:app"]
"#,
        gunicorn()
    );
    let portcullis = Portcullis::new().config(&config).file("app.py", APP).in_own_pid_namespace();
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("Booting worker");
    let started = Instant::now();
    while started.elapsed() < WATCHED {
        assert_eq!(get(port, "/").0, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    running.signal(Signal::SIGTERM);
    running.wait().exits(0).prints_not("failed to boot");
}

/// Without Portcullis, the same orphan stops gunicorn: this proves that the test above detects the fault.
#[test]
fn an_orphan_that_exits_with_3_stops_an_unprotected_gunicorn() {
    let portcullis = Portcullis::new().file("app.py", APP);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c"]);
    let port = free_port();
    command.arg(format!(
        "(until [ -e booted ]; do sleep 0.1; done; exit 3) & exec {} --bind 127.0.0.1:{port} app:app",
        gunicorn()
    ));
    command.current_dir(portcullis.folder());
    Running::start(command, true).wait().exits(3).prints("failed to boot");
}
