//! How the gate reads PostgreSQL: what it sends, what it takes of the server, and that it is never wrong.

mod damage;
mod limits;
mod names;
mod races;
mod registry;
mod row_security;
mod standby;
mod statements;
