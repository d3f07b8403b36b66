//! Ten replicas start at the same time, and the holder of the lock is killed, frozen or cut off at a statement.

use std::{thread, time::Duration};

use nix::sys::signal::Signal;

use super::{
    oracle::{is_true, judge, leaves_nothing, problems},
    project::{behind, data, start},
    proxy::{Disturbance, Plan, Proxy, Side},
    tries::attack,
};
use crate::support::{process::Running, server::Server};

const REPLICAS: usize = 10;

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Frozen,
    CutOff,
}

#[test]
fn replicas_survive_the_holder_of_the_lock() {
    let server = Server::start("");
    server.execute("postgres", "CREATE DATABASE base TEMPLATE template0");
    let project = behind(&server.url("base")).env("LOCK_TIMEOUT", "3m");
    server.execute("base", &data());
    let renew = || {
        server.execute("postgres", "DROP DATABASE IF EXISTS attacked WITH (FORCE)");
        server.execute("postgres", "CREATE DATABASE attacked TEMPLATE base");
    };
    renew();
    let url = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/attacked");
    let counter = Proxy::to(server.port(), None);
    start(&project, &url(counter.port())).1.wait().exits(0);
    let tries = (0..counter.statements()).flat_map(|at| {
        let faults = [("killed", Fault::Killed), ("frozen", Fault::Frozen), ("cut off", Fault::CutOff)];
        faults.map(|(name, fault)| (format!("ten replicas, the holder {name}"), (at, fault)))
    });
    attack("replicas", 1, tries.collect(), |_, (at, fault), _| {
        renew();
        let hold = Plan { at: *at, side: Side::Statement, what: Disturbance::Hold };
        let proxy = Proxy::to(server.port(), Some(hold));
        let (project, holder) = start(&project, &url(proxy.port()));
        proxy.reached(&holder);
        let others: Vec<_> = (1..REPLICAS).map(|_| start(&project, &url(server.port())).1).collect();
        match fault {
            Fault::Killed => holder.signal(Signal::SIGKILL),
            Fault::Frozen => {
                holder.signal(Signal::SIGSTOP);
                proxy.release();
                thread::sleep(Duration::from_secs(2));
                holder.signal(Signal::SIGCONT);
            }
            Fault::CutOff => proxy.close(),
        }
        let others: Vec<_> = others.into_iter().map(Running::wait).collect();
        let blocked: Vec<_> = others.iter().filter(|other| !is_true(other, &[0, 1])).collect();
        let outcome = holder.wait();
        match fault {
            Fault::Killed => assert_eq!(outcome.signal, Some(9), "{outcome}"),
            Fault::Frozen => assert!(is_true(&outcome, &[0])),
            // It serves only if the cut came after its last proof.
            Fault::CutOff => {
                is_true(&outcome, &[0, 1, 69, 73, 74, 75, 79]);
            }
        }
        let url = url(server.port());
        match blocked.first() {
            None => {
                leaves_nothing(&url, &outcome);
                assert_eq!(problems(&url), Vec::<String>::new(), "{outcome}");
            }
            // Only a file outside of a transaction, which the fault interrupted, may block.
            Some(blocked) => judge(&project, &url, blocked, &[1]),
        }
    });
}
