//! Load: many starts at once on a server with too few connections, and a thousand steps.

use std::fs;

use super::{
    oracle::{is_true, problems},
    project::{behind, data},
    tries::seconds,
};
use crate::support::{
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
    let running: Vec<_> = (0..starts).map(|_| project.spawn(["run"])).collect();
    for start in running {
        assert!(is_true(&start.wait_up_to(ENOUGH * 4), &[0]));
    }
    assert_eq!(problems(&server.url("postgres")), Vec::<String>::new());
}

#[test]
fn many_steps_run_in_their_order() {
    let count = if seconds().is_some() { 1000 } else { 50 };
    let list: String = (0..count)
        .map(|number| sh(&format!("step {number}"), "", &format!("echo {number} >> ran")))
        .collect();
    let portcullis = steps(&list);
    portcullis.spawn(["run"]).wait_up_to(ENOUGH * 2).exits(0).prints("the server started");
    let ran = fs::read_to_string(portcullis.path("ran")).unwrap();
    assert!(ran.lines().map(|line| line.parse::<usize>().unwrap()).eq(0..count), "{ran}");
}
