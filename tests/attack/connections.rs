//! The connection is disturbed at every statement of a start: it ends, stops, is delayed or carries wrong bytes.

use std::time::Duration;

use super::{
    oracle::judge,
    project::{behind, data, start},
    proxy::{Disturbance, Plan, Proxy, Side},
    tries::attack,
};
use crate::support::cluster::{Database, cluster};

/// A failed wait, a failed migration, an unproven gate, a failed creation, a lost lock, a step's SQL, a time-out.
const CODES: [i32; 8] = [0, 1, 69, 73, 74, 75, 79, 124];

/// The port of the private cluster, and the database's address behind another port.
pub fn through(url: &str, port: u16) -> (u16, String) {
    let (head, tail) = url.rsplit_once(':').unwrap();
    let (server, name) = tail.split_once('/').unwrap();
    (server.parse().unwrap(), format!("{head}:{port}/{name}"))
}

#[test]
fn a_disturbed_connection_at_any_statement_loses_nothing() {
    let base = Database::fresh();
    let project = behind(&base.url());
    base.execute(&data());
    let (server, _) = through(&cluster(), 0);
    let whole = base.copy();
    let counter = Proxy::to(server, None);
    start(&project, &through(&whole.url(), counter.port()).1).1.wait().exits(0);
    let all = counter.statements();
    drop(counter);
    let mut tries = Vec::new();
    for at in 0..all {
        for side in [Side::Statement, Side::Answer] {
            for (name, what) in disturbances(at) {
                tries.push((format!("{name}, {side:?}"), Plan { at, side, what }));
            }
        }
    }
    attack("connection", 4, tries, |_, plan, _| {
        let database = base.copy();
        let proxy = Proxy::to(server, Some(plan.clone()));
        let (project, running) = start(&project, &through(&database.url(), proxy.port()).1);
        let outcome = running.wait();
        let codes: &[i32] =
            if matches!(plan.what, Disturbance::Delay(_)) || !proxy.was_reached() { &[0] } else { &CODES };
        drop(proxy);
        judge(&project, &database.url(), &outcome, codes);
    });
}

fn disturbances(at: usize) -> Vec<(&'static str, Disturbance)> {
    use Disturbance::{Corrupt, Cut, CutAll, Delay, HalfCloseClient, HalfCloseServer, Reset, Stop, StopAll};
    let garbage: [&[u8]; 4] = [b"\xff\0\0\0\x04", b"D\0\0\0\0", b"T\x7f\xff\xff\xff", b"E\0\0\0\x05X"];
    vec![
        ("cut", Cut),
        ("reset", Reset),
        ("half-closed to the client", HalfCloseClient),
        ("half-closed to the server", HalfCloseServer),
        ("stopped", Stop),
        ("all stopped", StopAll),
        ("all cut, no new ones", CutAll),
        ("delayed", Delay(Duration::from_millis(300))),
        ("corrupted", Corrupt(garbage[at % garbage.len()].to_vec())),
    ]
}
