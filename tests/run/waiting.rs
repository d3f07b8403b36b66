//! Waits for services that start late, never start, or reject the login permanently.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use crate::support::{cluster::cluster, http::free_port, project::steps, redis::Redis};

const STARTED: &str = "the server started";

#[test]
fn parallel_waits_end_independently() {
    let (tcp, http) = (free_port(), free_port());
    let text = format!(
        "[[step]]\nname = \"tcp\"\nwait.tcp = {{ address = \"localhost:{tcp}\" }}\n\
         [[step]]\nname = \"http\"\nafter = \"start\"\nwait.http = {{ url = \"http://127.0.0.1:{http}/health\" }}\n\
         [[step]]\nname = \"file\"\nafter = \"start\"\nwait.file = {{ path = \"ready\" }}\n"
    );
    let portcullis = steps(&text);
    let running = portcullis.spawn(["run"]);
    for name in ["tcp", "http", "file"] {
        running.wait_for_line(&format!("{name}: waiting for"));
    }
    fs::write(portcullis.path("ready"), "").unwrap();
    running.wait_for_line("file: ok");
    respond(http, ["503 Service Unavailable", "200 OK"]);
    running.wait_for_line("the answer is 503 Service Unavailable");
    running.wait_for_line("http: ok");
    let _listener = TcpListener::bind(("127.0.0.1", tcp)).unwrap();
    running.wait().exits(0).prints("tcp: ok").prints(STARTED);
}

#[test]
fn a_wait_that_times_out_reports_the_last_cause() {
    let port = free_port();
    respond(port, ["503 Service Unavailable"; 100]);
    for (wait, cause) in [
        (
            format!("http = {{ url = \"http://127.0.0.1:{port}/\", timeout = \"1s\" }}"),
            "503 Service Unavailable",
        ),
        (
            format!("tcp = {{ address = \"127.0.0.1:{}\", timeout = \"1s\" }}", free_port()),
            "connection refused",
        ),
        ("tcp = { address = \"no-such-host.invalid:1\", timeout = \"1s\" }".into(), "cannot resolve"),
        ("file = { path = \"never\", timeout = \"1s\" }".into(), "the file does not exist"),
        (format!("redis = {{ url = \"redis://127.0.0.1:{}\", timeout = \"1s\" }}", free_port()), "refused"),
        (format!("amqp = {{ url = \"amqp://127.0.0.1:{}\", timeout = \"1s\" }}", free_port()), "refused"),
    ] {
        let outcome = steps(&format!("[[step]]\nname = \"vain\"\nwait.{wait}\n")).run(["run"]).exits(69);
        let printed = outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(printed.contains(&cause.to_lowercase()), "{cause}: {outcome}");
    }
}

#[test]
fn a_wait_ends_at_once_when_the_login_is_rejected() {
    let url = cluster();
    let address = url.rsplit_once('@').unwrap().1;
    let (address, _) = address.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let given = |rest: &str| format!("host = \"{host}\"\nport = {port}\nname = \"postgres\"\n{rest}");
    for (database, code, cause) in [
        (format!("url = \"{url}_no_such_database\""), 77, "postgres_no_such_database"),
        (format!("url = \"postgres://no_such_role:x@{address}/postgres\""), 77, "no_such_role"),
        (given("user = \"postgres\"\npassword = { file = \"/nonexistent\" }"), 74, "/nonexistent"),
        (format!("url = \"{url}?sslmode=verify-ca&sslrootcert=/nonexistent.pem\""), 77, "sslrootcert"),
        (format!("url = \"postgres://postgres@127.0.0.1:{}/postgres\"", free_port()), 69, "refused"),
    ] {
        let portcullis = steps(&format!(
            "[database]\n{database}\n[[step]]\nname = \"database\"\nwait.database = {{ timeout = \"1s\" }}\n"
        ));
        let outcome = portcullis.run(["run"]).exits(code).prints_not(STARTED);
        let printed = outcome.failure_box().split_whitespace().collect::<String>();
        assert!(printed.contains(cause), "{cause}: {outcome}");
    }
}

#[test]
fn a_wait_logs_in_to_redis_that_starts_late() {
    let port = free_port();
    let wait = format!("wait.redis = {{ url = \"redis://:right@127.0.0.1:{port}/0\", timeout = \"50s\" }}");
    let portcullis = steps(&format!("[[step]]\nname = \"cache\"\n{wait}\n"));
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("waiting for Redis");
    let _server = Redis::with(port, &["--requirepass", "right"]);
    running.wait().exits(0).prints(STARTED).prints_not(":right");
}

#[test]
fn a_port_that_never_responds_is_reported_as_silent() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let wait = format!("wait.redis = {{ url = \"redis://127.0.0.1:{port}\", timeout = \"1s\" }}");
    steps(&format!("[[step]]\nname = \"vain\"\n{wait}\n")).run(["run"]).exits(69).prints("no answer in 1 s");
}

#[test]
fn a_wait_succeeds_when_postgres_becomes_ready() {
    let port = free_port();
    let portcullis = steps(&format!(
        "[database]\nhost = \"127.0.0.1\"\nport = {port}\nname = \"postgres\"\nuser = \"postgres\"\n\
         [[step]]\nname = \"database\"\nwait.database = {{}}\n"
    ));
    let data = Server::postgres_files(portcullis.folder(), port);
    let running = portcullis.spawn(["run"]);
    running.wait_for_line("refused");
    // A standby that accepts no sessions simulates a server that is starting up.
    fs::write(data.join("standby.signal"), "").unwrap();
    let _server = Server::postgres(&data);
    running.wait_for_line("the database system is");
    let promoted =
        as_postgres(&["pg_ctl", "promote", "--silent", "-D", data.to_str().unwrap()]).output().unwrap();
    assert!(promoted.status.success(), "{promoted:?}");
    running.wait().exits(0).prints(STARTED);
}

/// Responds to successive requests with these statuses.
fn respond<const N: usize>(port: u16, statuses: [&'static str; N]) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
}

/// A real server; dropping it kills the server.
struct Server(Child);

impl Server {
    fn postgres_files(folder: &Path, port: u16) -> std::path::PathBuf {
        let data = folder.join("postgres");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
        let data = data.join("data");
        let made = as_postgres(&[
            "initdb",
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--locale=C.UTF-8",
            "-D",
        ])
        .arg(&data)
        .output()
        .unwrap();
        assert!(made.status.success(), "{made:?}");
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nhot_standby = off\nfsync = off\n"
        );
        fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        data
    }

    fn postgres(data: &Path) -> Self {
        Self(as_postgres(&["postgres", "-D"]).arg(data).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // INT is a fast shutdown, also through `runuser`, which forwards it.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// One of PostgreSQL's own programs, which refuse to run as root.
fn as_postgres(words: &[&str]) -> Command {
    let mut found: Vec<_> =
        fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    let program = found.pop().expect("PostgreSQL").join("bin").join(words[0]);
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(&words[1..]).stdout(Stdio::null());
    command
}
