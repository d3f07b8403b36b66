//! The endpoint during the start-up, `portcullis health`, and the port, which must be free afterwards.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    run::lock::{slow, until_migrating},
    support::{
        http::{free_port, get, is_listening},
        portcullis::Portcullis,
        process::Running,
        terminal::Session,
        time_limits::until_true,
    },
};

/// A start-up that waits for the file `go` and then succeeds.
fn waiting(port: u16) -> Portcullis {
    Portcullis::new().config(&format!(
        "[status]\nlisten = \"127.0.0.1:{port}\"\nfile = \"state\"\n\
         [[step]]\nname = \"first\"\ncommand = {{ run = [\"echo\", \"a <b> & postgres://u:hunter2@db/x\"] }}\n\
         [[step]]\nname = \"the flag\"\nwait.file = {{ path = \"go\", timeout = \"1m\" }}\n\
         [server]\ncommand = [\"sleep\", \"1000\"]\n"
    ))
}

fn running(portcullis: &Portcullis) -> Running {
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("the flag: started");
    running
}

#[test]
fn probes_pages_and_metrics_are_answered_during_the_start_up() {
    let port = free_port();
    let portcullis = waiting(port);
    let running = running(&portcullis);
    assert_eq!(get(port, "/livez").0, 200);
    for path in ["/readyz", "/startupz"] {
        let (status, body) = get(port, path);
        let state: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 503);
        assert_eq!((state["status"].as_str(), state["step"]["number"].as_u64()), (Some("starting"), Some(2)));
        assert!(state["elapsed_seconds"].is_number(), "{state}");
    }
    let (status, page) = get(port, "/acme/finance/invoices/");
    assert_eq!(status, 503);
    for word in
        ["the flag", "refresh", "a &lt;b&gt; &amp; postgres://u:********@db/x", "prefers-color-scheme"]
    {
        assert!(page.contains(word), "{word}: {page}");
    }
    assert!(!page.contains("hunter2"));
    let (status, metrics) = get(port, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("portcullis_step_state{step=\"the flag\",state=\"running\"} 1\n"), "{metrics}");
    drop(running);
}

#[test]
fn health_reads_the_status_file_before_and_after_the_handover() {
    let portcullis = waiting(free_port());
    portcullis.run(["health", "--live"]).exits(1).prints("cannot read `state`");
    let running = running(&portcullis);
    portcullis.run(["health"]).exits(1).prints("starting: step 2 of 2, the flag");
    portcullis.run(["health", "--live"]).exits(0);
    std::fs::write(portcullis.path("go"), "").unwrap();
    running.wait_for_line("starting sleep");
    portcullis.run(["health"]).exits(0).prints("ready");
    drop(running);
    portcullis.run(["health"]).exits(1).prints("has ended");
}

#[test]
fn health_asks_the_endpoint_without_a_status_file() {
    let port = free_port();
    let portcullis = waiting(port);
    let config = std::fs::read_to_string(portcullis.path("config.toml")).unwrap();
    let portcullis = portcullis.config(&config.replace("file = \"state\"\n", ""));
    portcullis.run(["health", "--live"]).exits(1).prints("no response from");
    let running = running(&portcullis);
    portcullis.run(["health"]).exits(1).prints("starting: step 2 of 2, the flag");
    portcullis.run(["health", "--live"]).exits(0);
    drop(running);
}

#[test]
fn the_endpoint_responds_while_the_log_is_not_read() {
    let port = free_port();
    let portcullis = Portcullis::new().config(&format!(
        "[status]\nlisten = \"127.0.0.1:{port}\"\n[[step]]\nname = \"talk\"\ncommand = {{ run = [\"sh\", \"-c\", \
         \"while :; do echo and so on and so on and so on and so on and so on and so on; done\"] }}\n"
    ));
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .arg("run")
        .current_dir(portcullis.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until_true("the endpoint to listen", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        is_listening(port)
    });
    for _ in 0..20 {
        assert_eq!(get(port, "/livez").0, 200);
        assert_eq!(get(port, "/readyz").0, 503);
    }
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn the_endpoint_responds_during_a_migration_with_a_blocked_terminal() {
    let port = free_port();
    // More than the buffer of any terminal.
    let talk = "[[step]]\nname = \"talk\"\ncommand.run = [\"seq\", \"100000\"]\n";
    let project = slow()
        .replace("[lock]", &format!("[status]\nlisten = \"127.0.0.1:{port}\"\n[lock]"))
        .replace("[[step]]\nname = \"shared schema\"", &format!("{talk}[[step]]\nname = \"shared schema\""));
    let terminal = Session::start(project.portcullis.command(["run"]));
    until_migrating(&project);
    // The other tenants finish soon; this one does not.
    let mut done = Value::Null;
    while done.as_u64().is_none_or(|done| done == 0) {
        assert_eq!(get(port, "/livez").0, 200);
        let (status, body) = get(port, "/readyz");
        let state: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, state["step"]["name"].as_str()), (503, Some("tenant schemas")));
        done = state["progress"]["done"].clone();
    }
    // The page shows the progress bar of the running step.
    let (_, page) = get(port, "/");
    assert!(page.contains("of 3 tenants migrated") && page.contains("<progress"), "{page}");
    terminal.signal(nix::sys::signal::Signal::SIGTERM);
    terminal.exits(143);
}

/// Binds without SO_REUSEADDR, which fails if any connection of the endpoint remains, even in TIME_WAIT.
const BIND: &str = "use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or exit 96; \
                    bind(S, sockaddr_in(shift, INADDR_LOOPBACK)) or exit 98; listen(S, 1) or exit 97";

#[test]
fn the_port_is_free_before_each_of_a_hundred_execs() {
    // Below the kernel's range for client ports, so that no client uses the port.
    let port = u16::try_from(20_000 + std::process::id() % 10_000).unwrap();
    let portcullis = Portcullis::new().config(&format!(
        "[status]\nlisten = \"127.0.0.1:{port}\"\n[[step]]\nname = \"itself\"\n\
         wait.http = {{ url = \"http://127.0.0.1:{port}/livez\" }}\n\
         [server]\ncommand = [\"perl\", \"-e\", '{BIND}', \"{port}\"]\n"
    ));
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = [true, false]
        .map(|patient| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    request(port, patient);
                }
            })
        })
        .into();
    for round in 0..100 {
        let outcome = portcullis.run(["run"]);
        assert_eq!(outcome.code, Some(0), "round {round}: {outcome}");
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn idle_connections_do_not_block_probes() {
    let port = free_port();
    let portcullis = waiting(port);
    let running = running(&portcullis);
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    for _ in 0..40 {
        assert_eq!(get(port, "/livez").0, 200);
    }
    drop((idle, running));
}

#[test]
fn no_client_connection_leaves_the_port_in_time_wait() {
    let port = u16::try_from(30_000 + std::process::id() % 2_000).unwrap();
    let portcullis = Portcullis::new().config(&format!(
        "[status]\nlisten = \"127.0.0.1:{port}\"\n\
         [[step]]\nname = \"the flag\"\nwait.file = {{ path = \"go\", timeout = \"1m\" }}\n\
         [server]\ncommand = [\"perl\", \"-e\", '{BIND}', \"{port}\"]\n"
    ));
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("the flag: started");
    for request in [
        "GET /livez HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut response = Vec::new();
            // The client reads until the endpoint closes the connection.
            stream.read_to_end(&mut response).unwrap();
            assert!(response.starts_with(b"HTTP/1."), "{request:?}: {}", String::from_utf8_lossy(&response));
        }
    }
    std::fs::write(portcullis.path("go"), "").unwrap();
    running.wait().exits(0);
}

/// Sends a request; a patient client waits until the endpoint closes the connection, another closes at once.
fn request(port: u16, patient: bool) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        thread::sleep(Duration::from_millis(1));
        return;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    if patient {
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn visitors_get_a_sentence_and_no_names_if_details_are_hidden() {
    let port = free_port();
    let shown = waiting(port);
    let running_shown = running(&shown);
    let (_, page) = get(port, "/");
    assert!(page.contains("This application is starting.") && page.contains("the flag"), "{page}");
    drop(running_shown);

    let port = free_port();
    let config = std::fs::read_to_string(waiting(port).path("config.toml")).unwrap();
    let hidden = Portcullis::new().config(&config.replacen("[status]", "[status]\ndetails = false", 1));
    let _running = running(&hidden);
    for path in ["/", "/readyz", "/livez", "/metrics"] {
        let (_, text) = get(port, path);
        for name in ["the flag", "first", "a &lt;b", "step\""] {
            assert!(!text.contains(name), "{path} shows {name}: {text}");
        }
    }
    let (status, page) = get(port, "/");
    assert_eq!(status, 503);
    assert!(page.contains("This application is starting.") && page.contains("<progress"), "{page}");
    let state: Value = serde_json::from_str(&get(port, "/readyz").1).unwrap();
    assert_eq!(state["status"], "starting");
    assert_eq!(get(port, "/metrics").0, 404);
}
