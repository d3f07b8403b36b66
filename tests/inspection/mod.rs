//! How the gate reads PostgreSQL: its statements, its resources, and the correctness of its verdicts.

mod damage;
mod hostile_server;
mod limits;
mod majors;
pub(crate) mod mutations;
mod names;
mod races;
mod registry;
mod row_security;
mod standby;
mod statements;
mod structure;
