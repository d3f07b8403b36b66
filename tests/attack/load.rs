//! Load: many starts at once on a server with too few connections, and a thousand steps.

use std::fs;

use super::{
    oracle::{is_true, problems},
    project::{behind, data},
    tries::{attack, seconds},
};
use crate::support::{
    portcullis::Portcullis,
    project::{sh, steps},
    server::Server,
    time_limits::ENOUGH,
};

#[test]
fn more_starts_than_connections_all_end_well() {
    let (starts, connections) = if seconds().is_some() { (100, 60) } else { (12, 8) };
    let server =
        Server::start(&format!("max_connections = {connections}\nsuperuser_reserved_connections = 0"));
    let project = behind(&server.url("postgres")).env("LOCK_TIMEOUT", "5m");
    server.execute("postgres", &data());
    let tries = vec![(format!("{starts} starts on {connections} connections"), ())];
    attack("load", 1, tries, |_, (), _| {
        let running: Vec<_> = (0..starts).map(|_| project.spawn(["run"])).collect();
        for start in running {
            assert!(is_true(&start.wait_up_to(ENOUGH * 4), &[0]));
        }
        assert!(server.log().contains("sorry, too many clients already"), "no start was refused");
        assert_eq!(problems(&server.url("postgres")), Vec::<String>::new());
    });
}

#[test]
fn many_steps_run_in_their_order_and_leave_nothing_in_memory() {
    let count = if seconds().is_some() { 1000 } else { 50 };
    // The stub is between the program and a step.
    let resident = "program=$(sed -n 's/^PPid:.//p' /proc/$PPID/status)\n\
                    sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$program/status >> kilobytes";
    let list: String = (0..count)
        .map(|number| sh(&format!("step {number}"), "", &format!("echo {number} >> ran\n{resident}")))
        .collect();
    let portcullis = steps(&list);
    attack("load", 1, vec![(format!("{count} steps"), ())], |_, (), _| run_steps(&portcullis, count));
}

fn run_steps(portcullis: &Portcullis, count: usize) {
    portcullis.spawn(["run"]).wait_up_to(ENOUGH * 2).exits(0).prints("the server started");
    let numbers = |file| -> Vec<usize> {
        let text = fs::read_to_string(portcullis.path(file)).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    assert!(numbers("ran").into_iter().eq(0..count), "{:?}", numbers("ran"));
    let kilobytes = numbers("kilobytes");
    let (first, last) = (kilobytes[count / 10], kilobytes[count - 1]);
    println!("{count} steps: {first} kB at a tenth of them, {last} kB at the last");
    assert_eq!(kilobytes.len(), count);
    assert!(first > 1000 && last < first + 2048, "{first} kB, {last} kB");
}
