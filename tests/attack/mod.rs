//! Attacks on a start: faults of the database, the network, files, limits and replicas at seeded instants, and load. After each one,
//! an oracle in plain SQL checks that the exit code and the message of the run are right, and a second start must succeed.
//!
//! `make test` makes a few tries of each kind, `make attack` as many as its time allows.

mod certificates;
mod connections;
mod control_group;
mod database;
mod gate_model;
mod limits;
mod load;
mod name_server;
mod names;
mod oracle;
mod project;
mod proxy;
mod replicas;
mod sqlite;
mod tenants;
mod tries;
