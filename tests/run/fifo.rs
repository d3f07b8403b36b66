//! A FIFO without a writer instead of each file that a start reads or writes: the start handles signals and ends.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    thread,
    time::Instant,
};

use nix::sys::{signal::Signal, stat::Mode};

use crate::support::{
    http::free_port,
    portcullis::Portcullis,
    project::{sh, steps},
    sample::{Engine, Sample},
    time_limits::was_quick,
};

#[test]
fn a_fifo_instead_of_a_file_is_reported_at_once() {
    for (file, code, cause) in [
        ("portcullis.manifest.json", 78, "not a regular file"),
        ("migrations/tenant/2_invoices.sql", 78, "not a regular file"),
        ("migrations/tenant", 78, "Not a directory"),
        ("var/shared.sqlite", 74, "not a regular file"),
        ("var/tenants/acme.sqlite", 74, "not a regular file"),
        ("var/portcullis.lock", 74, "not a regular file"),
    ] {
        let sample = Sample::on(Engine::Sqlite);
        // A start with nothing to do takes no lock.
        if file.ends_with("lock") {
            fs::create_dir(sample.portcullis.path("var")).unwrap();
            mkfifo(&sample.portcullis.path(file));
        } else {
            sample.portcullis.run(["run", "--no-server"]).exits(0);
            replace_by_fifo(&sample.portcullis.path(file));
        }
        let started = Instant::now();
        let outcome = sample.portcullis.run(["run", "--no-server"]).prints(cause);
        assert_eq!(outcome.code, Some(code), "{file}: {outcome}");
        was_quick(started);
        for command in ["verify", "doctor"] {
            let started = Instant::now();
            sample.portcullis.run([command]);
            was_quick(started);
        }
    }
}

#[test]
fn a_fifo_instead_of_a_certificate_is_reported_at_once() {
    for name in ["sslrootcert", "sslcert", "sslkey"] {
        let others = if name == "sslcert" { "&sslkey=other" } else { "&sslcert=other" };
        let others = if name == "sslrootcert" { "" } else { others };
        let port = agrees_to_encrypt();
        let url = format!("postgres://me@127.0.0.1:{port}/db?sslmode=require&{name}=fifo{others}");
        let portcullis = waits_for_database(&format!("url = \"{url}\""))
            .file("other", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        mkfifo(&portcullis.path("fifo"));
        let started = Instant::now();
        let outcome = portcullis.run(["run"]).exits(74).prints(name).prints("not a regular file");
        outcome.prints("a local file cannot be used").prints_not("credentials");
        was_quick(started);
    }
}

/// The port of a server that accepts each request for encryption, and sends nothing else.
fn agrees_to_encrypt() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            if stream.read_exact(&mut [0; 8]).is_ok() {
                stream.write_all(b"S").unwrap();
            }
        }
    });
    port
}

#[test]
fn a_fifo_instead_of_a_service_file_is_reported_at_once() {
    for (variable, file) in [("PGSERVICEFILE", "fifo"), ("HOME", ".pg_service.conf")] {
        let portcullis = waits_for_database("url = \"postgres://me@127.0.0.1/db\"");
        mkfifo(&portcullis.path(file));
        let path = if variable == "HOME" { portcullis.folder().to_owned() } else { portcullis.path(file) };
        let portcullis = portcullis.env("PGSERVICE", "app").env(variable, path.to_str().unwrap());
        let started = Instant::now();
        portcullis.run(["run"]).exits(78).prints("it is not a regular file");
        was_quick(started);
    }
}

#[test]
fn a_first_configuration_is_written_beside_fifos() {
    let portcullis = Portcullis::new();
    for name in [".env", "Procfile", "compose.yml", "package.json", "manage.py", "Dockerfile", "1_x.sql"] {
        mkfifo(&portcullis.path(name));
    }
    let started = Instant::now();
    portcullis.run(["init-config"]).exits(0);
    portcullis.run(["check"]).exits(0);
    portcullis.run(["doctor"]);
    was_quick(started);
}

#[test]
fn a_fifo_instead_of_an_output_file_does_not_block_the_start() {
    let config = "[metrics]\nfile = \"metrics\"\n[status]\nfile = \"state\"\n";
    for (script, code) in [("true", 0), ("false", 79)] {
        let portcullis = steps(&format!("{config}{}", sh("only", "", script)))
            .env("PORTCULLIS_TERMINATION_LOG", "termination");
        for name in ["metrics", "state", "termination"] {
            mkfifo(&portcullis.path(name));
        }
        let started = Instant::now();
        portcullis.run(["run"]).exits(code);
        was_quick(started);
    }
    let sample = Sample::complete_on(Engine::Sqlite);
    fs::remove_file(sample.portcullis.path("portcullis.manifest.json")).unwrap();
    mkfifo(&sample.portcullis.path("portcullis.manifest.json"));
    let started = Instant::now();
    sample.portcullis.run(["manifest", "sql"]).exits(0);
    was_quick(started);
}

#[test]
fn a_quarantine_file_that_is_a_fifo_is_replaced() {
    let sample = Sample::complete_on(Engine::Sqlite);
    let config = fs::read_to_string(sample.portcullis.path("config.toml")).unwrap();
    let gate = "[gate]\nincomplete = \"quarantine\"\nmax = 2\nquarantine_file = \"list.json\"\n[[step]]\nname = \"database\"";
    let portcullis = sample.portcullis.config(&config.replacen("[[step]]\nname = \"database\"", gate, 1));
    mkfifo(&portcullis.path("list.json"));
    portcullis.run(["run", "--", "cat", "list.json"]).exits(0).prints("[]");
}

#[test]
fn a_signal_ends_a_start_while_a_password_file_hangs() {
    let port = free_port();
    let given = format!("host = \"127.0.0.1\"\nport = {port}\nname = \"db\"\nuser = \"me\"\n");
    let portcullis = waits_for_database(&format!("{given}password = {{ file = \"fifo\" }}"));
    let fifo = portcullis.path("fifo");
    mkfifo(&fifo);
    let running = portcullis.in_own_pid_namespace().spawn(["run"]);
    // Opening the FIFO succeeds when Portcullis reads it; the read hangs until something is written.
    let _writer = fs::File::options().write(true).open(&fifo).unwrap();
    let signalled = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait().exits(143);
    was_quick(signalled);
}

fn waits_for_database(database: &str) -> Portcullis {
    steps(&format!(
        "[database]\n{database}\n[[step]]\nname = \"database\"\nwait.database = {{ timeout = \"20s\" }}\n"
    ))
}

fn replace_by_fifo(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
    mkfifo(path);
}

fn mkfifo(path: &Path) {
    nix::unistd::mkfifo(path, Mode::S_IRWXU).unwrap();
}
