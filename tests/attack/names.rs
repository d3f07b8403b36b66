//! The name server is slow, fails, answers wrongly or not at all, or moves the name, from any look-up of a start on.

use std::{
    iter,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    connections::through,
    name_server::{Answer, NAME, NameServer},
    oracle::{is_true, judge},
    project::{behind, data},
    proxy::Proxy,
    tries::attack,
};
use crate::support::{
    cluster::{Database, cluster},
    portcullis::Portcullis,
    process::{Outcome, Running},
    project::steps,
    time_limits::{until, was_quick},
};

/// A failed wait, a failed migration, an unproven gate, a failed creation, a lost lock, a step's SQL, a time-out.
const CODES: [i32; 8] = [0, 1, 69, 73, 74, 75, 79, 124];
/// Of this address and the dead ones, a resolver prefers the dead ones: they have more bits in common with their source.
const ALIVE: Ipv4Addr = Ipv4Addr::new(127, 200, 0, 1);
const MOVED: Ipv4Addr = Ipv4Addr::new(127, 200, 0, 2);
const SILENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// Each look-up of a resolver has up to two attempts.
const QUICK: &str = "timeout:1 attempts:2";
/// A look-up hangs for longer than a test.
const HANGING: &str = "timeout:30 attempts:5";

#[derive(Debug, Clone)]
enum Fault {
    /// A few wrong answers, and then the right one.
    Passing(Answer),
    /// This right answer from now on.
    Right(Answer),
    /// This wrong answer from now on.
    Wrong(Answer),
    /// No answer, and then TERM.
    Terminated,
    /// The server is down, and its name has the address of another one.
    Moved,
}

fn faults() -> Vec<(&'static str, Fault)> {
    use Answer::{Addresses, Code, Garbage, Late, Nothing, Truncated};
    use Fault::{Moved, Passing, Right, Terminated, Wrong};
    let refusing = (2..9).map(|last| Ipv4Addr::new(127, 0, 0, last));
    vec![
        ("slow", Right(Late(Duration::from_millis(300), vec![ALIVE]))),
        ("SERVFAIL at first", Passing(Code(2))),
        ("NXDOMAIN at first", Passing(Code(3))),
        ("no address at first", Passing(Addresses(vec![]))),
        ("SERVFAIL", Wrong(Code(2))),
        ("NXDOMAIN", Wrong(Code(3))),
        ("truncated", Wrong(Truncated)),
        ("garbage", Wrong(Garbage)),
        ("no answer", Wrong(Nothing)),
        ("no answer, TERM", Terminated),
        ("another server", Moved),
        ("dead addresses", Right(Addresses(refusing.chain([ALIVE]).collect()))),
        ("a silent address", Right(Addresses(vec![SILENT, ALIVE]))),
    ]
}

impl Fault {
    /// The exit codes of a start that has this fault from look-up number `at` on.
    fn codes(&self, at: usize) -> &'static [i32] {
        match self {
            Self::Passing(_) | Self::Right(_) => &[0],
            Self::Terminated => &[0, 143],
            Self::Moved if at == 0 => &[0],
            Self::Wrong(_) if at == 0 => &[69],
            Self::Moved | Self::Wrong(_) => &CODES,
        }
    }

    fn answer(&self, since: usize) -> Answer {
        match self {
            Self::Passing(_) if since > 2 => Answer::Addresses(vec![ALIVE]),
            Self::Passing(answer) | Self::Right(answer) | Self::Wrong(answer) => answer.clone(),
            Self::Terminated => Answer::Nothing,
            Self::Moved => Answer::Addresses(vec![MOVED]),
        }
    }
}

/// The addresses of one server on this machine, with the same port.
struct Addresses {
    alive: Proxy,
    _moved: Proxy,
    _silent: (TcpListener, Vec<TcpStream>),
}

impl Addresses {
    fn of(server: u16) -> Self {
        let alive = Proxy::at((ALIVE, 0), server, None);
        let moved = Proxy::at((MOVED, alive.port()), server, None);
        // The queue of the listener is full, so that it ignores further clients.
        let address = SocketAddr::from((SILENT, alive.port()));
        let listener = TcpListener::bind(address).unwrap();
        let client = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let silent = (listener, iter::from_fn(client).collect());
        Self { alive, _moved: moved, _silent: silent }
    }

    fn port(&self) -> u16 {
        self.alive.port()
    }
}

/// A start with the fault from look-up number `at` on; the number of all look-ups.
fn start(project: &Portcullis, addresses: Addresses, fault: &Fault, at: usize) -> (Outcome, usize) {
    let hangs = matches!(fault, Fault::Wrong(Answer::Nothing) | Fault::Terminated);
    let chosen = fault.clone();
    let names = NameServer::start(move |number| {
        let Some(since) = number.checked_sub(at) else { return Answer::Addresses(vec![ALIVE]) };
        if matches!(chosen, Fault::Moved) {
            addresses.alive.close();
        }
        chosen.answer(since)
    });
    let running = Running::start(names.command(project, if hangs { HANGING } else { QUICK }), false);
    if !matches!(fault, Fault::Terminated) {
        return (running.wait(), names.lookups());
    }
    until("the look-up or the end", || {
        (names.lookups() > at || running.has_closed_its_output()).then_some(())
    });
    running.signal(Signal::SIGTERM);
    let sent = Instant::now();
    let outcome = running.wait();
    println!("ended {:?} after TERM", sent.elapsed());
    was_quick(sent);
    (outcome, names.lookups())
}

/// The project and the template of its databases.
fn prepared() -> (Portcullis, Database) {
    let base = Database::fresh();
    let project = behind(&base.url());
    base.execute(&data());
    (project, base)
}

/// A start whose database has a name instead of an address.
fn start_by_name(project: &Portcullis, database: &Database, fault: &Fault, at: usize) -> (Outcome, usize) {
    let (server, _) = through(&cluster(), 0);
    let addresses = Addresses::of(server);
    let (_, url) = through(&database.url(), addresses.port());
    let project = project.copy().env("DATABASE_URL", &url.replace("127.0.0.1", NAME));
    start(&project, addresses, fault, at)
}

#[test]
fn a_name_server_that_fails_at_any_lookup_loses_nothing() {
    let (project, base) = prepared();
    let (whole, all) = start_by_name(&project, &base.copy(), &Fault::Moved, usize::MAX);
    assert!(is_true(&whole, &[0]));
    let mut tries = Vec::new();
    for at in 0..all {
        for (name, fault) in faults() {
            tries.push((format!("name server: {name}"), (at, fault)));
        }
    }
    attack("name server", 4, tries, |_, (at, fault), _| {
        let database = base.copy();
        let (outcome, lookups) = start_by_name(&project, &database, fault, *at);
        let codes = if lookups > *at { fault.codes(*at) } else { &[0] };
        judge(&project, &database.url(), &outcome, codes);
    });
}

#[test]
fn a_database_with_a_silent_first_address_is_reached() {
    let (project, base) = prepared();
    let silent_first = Fault::Right(Answer::Addresses(vec![SILENT, ALIVE]));
    let (outcome, _) = start_by_name(&project, &base, &silent_first, 0);
    judge(&project, &base.url(), &outcome, &[0]);
}

#[test]
fn a_wait_for_a_service_survives_its_name_server() {
    let (server, _) = through(&cluster(), 0);
    let tries = faults().into_iter().map(|(name, fault)| (format!("service: {name}"), fault));
    attack("name server", 6, tries.collect(), |_, fault, _| {
        let addresses = Addresses::of(server);
        let project = steps(&format!(
            "[[step]]\nname = \"service\"\nwait.tcp = {{ address = \"{NAME}:{}\", timeout = \"6s\" }}\n",
            addresses.port()
        ));
        let (outcome, _) = start(&project, addresses, fault, 0);
        is_true(&outcome, fault.codes(0));
    });
}
