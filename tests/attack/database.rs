//! The server is attacked at every statement of a start and at random instants: it is killed, shut down, read-only, full, out of
//! connections, or replaced by its standby.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{Connection, PgConnection};

use super::{
    oracle::judge,
    project::{behind, data, start},
    proxy::{Disturbance, Plan, Proxy, Side},
    tries::attack,
};
use crate::support::{portcullis::Portcullis, process::Outcome, server::Server};

/// A failed wait, a failed migration, an unproven gate, a failed creation, a lost lock, a step's SQL, a time-out.
const CODES: [i32; 8] = [0, 1, 69, 73, 74, 75, 79, 124];
/// The database of each try, and its template.
const TRY: &str = "attacked";
const BASE: &str = "base";

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A signal to the server, which starts again before the statement passes.
    Restart(Signal),
    /// A signal to the server, which starts again after the run has ended.
    Down(Signal),
    /// KILL to the backend of the statement: the server recovers, and ends every session.
    KillBackend,
    Terminate,
    ReadOnly,
    /// Other clients take every connection for two seconds.
    Exhausted,
}

const FAULTS: [(&str, Fault); 11] = [
    ("fast shutdown, restart", Fault::Restart(Signal::SIGINT)),
    ("immediate shutdown, restart", Fault::Restart(Signal::SIGQUIT)),
    ("SIGKILL of the server, restart", Fault::Restart(Signal::SIGKILL)),
    ("fast shutdown", Fault::Down(Signal::SIGINT)),
    ("immediate shutdown", Fault::Down(Signal::SIGQUIT)),
    ("smart shutdown", Fault::Down(Signal::SIGTERM)),
    ("SIGKILL of the server", Fault::Down(Signal::SIGKILL)),
    ("SIGKILL of a backend", Fault::KillBackend),
    ("pg_terminate_backend of every session", Fault::Terminate),
    ("read-only from here on", Fault::ReadOnly),
    ("no connection is free for 2 s", Fault::Exhausted),
];

/// The project, whose database is the template of every try.
fn prepared(server: &Server) -> Portcullis {
    server.execute("postgres", &format!("CREATE DATABASE {BASE} TEMPLATE template0"));
    let project = behind(&server.url(BASE));
    server.execute(BASE, &data());
    project
}

fn renew(server: &Server) {
    server.execute("postgres", &format!("DROP DATABASE IF EXISTS {TRY} WITH (FORCE)"));
    server.execute("postgres", &format!("CREATE DATABASE {TRY} TEMPLATE {BASE}"));
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{TRY}")
}

/// The number of statements of a start without a fault.
fn statements(server: &Server, project: &Portcullis) -> usize {
    renew(server);
    let counter = Proxy::to(server.port(), None);
    start(project, &url(counter.port())).1.wait().exits(0);
    counter.statements()
}

#[test]
fn an_attacked_server_loses_nothing() {
    let mut server = Server::start("max_connections = 20");
    let project = prepared(&server);
    let mut tries = Vec::new();
    for at in 0..statements(&server, &project) {
        for side in [Side::Statement, Side::Answer] {
            for (name, fault) in FAULTS {
                tries.push((name.to_owned(), (at, side, fault)));
            }
        }
    }
    attack("server", 4, tries, |_, (at, side, fault), _| {
        renew(&server);
        let proxy = Proxy::to(server.port(), Some(Plan { at: *at, side: *side, what: Disturbance::Hold }));
        let (project, running) = start(&project, &url(proxy.port()));
        let reached = proxy.reached(&running);
        let sessions = inject_fault(&mut server, *fault);
        proxy.release();
        hold_connections(sessions);
        let outcome = running.wait();
        proxy.close();
        recover(&mut server, *fault);
        let codes: &[i32] = if reached { codes(*fault) } else { &[0] };
        judge(&project, &url(server.port()), &outcome, codes);
        says_why(*fault, &outcome);
    });
}

#[test]
fn a_server_attacked_at_any_instant_loses_nothing() {
    let mut server = Server::start("max_connections = 20");
    let project = prepared(&server);
    renew(&server);
    let began = Instant::now();
    start(&project, &url(server.port())).1.wait().exits(0);
    let whole = began.elapsed();
    let tries = (0..100)
        .flat_map(|_| FAULTS.map(|(name, fault)| (format!("at any instant: {name}"), fault)))
        .collect();
    attack("server", 4, tries, |_, fault, random| {
        renew(&server);
        let (project, running) = start(&project, &url(server.port()));
        thread::sleep(whole.mul_f64(random.f64()));
        let sessions = inject_fault(&mut server, *fault);
        hold_connections(sessions);
        let outcome = running.wait();
        recover(&mut server, *fault);
        judge(&project, &url(server.port()), &outcome, codes(*fault));
        says_why(*fault, &outcome);
    });
}

/// Makes the fault happen; the result is the sessions that use every connection.
fn inject_fault(server: &mut Server, fault: Fault) -> Vec<Session> {
    match fault {
        Fault::Restart(signal) => {
            server.signal(signal);
            server.restart();
        }
        Fault::Down(signal) => server.signal(signal),
        Fault::KillBackend => kill_backend(server),
        Fault::Terminate => terminate(server),
        Fault::ReadOnly => server
            .execute("postgres", &format!("ALTER DATABASE {TRY} SET default_transaction_read_only = on")),
        Fault::Exhausted => return all_connections(server),
    }
    Vec::new()
}

fn hold_connections(sessions: Vec<Session>) {
    if !sessions.is_empty() {
        thread::sleep(Duration::from_secs(2));
        drop(sessions);
    }
}

/// Ends the fault.
fn recover(server: &mut Server, fault: Fault) {
    if matches!(fault, Fault::Down(_)) {
        server.restart();
    }
    // A killed backend makes the server recover.
    server.until_ready();
    server.execute("postgres", &format!("ALTER DATABASE {TRY} RESET default_transaction_read_only"));
}

fn codes(fault: Fault) -> &'static [i32] {
    match fault {
        // A full server is waited for.
        Fault::Exhausted => &[0],
        _ => &CODES,
    }
}

/// The box names the fault.
#[track_caller]
fn says_why(fault: Fault, outcome: &Outcome) {
    if outcome.code == Some(0) {
        return;
    }
    let shown = outcome.failure_box().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let words: &[&str] = match fault {
        Fault::ReadOnly => &["read-only"],
        _ => &[
            "connect",
            "shutting down",
            "terminat",
            "session",
            "starting up",
            "eof",
            "reset",
            "refused",
            "broken pipe",
        ],
    };
    assert!(words.iter().any(|word| shown.contains(word)), "{fault:?}: {outcome}");
}

/// The other sessions of the attacked database.
const SESSIONS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

fn kill_backend(server: &Server) {
    let newest = format!("SELECT pid::text {SESSIONS} ORDER BY backend_start DESC LIMIT 1");
    for pid in server.column(TRY, &newest) {
        // The backend may have exited already.
        let _ = kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL);
    }
}

fn terminate(server: &Server) {
    server.column(TRY, &format!("SELECT pg_terminate_backend(pid)::text {SESSIONS}"));
}

type Session = (tokio::runtime::Runtime, PgConnection);

/// Sessions that use every free connection, those for superusers too.
fn all_connections(server: &Server) -> Vec<Session> {
    let mut sessions = Vec::new();
    loop {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(PgConnection::connect(&server.url("postgres"))) {
            Ok(session) => sessions.push((runtime, session)),
            Err(_) => return sessions,
        }
    }
}

#[test]
fn a_failover_to_the_standby_loses_nothing() {
    let mut primary = Server::start("wal_level = replica\nwal_keep_size = 64MB");
    let project = prepared(&primary);
    let all = statements(&primary, &project);
    let tries = (0..all)
        .flat_map(|at| [Side::Statement, Side::Answer].map(|side| ("failover".to_owned(), (at, side))))
        .collect();
    attack("server", 1, tries, |_, (at, side), _| {
        renew(&primary);
        let standby = primary.standby();
        let proxy = Proxy::to(primary.port(), Some(Plan { at: *at, side: *side, what: Disturbance::Hold }));
        let (project, running) = start(&project, &url(proxy.port()));
        let reached = proxy.reached(&running);
        let log = primary.one("postgres", "SELECT pg_current_wal_lsn()::text");
        crate::support::time_limits::until_true("the standby to follow", || {
            standby.one("postgres", &format!("SELECT (pg_last_wal_replay_lsn() >= '{log}')::text")) == "true"
        });
        primary.signal(Signal::SIGQUIT);
        standby.promote();
        proxy.switch(standby.port());
        proxy.release();
        primary = standby;
        let outcome = running.wait();
        proxy.close();
        let codes: &[i32] = if reached { &CODES } else { &[0] };
        judge(&project, &url(primary.port()), &outcome, codes);
    });
}

#[test]
fn a_full_disk_loses_nothing() {
    let server = Server::with_small_disk(64);
    let project = prepared(&server);
    let all = statements(&server, &project);
    let tries = (0..all).map(|at| ("full disk".to_owned(), at)).collect();
    attack("server", 2, tries, |_, at, _| {
        server.execute("postgres", &format!("DROP DATABASE IF EXISTS {TRY} WITH (FORCE)"));
        server.execute("postgres", &format!("CREATE DATABASE {TRY} TEMPLATE {BASE} TABLESPACE small"));
        let plan = Plan { at: *at, side: Side::Statement, what: Disturbance::Hold };
        let proxy = Proxy::to(server.port(), Some(plan));
        let (project, running) = start(&project, &url(proxy.port()));
        proxy.reached(&running);
        server.fill(true);
        proxy.release();
        let outcome = running.wait();
        server.fill(false);
        judge(&project, &url(server.port()), &outcome, &CODES);
        if outcome.code != Some(0) {
            // Of a login on a full disk, the server says only this.
            let is_named =
                ["disk", "could not write init file"].iter().any(|why| outcome.stderr.contains(why));
            assert!(is_named, "{outcome}");
        }
    });
}
